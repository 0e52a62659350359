"""The calls that could be rated: counted in stored sums, and over records where there are none."""

from __future__ import annotations

from sqlalchemy import func, select

from callsteward.intervals.stored_sums import StoredSums
from callsteward.record.rated import RatedSums, add_call, add_sums
from callsteward.store.changed_slots import SLOT_MS, slot_of
from callsteward.store.engine import failing
from callsteward.store.records import CallQuery, Store
from callsteward.store.tables import calls


async def rated_sums(store: Store, site: str, from_ms: int | None, to_ms: int | None) -> RatedSums:
    """The counts of a site's calls that started in [from_ms, to_ms); None: from the first, to the last.

    Raises StoreError.
    """
    with failing("read"):
        async with store.engine.connect() as connection:
            first_ms = await connection.scalar(select(func.min(calls.c.at_ms)))
            last_ms = await connection.scalar(select(func.max(calls.c.at_ms)))
    begins = max(from_ms or 0, first_ms or 0)
    ends = (last_ms or 0) + 1
    if to_ms is not None:
        ends = min(ends, to_ms)
    sums: RatedSums = {}
    # Sums are of whole quarters of an hour.
    first, last = slot_of(begins + SLOT_MS - 1), slot_of(ends)
    from_records = [(begins, ends)]
    if first < last:
        kept = await StoredSums(store.engine, site).kept(first, last, days=True, only="rated")
        for part in (*kept.days.values(), *kept.slots.values()):
            add_sums(sums, part.rated or {})
        from_records = [(begins, first), *kept.gaps(first, last), (last, ends)]
    for some_ms, until_ms in from_records:
        if some_ms < until_ms:
            async for record in store.calls(CallQuery(site=site, from_ms=some_ms, to_ms=until_ms)):
                add_call(sums, record)
    return sums
