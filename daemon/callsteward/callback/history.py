"""Makes the facts of the ledger's steps again, as they were published: for `callsteward feed resend`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from callsteward.callback.ledger import CallbackLedger
from callsteward.callback.states import CallbackMoved, CallbackRow, CallbackState, Transition
from callsteward.config import Config
from callsteward.feed.resend import Again, LeaveOut, ResendSource, ResendSpan
from callsteward.record.callback_id import channel_id
from callsteward.store.engine import failing
from callsteward.store.records import Store
from callsteward.store.tables import callback_transitions, callbacks

_PAGE = 500


def told(callback: CallbackRow, story: Sequence[Transition]) -> list[CallbackMoved]:
    """Each step as it was published when it was made. `story`: all steps of the callback, oldest first."""
    moves = []
    attempts, asked, channel = 0, None, None
    for step in story:
        if step.state is CallbackState.OFFERED:
            attempts += 1
            asked, channel = step.operator, channel_id(callback.id, attempts, callback.line)
        elif step.state is CallbackState.DUE:
            asked, channel = None, None
        then = msgspec.structs.replace(
            callback,
            state=step.state,
            reason=step.reason,
            changed_at_ms=step.at_ms,
            attempts=attempts,
            asked=asked,
            channel_id=channel,
        )
        moves.append(CallbackMoved(then, step.actor))
    return moves


async def steps(
    engine: AsyncEngine, site: str, *, from_ms: int, to_ms: int, line: str | None = None
) -> AsyncIterator[CallbackMoved]:
    """The steps made in [from_ms, to_ms), in the order they were made. Raises StoreError."""
    ledger = CallbackLedger(engine, site)
    moved = callback_transitions
    query = select(moved.c.id, callbacks.c.origin_call_id).join(callbacks, callbacks.c.id == moved.c.callback)
    query = query.where(callbacks.c.site == site, moved.c.at_ms >= from_ms, moved.c.at_ms < to_ms)
    if line is not None:
        query = query.where(callbacks.c.line == line)
    query = query.order_by(moved.c.id).limit(_PAGE)
    # The callbacks of a page, each with those of its steps in the span that are still to be yielded.
    known: dict[str, list[CallbackMoved]] = {}
    after = 0
    while True:
        with failing("read"):
            async with engine.connect() as connection:
                rows = (await connection.execute(query.where(moved.c.id > after))).all()
        for row in rows:
            if row.origin_call_id not in known:
                callback = await ledger.find(row.origin_call_id)
                if callback is None:
                    continue
                known[row.origin_call_id] = [
                    step
                    for step in told(callback, await ledger.story(callback))
                    if from_ms <= step.callback.changed_at_ms < to_ms
                ]
            of_callback = known[row.origin_call_id]
            if of_callback:
                yield of_callback.pop(0)
        if len(rows) < _PAGE:
            return
        after = rows[-1].id


async def _again(
    config: Config, store: Store, span: ResendSpan, _leave_out: LeaveOut
) -> AsyncIterator[Again]:
    """The steps of callbacks made in the span."""
    site = config.site.name
    async for step in steps(store.engine, site, from_ms=span.from_ms, to_ms=span.to_ms, line=span.line):
        yield Again(step)


AGAIN = {"callback": ResendSource(_again)}
