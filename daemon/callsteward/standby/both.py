"""The two daemons of a site, as the database has them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import BigInteger, cast, extract, func, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from callsteward.exceptions import CallstewardError
from callsteward.store.engine import failing, writing
from callsteward.store.pair import STALE_MS
from callsteward.store.tables import site_claims, site_daemons


class PairedDaemon(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two. `heard`: it was there within the last moments; `partly`: calls seen in part only."""

    instance: str
    host: str
    app: str
    heard: bool
    acts: bool
    ready: bool
    detail: str
    partly: int

    @property
    def state(self) -> str:
        """Its duty, in words."""
        if not self.heard:
            return "not heard"
        if self.acts:
            return "acts"
        return "stands by, ready" if self.ready else f"stands by, not ready: {self.detail}"


class Both(msgspec.Struct, frozen=True, kw_only=True):
    """A site's daemons. `fence`: how often it was taken; `problems`: empty if one acts and one could."""

    site: str
    fence: int
    problems: list[str]
    daemons: tuple[PairedDaemon, ...] = ()

    @property
    def acting(self) -> PairedDaemon | None:
        return next((one for one in self.daemons if one.heard and one.acts), None)

    @property
    def ready(self) -> PairedDaemon | None:
        """The one that could take over."""
        return next((one for one in self.daemons if one.heard and not one.acts and one.ready), None)


def problems_of(daemons: Sequence[PairedDaemon]) -> list[str]:
    """Sentences about what is wrong with the two; empty: one acts and the other could."""
    found = []
    if not any(one.heard and one.acts for one in daemons):
        found.append("no daemon acts for the site")
    if not any(one.heard and not one.acts and one.ready for one in daemons):
        others = [f"{one.instance} {one.state}" for one in daemons if not (one.heard and one.acts)]
        found.append(f"no daemon could take over: {'; '.join(others) or 'there is no other one'}")
    return found


def refuse_alone(instance: str | None) -> None:
    """Raise CallstewardError for a site that has one daemon."""
    if instance is None:
        message = "this configuration has no [standby]: the site has one daemon (docs/standby.md)"
        raise CallstewardError(message)


async def both(engine: AsyncEngine, site: str) -> Both:
    """The two daemons at this moment, by the server's clock. Raises StoreError."""
    now_ms = cast(extract("epoch", func.clock_timestamp()) * 1000, BigInteger)
    age_ms = (now_ms - site_daemons.c.seen_at_ms).label("age_ms")
    query = select(site_daemons, age_ms).where(site_daemons.c.site == site).order_by(site_daemons.c.instance)
    with failing("read"):
        async with engine.connect() as connection:
            fence = await connection.scalar(select(site_claims.c.fence).where(site_claims.c.site == site))
            rows = (await connection.execute(query)).all()
    daemons = tuple(
        PairedDaemon(
            instance=row.instance,
            host=row.host,
            app=row.app,
            heard=row.age_ms <= 2 * STALE_MS,
            acts=row.acting,
            ready=row.ready,
            detail=row.detail,
            partly=row.partly,
        )
        for row in rows
    )
    return Both(site=site, fence=fence or 0, problems=problems_of(daemons), daemons=daemons)


async def ask_to_switch(engine: AsyncEngine, site: str) -> None:
    """Ask the daemon that acts to hand the site over. Raises StoreError."""
    with failing("write to"):
        async with writing(engine) as connection:
            await connection.execute(
                update(site_claims).where(site_claims.c.site == site).values(switch_asked=site_claims.c.fence)
            )
