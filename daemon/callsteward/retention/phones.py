"""Old changes of operators' phones are deleted: the sums that were made of them stay.

Of each phone the last change before the time that is kept stays, too: it is the state with which that begins.
"""

from __future__ import annotations

from sqlalchemy import and_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from callsteward.intervals.store import IntervalStore
from callsteward.retention.steps import delete_in_steps
from callsteward.store.engine import failing
from callsteward.store.tables import phone_states

# Changes deleted in one transaction. There are several a call.
AT_ONCE = 200


async def delete_phone_states(engine: AsyncEngine, site: str, before_ms: int, *, rest: float) -> int:
    """Delete the changes of a site's phones before a moment, step by step; how many there were.

    `rest`: the pause after a step, in times of its length. Raises StoreError.
    """
    count = 0
    for operator in await IntervalStore(engine, site).phones():
        mine = phone_states.c.site == site, phone_states.c.operator == operator
        place = phone_states.c.at_ms, phone_states.c.id
        newest = select(phone_states.c.id).where(*mine, phone_states.c.at_ms < before_ms)
        newest = newest.order_by(*(column.desc() for column in place)).limit(1)
        with failing("read"):
            async with engine.connect() as connection:
                stays = await connection.scalar(newest)
        if stays is None:
            continue
        old = and_(*mine, phone_states.c.at_ms < before_ms, phone_states.c.id != stays)
        count += await delete_in_steps(engine, phone_states, old, order=place, at_once=AT_ONCE, rest=rest)
    return count
