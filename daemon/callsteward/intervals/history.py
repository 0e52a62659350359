"""Published interval rows, made again for `callsteward feed resend`.

Only the digest of a row is stored, so the row is summed from the stored calls once more. If the result is the
same, it is the same message; if not, the row is about to be revised, or its calls, lines or thresholds are
gone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callsteward.config import Config
from callsteward.feed.resend import Again, LeaveOut, ResendSource, ResendSpan
from callsteward.intervals import slot
from callsteward.intervals.grid import MINUTE_MS
from callsteward.intervals.row import IntervalKind, IntervalRow
from callsteward.intervals.scheme import scheme
from callsteward.intervals.slot import Scheme
from callsteward.intervals.store import IntervalStore
from callsteward.store.engine import failing
from callsteward.store.records import Store
from callsteward.store.tables import interval_revisions

_HELD = 4

Key = tuple[IntervalKind, str]


async def published(
    engine: AsyncEngine,
    scheme: Scheme,
    *,
    from_ms: int,
    to_ms: int,
    line: str | None = None,
    leave_out: Callable[[], None] = lambda: None,
) -> AsyncIterator[tuple[int, IntervalRow]]:
    """Each row whose last revision was made in [from_ms, to_ms), with that time, in that order.

    `line`: only this line's rows, and no operator's. `leave_out` is called for each row that cannot be made
    again. Raises StoreError.
    """
    store = IntervalStore(engine, scheme.site)
    revisions = interval_revisions.c
    query = select(interval_revisions).where(
        revisions.site == scheme.site,
        revisions.minutes == scheme.minutes,
        revisions.changed_at_ms >= from_ms,
        revisions.changed_at_ms < to_ms,
    )
    if line is not None:
        query = query.where(revisions.kind == IntervalKind.LINE.value, revisions.name == line)
    query = query.order_by(revisions.changed_at_ms, revisions.id)
    with failing("read"):
        async with engine.connect() as connection:
            found = (await connection.execute(query)).all()
    # A publisher writes the rows of an interval together: few intervals are needed at a time.
    made: dict[int, dict[Key, IntervalRow]] = {}
    for last in found:
        if last.start_ms not in made:
            if len(made) >= _HELD:
                del made[next(iter(made))]
            made[last.start_ms] = await _rows(engine, store, scheme, last.start_ms)
        row = made[last.start_ms].get((IntervalKind(last.kind), last.name))
        if row is None or row.digest != last.digest:
            leave_out()
            continue
        yield last.changed_at_ms, msgspec.structs.replace(row, revision=last.revision, final=last.final)


async def _rows(
    engine: AsyncEngine, store: IntervalStore, scheme: Scheme, start_ms: int
) -> dict[Key, IntervalRow]:
    """The rows of an interval as they are summed now, including lines that have been removed since."""
    with failing("read"):
        async with engine.connect() as connection:
            revisions = await store.revisions(connection, start_ms, scheme.minutes)
    names = {kind: [name for of, name in revisions if of is kind] for kind in IntervalKind}
    then = msgspec.structs.replace(
        scheme,
        lines=tuple(dict.fromkeys([*scheme.lines, *names[IntervalKind.LINE]])),
        operators=tuple(dict.fromkeys([*scheme.operators, *names[IntervalKind.OPERATOR]])),
    )
    known = await store.known(start_ms, start_ms + scheme.minutes * MINUTE_MS, then.operators)
    return {(row.kind, row.name): row for row in slot.rows(then, start_ms, known)}


async def still_published(connection: AsyncConnection, rows: Sequence[IntervalRow]) -> list[IntervalRow]:
    """The rows that no newer revision has replaced, in the connection's transaction."""
    return [row for row in rows if await _revision(connection, row) == row.revision]


async def _revision(connection: AsyncConnection, row: IntervalRow) -> int | None:
    revisions = interval_revisions.c
    query = select(revisions.revision).where(
        revisions.site == row.site,
        revisions.start_ms == row.start_ms,
        revisions.kind == row.kind.value,
        revisions.name == row.name,
        revisions.minutes == row.minutes,
    )
    found: int | None = await connection.scalar(query)
    return found


async def _again(config: Config, store: Store, span: ResendSpan, leave_out: LeaveOut) -> AsyncIterator[Again]:
    """The last revisions of rows, those made in the span."""
    found = published(
        store.engine,
        scheme(config),
        from_ms=span.from_ms,
        to_ms=span.to_ms,
        line=span.line,
        leave_out=leave_out,
    )
    async for made_ms, row in found:
        yield Again(row, made_ms)


# A revision does not follow a newer one, which the broker would forget.
AGAIN = {"interval": ResendSource(_again, still_published)}
