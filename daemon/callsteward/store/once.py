"""The database for the length of one command."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from callsteward.config import Config
from callsteward.terminal.options import ALL_SITES, tell_unknown_site

if TYPE_CHECKING:
    from callsteward.store.records import Store

T = TypeVar("T")


async def sites_asked(store: Store, settings: Config, site: str | None) -> list[str]:
    """The sites that --site asks for; None: the configuration's own.

    Says where there is none of that name.
    """
    if site is None:
        return [settings.site.name]
    known = await store.sites()
    tell_unknown_site(known, site)
    return known if site == ALL_SITES else [site]


def of_site(settings: Config, site: str) -> Config:
    """The same configuration for another site of the database."""
    return settings.model_copy(update={"site": settings.site.model_copy(update={"name": site})})


def with_store(settings: Config, act: Callable[[Store], Awaitable[T]], *, create: bool = False) -> T:
    """Open the store for `act`, and return its result. `create`: make a missing database, for writing.

    Raises StoreError.
    """

    async def run() -> T:
        from callsteward.store.records import Store

        store = await Store.open(settings.store.url, create=create)
        try:
            return await act(store)
        finally:
            await store.close()

    return asyncio.run(run())
