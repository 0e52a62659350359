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
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from callsteward.config import Config
from callsteward.exceptions import FeedError
from callsteward.record.facts import CallEnded
from callsteward.store.engine import failing, writing
from callsteward.store.message import Announce, Outgoing
from callsteward.store.outbox import Outbox, enqueue
from callsteward.store.records import Store

# Put in at a time, and how many may wait for more to be put in.
CHUNK = 250
WAITING = 2_000
# The share of the outbox that sending again may fill.
SHARE = 0.5
PATIENCE_S = 30.0
LOOK_EVERY_S = 0.2


class ResendSpan(msgspec.Struct, frozen=True):
    """The span of the messages to send again, [from_ms, to_ms) in ms since 1970. `line`: None for all."""

    from_ms: int
    to_ms: int
    line: str | None = None


class Again(NamedTuple):
    """A fact to be told again; `stored_ms`: when it was stored, where the fact itself does not say."""

    fact: object
    stored_ms: int | None = None


LeaveOut = Callable[[], None]
"""Called for a message that cannot be made again as it was."""
ReadAgain = Callable[[Config, Store, ResendSpan, LeaveOut], AsyncIterator[Again]]
Still = Callable[[AsyncConnection, Sequence[Any]], Awaitable[Sequence[Any]]]


class ResendSource(NamedTuple):
    """Where one kind of message comes from again, in the order in which they were made.

    `still`: of facts that were read, those that may be sent now, in the transaction that puts them in.
    """

    read: ReadAgain
    still: Still | None = None


async def records(
    config: Config, store: Store, span: ResendSpan, _leave_out: LeaveOut
) -> AsyncIterator[Again]:
    """The call records stored in the span."""
    found = store.stored(config.site.name, from_ms=span.from_ms, to_ms=span.to_ms, line=span.line)
    async for stored_ms, record in found:
        yield Again(CallEnded(record), stored_ms)


class _Made(NamedTuple):
    """A message that was made again."""

    fact: object
    outgoing: Outgoing


async def resend(
    config: Config,
    store: Store,
    span: ResendSpan,
    sources: Mapping[str, ResendSource],
    *,
    announce: Announce,
    progress: Callable[[int], None] = lambda _: None,
    left_out: Counter[str] | None = None,
) -> Counter[str]:
    """Put the messages of a span into the outbox again; how many of each kind.

    `progress` is told how many there are so far. `left_out` counts those that cannot be made again as they
    were, and intervals that were revised meanwhile, which are sent by themselves.

    Raises FeedError where the outbox does not empty: nobody delivers, or the broker is away.
    """
    outbox = Outbox(store.engine, config.site.name)
    done: Counter[str] = Counter()
    missing: Counter[str] = Counter() if left_out is None else left_out
    chunk: list[_Made] = []

    async def put() -> None:
        await _until_there_is_room(outbox, config.mqtt.outbox_bytes, chunk[0].outgoing.made_at_ms)
        with failing("write to"):
            async with writing(store.engine) as connection:
                still = await _current(connection, sources, chunk)
                await enqueue(connection, still)
        done.update(message.kind for message in still)
        missing.update(made.outgoing.kind for made in chunk)
        missing.subtract(message.kind for message in still)
        progress(done.total())
        chunk.clear()

    async def made(kind: str) -> AsyncIterator[_Made]:
        async for again in sources[kind].read(config, store, span, lambda: missing.update([kind])):
            for outgoing in announce(again.fact, again.stored_ms):
                yield _Made(again.fact, outgoing)

    async for message in _merged([made(kind) for kind in sources]):
        chunk.append(message)
        if len(chunk) == CHUNK:
            await put()
    if chunk:
        await put()
    return done


async def _current(
    connection: AsyncConnection, sources: Mapping[str, ResendSource], chunk: Sequence[_Made]
) -> list[Outgoing]:
    """The messages that may be sent now."""
    left_out: set[int] = set()
    for kind, source in sources.items():
        if source.still is not None:
            facts = [made.fact for made in chunk if made.outgoing.kind == kind]
            # A fact may hold a dict: facts are told apart by what they are, not by hash.
            still = {id(fact) for fact in await source.still(connection, facts)}
            left_out |= {id(fact) for fact in facts} - still
    return [made.outgoing for made in chunk if id(made.fact) not in left_out]


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


async def _merged(sources: list[AsyncIterator[_Made]]) -> AsyncIterator[_Made]:
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
