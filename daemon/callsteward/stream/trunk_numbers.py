"""How each trunk of a site writes its callers' numbers: a count for each kind, and no number."""

from __future__ import annotations

import time
from collections.abc import Sequence

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from callsteward.calls.deliveries import Delivered
from callsteward.clock import DAY_MS
from callsteward.store.engine import failing, insert_into, writing
from callsteward.store.tables import trunk_numbers

KEPT_DAYS = 30
"""Counts of a kind that a trunk has not written for this many days are ignored: providers change their
formats."""
KEPT_TRUNKS = 500
"""The trunks that called last. A trunk can be named by whoever calls."""


class TrunkNumberCounts:
    """One site's counts. Every method raises StoreError when the database fails."""

    def __init__(self, engine: AsyncEngine, site: str) -> None:
        self._engine = engine
        self._site = site
        statement = insert_into(engine, trunk_numbers)
        self._add = statement.on_conflict_do_update(
            index_elements=["site", "trunk", "kind"],
            set_={
                "calls": trunk_numbers.c.calls + statement.excluded.calls,
                "changed_at_ms": statement.excluded.changed_at_ms,
            },
        )
        # At most this many come in one write (calls.deliveries).
        self._beyond = (
            select(trunk_numbers.c.trunk)
            .where(trunk_numbers.c.site == site)
            .group_by(trunk_numbers.c.trunk)
            .order_by(func.max(trunk_numbers.c.changed_at_ms).desc(), trunk_numbers.c.trunk)
            .offset(KEPT_TRUNKS)
            .limit(KEPT_TRUNKS)
        )

    async def add(self, counts: Sequence[Delivered], *, now_ms: int | None = None) -> None:
        """Add to the earlier counts. A trunk and kind may be in `counts` once."""
        now_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
        rows = [{"site": self._site, **item._asdict(), "changed_at_ms": now_ms} for item in counts]
        of_site = delete(trunk_numbers).where(trunk_numbers.c.site == self._site)
        with failing("write to"):
            async with writing(self._engine) as connection:
                await connection.execute(self._add, rows)
                long_ago = trunk_numbers.c.changed_at_ms < now_ms - KEPT_DAYS * DAY_MS
                await connection.execute(of_site.where(long_ago))
                beyond = list((await connection.execute(self._beyond)).scalars())
                if beyond:
                    await connection.execute(of_site.where(trunk_numbers.c.trunk.in_(beyond)))

    async def all(self, *, now_ms: int | None = None) -> dict[str, dict[str, int]]:
        """Counts by trunk and kind, of the last `KEPT_DAYS`."""
        now_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
        query = (
            select(trunk_numbers.c.trunk, trunk_numbers.c.kind, trunk_numbers.c.calls)
            .where(
                trunk_numbers.c.site == self._site,
                trunk_numbers.c.changed_at_ms >= now_ms - KEPT_DAYS * DAY_MS,
            )
            .order_by(trunk_numbers.c.trunk, trunk_numbers.c.kind)
        )
        found: dict[str, dict[str, int]] = {}
        with failing("read"):
            async with self._engine.connect() as connection:
                for trunk, kind, calls in await connection.execute(query):
                    found.setdefault(trunk, {})[kind] = calls
        return found
