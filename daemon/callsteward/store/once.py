"""The database for the length of one command."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from callsteward.config import Config

if TYPE_CHECKING:
    from callsteward.store.records import Store

T = TypeVar("T")


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
