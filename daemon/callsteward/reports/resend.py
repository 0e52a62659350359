"""Sending again what the store still holds: for a subscriber that was away, or an outbox that was full.

The messages are made anew with the `message_id` they had, so who has one already leaves it out. They go
through the outbox, behind what waits there, and only as fast as it empties: sending again must not push
out what was never sent.

Records and steps of callbacks are all kept. Of a rating the ledger keeps the last step, of an interval the
store keeps the last revision: the one that counts.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from callsteward.callback import history
from callsteward.config import Config
from callsteward.exceptions import FeedError
from callsteward.feed.durable import Durable
from callsteward.intervals import history as history_of_intervals
from callsteward.intervals.compose import scheme
from callsteward.intervals.row import IntervalRow
from callsteward.rating.complaints import Complaints
from callsteward.rating.ledger import Ledger as RatingLedger
from callsteward.store.engine import failing, writing
from callsteward.store.outbox import DurableKind, Outbox, Outgoing, enqueue
from callsteward.store.records import Store

# Put in at a time, and how many may wait for more to be put in.
CHUNK = 250
WAITING = 2_000
# The share of the outbox that sending again may fill.
SHARE = 0.5
PATIENCE_S = 30.0
LOOK_EVERY_S = 0.2


class Span(msgspec.Struct, frozen=True):
    """What was made in [from_ms, to_ms), ms since 1970. `line`: None for all."""

    from_ms: int
    to_ms: int
    line: str | None = None


class Message(NamedTuple):
    """A message made again; `row`: of the interval it tells, which must not follow a newer revision."""

    outgoing: Outgoing
    row: IntervalRow | None = None


LeaveOut = Callable[[], None]
"""Called for what cannot be made again as it was."""
Source = Callable[[Config, Store, Span, LeaveOut], AsyncIterator[Message]]


async def records(config: Config, store: Store, span: Span, _leave_out: LeaveOut) -> AsyncIterator[Message]:
    """The call records stored in the span."""
    durable = Durable(config)
    found = store.stored(config.site.name, from_ms=span.from_ms, to_ms=span.to_ms, line=span.line)
    async for stored_ms, record in found:
        for message in durable.record(record, stored_ms):
            yield Message(message)


async def callbacks(config: Config, store: Store, span: Span, _leave_out: LeaveOut) -> AsyncIterator[Message]:
    """The steps of callbacks made in the span."""
    durable = Durable(config)
    found = history.steps(
        store.engine, config.site.name, from_ms=span.from_ms, to_ms=span.to_ms, line=span.line
    )
    async for step in found:
        for message in durable.callback(step):
            yield Message(message)


async def ratings(config: Config, store: Store, span: Span, leave_out: LeaveOut) -> AsyncIterator[Message]:
    """The last steps of ratings, those made in the span."""
    durable = Durable(config)
    ledger = RatingLedger(store.engine, config.site.name)
    async for rating in ledger.changed(span.from_ms, span.to_ms, line=span.line):
        if rating.comment_ms is not None and rating.comment_file is None:
            # Past the retention: its name was in the message, and in its message_id.
            leave_out()
            continue
        for message in durable.rating(rating):
            yield Message(message)


async def complaints(
    config: Config, store: Store, span: Span, _leave_out: LeaveOut
) -> AsyncIterator[Message]:
    """The complaints raised in the span."""
    durable = Durable(config)
    for raised in await Complaints(store.engine, config.site.name).listed(line=span.line, everything=True):
        if span.from_ms <= raised.raised_at_ms < span.to_ms:
            for message in durable.complaint(raised):
                yield Message(message)


async def intervals(config: Config, store: Store, span: Span, leave_out: LeaveOut) -> AsyncIterator[Message]:
    """The last revisions of rows, those made in the span."""
    durable = Durable(config)
    found = history_of_intervals.published(
        store.engine,
        scheme(config),
        from_ms=span.from_ms,
        to_ms=span.to_ms,
        line=span.line,
        leave_out=leave_out,
    )
    async for made_ms, row in found:
        for message in durable.interval(row, made_ms):
            yield Message(message, row)


SOURCES: dict[DurableKind, Source] = {
    DurableKind.RECORD: records,
    DurableKind.CALLBACK: callbacks,
    DurableKind.RATING: ratings,
    DurableKind.COMPLAINT: complaints,
    DurableKind.INTERVAL: intervals,
}


async def resend(
    config: Config,
    store: Store,
    span: Span,
    kinds: Collection[DurableKind],
    *,
    progress: Callable[[int], None] = lambda _: None,
    left_out: Counter[DurableKind] | None = None,
) -> Counter[DurableKind]:
    """Put the messages of a span into the outbox again; how many of each kind.

    `progress` is told how many there are so far. `left_out` counts those that cannot be made again as they
    were, and intervals that were revised meanwhile, which are sent by themselves.

    Raises FeedError where the outbox does not empty: nobody delivers, or the broker is away.
    """
    outbox = Outbox(store.engine, config.site.name)
    done: Counter[DurableKind] = Counter()
    missing: Counter[DurableKind] = Counter() if left_out is None else left_out
    chunk: list[Message] = []

    async def put() -> None:
        await _until_there_is_room(outbox, config.mqtt.outbox_bytes, chunk[0].outgoing.made_at_ms)
        with failing("write to"):
            async with writing(store.engine) as connection:
                still = await _current(connection, chunk)
                await enqueue(connection, still)
        missing.update({DurableKind.INTERVAL: len(chunk) - len(still)})
        done.update(message.kind for message in still)
        progress(done.total())
        chunk.clear()

    def source(kind: DurableKind) -> AsyncIterator[Message]:
        return SOURCES[kind](config, store, span, lambda: missing.update([kind]))

    async for message in _merged([source(kind) for kind in kinds]):
        chunk.append(message)
        if len(chunk) == CHUNK:
            await put()
    if chunk:
        await put()
    return done


async def _current(connection: AsyncConnection, chunk: Sequence[Message]) -> list[Outgoing]:
    """What may be sent: a revision of an interval not after a newer one, which the broker would forget."""
    rows = [message.row for message in chunk if message.row is not None]
    # Rows hold a dict: they are told apart by what they are, not by hash.
    still = {id(row) for row in await history_of_intervals.still_published(connection, rows)}
    return [message.outgoing for message in chunk if message.row is None or id(message.row) in still]


async def _until_there_is_room(outbox: Outbox, limit_bytes: int, next_ms: int) -> None:
    least = None
    give_up_s = time.monotonic() + PATIENCE_S
    while True:
        measure = await outbox.measure()
        if measure.messages < WAITING and measure.size < SHARE * limit_bytes:
            return
        if least is None or measure.messages < least:
            least = measure.messages
            give_up_s = time.monotonic() + PATIENCE_S
        if time.monotonic() > give_up_s:
            at = datetime.fromtimestamp(next_ms / 1000, UTC).isoformat(timespec="milliseconds")
            message = (
                f"{measure.messages} messages wait in the outbox and none leaves: does the daemon run, and"
                f" is the broker there? Then go on with --from {at}"
            )
            raise FeedError(message)
        await asyncio.sleep(LOOK_EVERY_S)


async def _merged(sources: list[AsyncIterator[Message]]) -> AsyncIterator[Message]:
    """All of them in the order they were made."""
    heads = [(await anext(source, None), source) for source in sources]
    while True:
        there = [
            (head.outgoing.made_at_ms, place) for place, (head, _) in enumerate(heads) if head is not None
        ]
        if not there:
            return
        place = min(there)[1]
        head, source = heads[place]
        assert head is not None
        yield head
        heads[place] = (await anext(source, None), source)
