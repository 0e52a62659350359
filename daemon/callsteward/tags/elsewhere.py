"""Tags that commands have given at the other daemon of the site: they are in its stream alone.

A daemon that stands by puts them into its own, so that the record of a call that is on has them, whichever of
the two makes it.
"""

from __future__ import annotations

import msgspec
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from callsteward.ari.events import TagCommanded, timestamp
from callsteward.record.tag import COMMANDED
from callsteward.store.engine import failing
from callsteward.store.tables import call_tags


class TagsElsewhere:
    """One site's. Raises StoreError when the database fails."""

    def __init__(self, engine: AsyncEngine, site: str) -> None:
        self._engine = engine
        self._site = site
        self._last: int | None = None

    async def frames(self) -> list[bytes]:
        """The marks of the tags given since the last time, in order."""
        with failing("read"):
            async with self._engine.connect() as connection:
                if self._last is None:
                    newest = select(func.coalesce(func.max(call_tags.c.id), 0))
                    self._last = int((await connection.execute(newest)).scalar_one())
                    return []
                query = select(call_tags).where(call_tags.c.site == self._site, call_tags.c.id > self._last)
                rows = (await connection.execute(query.order_by(call_tags.c.id))).all()
        if rows:
            self._last = rows[-1].id
        return [
            msgspec.json.encode(
                TagCommanded(
                    timestamp=timestamp(row.at_ms),
                    call_id=row.call_id,
                    tag=row.tag,
                    value=row.value,
                    by=row.given_by,
                    source=row.source,
                    command="",
                )
            )
            for row in rows
            if row.source in COMMANDED
        ]
