"""Takes the tags among the facts: writes each down once, and does what follows from it.

Runs where callbacks are decided, between the tracker and the store. What follows is done before the tag
is written down: whatever a kill leaves undone is done again when the journal is run again, and a tag
that is in the book is finished with.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
import structlog

from callsteward.callback.states import Actor
from callsteward.record.call import CallRecord, Decision
from callsteward.record.facts import CallEnded, CallTagged, Fact
from callsteward.record.tag import Given, Source, Tag, evidence
from callsteward.tags import late
from callsteward.tags.book import TagBook
from callsteward.tags.consequences import Consequences

if TYPE_CHECKING:
    from callsteward.config import Config

log = structlog.get_logger(__name__)

Judge = Callable[[Sequence[Fact]], Awaitable[Sequence[Fact]]]

NOTED = "noted"
# Records of the last calls, at hand before the store has them.
_REMEMBERED = 1_000


class Tagging:
    """One for a daemon. `inner` judges the calls that end (callback.decisions), None: nobody does."""

    def __init__(self, config: Config, consequences: Consequences, inner: Judge | None) -> None:
        self._config = config
        self._late_ms = int(config.tags.late_s * 1000)
        self._wrap_up_ms = int(config.tags.wrap_up_s * 1000)
        self._consequences = consequences
        self._book: TagBook = consequences.book
        self._inner = inner
        self._recent: OrderedDict[str, CallRecord] = OrderedDict()
        self.on_answer: Callable[[str, bool], None] = _nobody
        """Told whether a code dialled on a phone (its channel's name) was taken."""
        self.on_complaint: Callable[[CallTagged], Awaitable[None]] = _nothing
        """Awaited for each new tag `complaint`, before it is written down; may be called again for it."""
        self._waiting: dict[str, asyncio.Future[CallTagged]] = {}

    async def judge(self, facts: Sequence[Fact]) -> Sequence[Fact]:
        """The facts as they are to be told. Raises StoreError; may be asked again."""
        judged: list[Fact] = []
        numbers: list[tuple[CallRecord, str]] = []
        async with self._consequences.lock:
            for fact in facts:
                if isinstance(fact, CallTagged):
                    await self._book.remember(numbers)
                    numbers.clear()
                    tagged, new = await self._tagged(fact)
                    if new:
                        judged.append(tagged)
                    continue
                told = (fact,) if self._inner is None else await self._inner((fact,))
                for item in told:
                    if isinstance(item, CallEnded):
                        numbers += self._remember(item)
                judged += told
            # One write for all: calls end together when a PBX goes down.
            await self._book.remember(numbers)
        return judged

    def expect(self, command: str) -> asyncio.Future[CallTagged]:
        """What will come of a command that is put into the stream."""
        future: asyncio.Future[CallTagged] = asyncio.get_running_loop().create_future()
        self._waiting[command] = future
        future.add_done_callback(lambda _: self._waiting.pop(command, None))
        return future

    def _remember(self, fact: CallEnded) -> list[tuple[CallRecord, str]]:
        """Have the record at hand; with it the client's number, where there is one to keep."""
        record = fact.record
        self._recent[record.call_id] = record
        self._recent.move_to_end(record.call_id)
        if len(self._recent) > _REMEMBERED:
            self._recent.popitem(last=False)
        number = self._consequences.guard.kept(fact.client_number)
        return [] if number is None else [(record, number)]

    async def _tagged(self, fact: CallTagged) -> tuple[CallTagged, bool]:
        """The fact with what came of it, and whether it is news."""
        record: CallRecord | None = None
        if fact.ended and not fact.refused:
            record = await self._record_of(fact)
            fact = _of_record(fact, record, self._late_ms)
        if fact.refused or fact.tag is None:
            return self._answered(fact, new=True)
        given = Given(fact.tag, fact.value)
        known = await self._book.find(fact.call_id, given)
        if known is not None:
            return self._answered(msgspec.structs.replace(fact, result=known.result), new=False)
        fact = await self._follow(fact, given, record)
        if fact.refused:
            return self._answered(fact, new=True)
        await self._book.add(fact, given)
        return self._answered(fact, new=True)

    async def _record_of(self, fact: CallTagged) -> CallRecord | None:
        if not fact.call_id:
            return await self._book.last_of(fact.by, fact.at_ms - self._wrap_up_ms)
        return self._recent.get(fact.call_id) or await self._book.record(fact.call_id)

    async def _follow(self, fact: CallTagged, given: Given, record: CallRecord | None) -> CallTagged:
        """Do what the tag asks for; the fact says what that came to."""
        result = NOTED
        if given.tag is Tag.DNC:
            raw = fact.client_number or await self._book.number(fact.call_id)
            number = self._consequences.guard.read(raw)
            if number is None:
                several = self._consequences.guard.ambiguous(raw)
                return msgspec.structs.replace(fact, refused="ambiguous_number" if several else "no_number")
            await self._consequences.forbid(
                number, by=_who(fact), comment=f"tag of call {fact.call_id}", actor=actor(fact.source)
            )
            result = "do_not_call"
        elif given.tag is Tag.DROPPED and record is not None:
            decision, _ = await self._consequences.call_back(
                record,
                late.dropped(record, self._config.profile(record.line)),
                await self._book.number(record.call_id),
                evidence(given, fact.by, fact.source),
            )
            result = f"callback_{decision.decision.value}: {decision.reason}"
            if decision.decision is Decision.DUE:
                result = "callback_due"
        elif given.tag is Tag.COMPLAINT:
            await self.on_complaint(fact)
        return msgspec.structs.replace(fact, result=result)

    def _answered(self, fact: CallTagged, *, new: bool) -> tuple[CallTagged, bool]:
        """Tell whoever waits: the phone, the command, the log (never a value: it may name a person)."""
        taken = not fact.refused
        if fact.channel:
            self.on_answer(fact.channel, taken)
        waiting = self._waiting.get(fact.command)
        if waiting is not None and not waiting.done():
            waiting.set_result(fact)
        if new:
            log.log(
                20 if taken else 30,
                "call tagged" if taken else "tag refused",
                action="call_tagged" if taken else "tag_refused",
                call_id=fact.call_id or None,
                tag=None if fact.tag is None else fact.tag.value,
                by=fact.by,
                source=fact.source.value,
                result=fact.result or fact.refused,
            )
        return fact, new


def actor(source: Source) -> Actor:
    """Who acts by that way, in the ledger's words."""
    return Actor.OPERATOR if source in {Source.PHONE, Source.WRAP_UP} else Actor.INTEGRATION


def _of_record(fact: CallTagged, record: CallRecord | None, late_ms: int) -> CallTagged:
    """The fact with the call it means; refused where there is none, or it is too long ago."""
    if record is None:
        return msgspec.structs.replace(fact, refused="unknown_call" if fact.call_id else "no_call_to_tag")
    fact = msgspec.structs.replace(fact, call_id=record.call_id, line=record.line)
    if record.ended_at is not None and fact.at_ms - ended_ms(record) > late_ms and fact.command:
        return msgspec.structs.replace(fact, refused="too_late")
    return fact


def ended_ms(record: CallRecord) -> int:
    ended = record.ended_at or record.started_at
    return 0 if ended is None else round(datetime.fromisoformat(ended).timestamp() * 1000)


def _who(fact: CallTagged) -> str:
    return f"{fact.by or 'nobody named'} ({fact.source.value})"


def _nobody(_channel: str, _taken: bool) -> None:
    pass


async def _nothing(_fact: CallTagged) -> None:
    pass
