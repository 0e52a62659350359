"""Sending again what the store still holds: for a subscriber that was away, or an outbox that was full.

The messages are made anew with the `message_id` they had, so who has one already leaves it out. They go
through the outbox, behind what waits there, and only as fast as it empties: sending again must not push
out what was never sent.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection
from datetime import UTC, datetime

import msgspec

from callsteward.callback import history
from callsteward.config import Config
from callsteward.exceptions import FeedError
from callsteward.feed.durable import Durable
from callsteward.store.outbox import DurableKind, Outbox, Outgoing
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


Source = Callable[[Config, Store, Span], AsyncIterator[Outgoing]]


async def records(config: Config, store: Store, span: Span) -> AsyncIterator[Outgoing]:
    """The call records stored in the span."""
    durable = Durable(config)
    found = store.stored(config.site.name, from_ms=span.from_ms, to_ms=span.to_ms, line=span.line)
    async for stored_ms, record in found:
        for message in durable.record(record, stored_ms):
            yield message


async def callbacks(config: Config, store: Store, span: Span) -> AsyncIterator[Outgoing]:
    """The steps of callbacks made in the span."""
    durable = Durable(config)
    found = history.steps(
        store.engine, config.site.name, from_ms=span.from_ms, to_ms=span.to_ms, line=span.line
    )
    async for step in found:
        for message in durable.callback(step):
            yield message


SOURCES: dict[DurableKind, Source] = {DurableKind.RECORD: records, DurableKind.CALLBACK: callbacks}


async def resend(
    config: Config,
    store: Store,
    span: Span,
    kinds: Collection[DurableKind],
    *,
    progress: Callable[[int], None] = lambda _: None,
) -> Counter[DurableKind]:
    """Put the messages of a span into the outbox again; how many of each kind.

    `progress` is told how many there are so far. Raises FeedError where the outbox does not empty: nobody
    delivers, or the broker is away.
    """
    outbox = Outbox(store.engine, config.site.name)
    done: Counter[DurableKind] = Counter()
    chunk: list[Outgoing] = []

    async def put() -> None:
        await _until_there_is_room(outbox, config.mqtt.outbox_bytes, chunk[0].made_at_ms)
        await outbox.put(chunk)
        done.update(message.kind for message in chunk)
        progress(done.total())
        chunk.clear()

    async for message in _merged([SOURCES[kind](config, store, span) for kind in kinds]):
        chunk.append(message)
        if len(chunk) == CHUNK:
            await put()
    if chunk:
        await put()
    return done


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


async def _merged(sources: list[AsyncIterator[Outgoing]]) -> AsyncIterator[Outgoing]:
    """All of them in the order they were made."""
    heads = [(await anext(source, None), source) for source in sources]
    while True:
        there = [(head.made_at_ms, place) for place, (head, _) in enumerate(heads) if head is not None]
        if not there:
            return
        place = min(there)[1]
        head, source = heads[place]
        assert head is not None
        yield head
        heads[place] = (await anext(source, None), source)
