"""Until when the records of a site are deleted: what reports must not take for a time without calls."""

from __future__ import annotations

from datetime import datetime, tzinfo

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from callsteward.store.engine import failing, insert_into, writing
from callsteward.store.tables import records_deleted


async def deleted_before_ms(engine: AsyncEngine, site: str) -> int:
    """Records of calls that arrived before then are deleted; 0 where none are. Raises StoreError."""
    query = select(records_deleted.c.before_ms).where(records_deleted.c.site == site)
    with failing("read"):
        async with engine.connect() as connection:
            return (await connection.execute(query)).scalar_one_or_none() or 0


async def said_expired(engine: AsyncEngine, site: str, from_ms: int | None, zone: tzinfo) -> str:
    """A sentence about a time that is asked for from `from_ms` (None: from the first call); often nothing.

    Raises StoreError.
    """
    return sentence(await deleted_before_ms(engine, site), from_ms, zone)


def sentence(before_ms: int, from_ms: int | None, zone: tzinfo) -> str:
    """The same, where it is known until when nothing is left."""
    if before_ms <= (from_ms or 0):
        return ""
    day = datetime.fromtimestamp(before_ms / 1000, zone)
    return (
        f"the records of calls before {day:%Y-%m-%d %H:%M} are deleted ([store] retention_days): nothing is"
        " known of that time, and its figures are empty, not zero"
    )


async def delete_before(engine: AsyncEngine, site: str, before_ms: int) -> None:
    """Write down that records of calls that arrived before then are deleted, or are about to be.

    It never goes back. Raises StoreError.
    """
    statement = insert_into(engine, records_deleted).values(site=site, before_ms=before_ms)
    statement = statement.on_conflict_do_update(
        index_elements=["site"],
        set_={"before_ms": statement.excluded.before_ms},
        where=records_deleted.c.before_ms < statement.excluded.before_ms,
    )
    with failing("write to"):
        async with writing(engine) as connection:
            await connection.execute(statement)
