"""Endpoints that take part in talks, and whether a talk event of theirs was ever seen: one row each."""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec
from sqlalchemy import bindparam, delete, select
from sqlalchemy.ext.asyncio import AsyncEngine

from callsteward.ari.events import Listened
from callsteward.store.direct import Sql, write
from callsteward.store.engine import failing, insert_into
from callsteward.store.prepared import Prepared
from callsteward.store.tables import endpoints

_GONE = Prepared(
    delete(endpoints).where(
        endpoints.c.site == bindparam("of_site"), endpoints.c.endpoint == bindparam("of_endpoint")
    )
)


class KnownEndpoint(msgspec.Struct, frozen=True):
    """An endpoint, and when its state changed last (ms since 1970)."""

    listened: Listened
    changed_at_ms: int


class HeardEndpoints:
    """A site's endpoints. Every method raises StoreError when the database fails."""

    def __init__(self, engine: AsyncEngine, site: str) -> None:
        self._engine = engine
        self._site = site
        statement = insert_into(engine, endpoints)
        state = ("heard", "quiet", "changed_at_ms")
        self._put = Prepared(
            statement.on_conflict_do_update(
                index_elements=["site", "endpoint"], set_={name: statement.excluded[name] for name in state}
            ),
            ("site", "endpoint", *state),
        )

    async def keep(self, anew: Sequence[tuple[str, Listened | None]]) -> None:
        """Store the changes of each endpoint; None: it is no longer kept."""
        now_ms = time.time_ns() // 1_000_000
        rows = [
            {
                "site": self._site,
                "endpoint": item.endpoint,
                "heard": item.heard,
                "quiet": item.quiet,
                "changed_at_ms": now_ms,
            }
            for _, item in anew
            if item is not None
        ]
        gone = [endpoint for endpoint, item in anew if item is None]

        def work(sql: Sql) -> None:
            if rows:
                sql.many(self._put, rows)
            for endpoint in gone:
                sql.count(_GONE, {"of_site": self._site, "of_endpoint": endpoint})

        with failing("write to"):
            await write(self._engine, work)

    async def known(self) -> list[KnownEndpoint]:
        """All endpoints, the one whose state has lasted longest first."""
        query = select(endpoints).where(endpoints.c.site == self._site)
        query = query.order_by(endpoints.c.changed_at_ms, endpoints.c.endpoint)
        with failing("read"):
            async with self._engine.connect() as connection:
                rows = (await connection.execute(query)).all()
        return [
            KnownEndpoint(Listened(row.endpoint, row.heard, row.quiet), row.changed_at_ms) for row in rows
        ]
