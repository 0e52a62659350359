"""Takes the tags among the facts: writes each down once, and does what follows from it.

Runs behind the callbacks' decision, between the tracker and the store. What follows is done before the tag
is written down: whatever a kill leaves undone is done again when the journal is run again, and a tag
that is in the book is finished with.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
import structlog

from callsteward.outgoing.words import Actor
from callsteward.record.call import CallRecord, Decision
from callsteward.record.facts import CallEnded, CallTagged, Fact
from callsteward.record.tag import Given, Source, Tag, evidence
from callsteward.tags import late
from callsteward.tags.book import TagBook
from callsteward.tags.consequences import Consequences

if TYPE_CHECKING:
    from callsteward.config import Config

log = structlog.get_logger(__name__)

NOTED = "noted"
# Records of the last calls, at hand before the store has them.
_REMEMBERED = 1_000


class Tagging:
    """One for a daemon. `answer` is told whether a code dialled on a phone (its channel's name) was taken."""

    def __init__(
        self, config: Config, consequences: Consequences, *, answer: Callable[[str, bool], None]
    ) -> None:
        self._config = config
        self._late_ms = int(config.tags.late_s * 1000)
        self._wrap_up_ms = int(config.tags.wrap_up_s * 1000)
        self._consequences = consequences
        self._book: TagBook = consequences.book
        self._answer = answer
        self._recent: OrderedDict[str, CallRecord] = OrderedDict()
        self._waiting: dict[str, asyncio.Future[CallTagged]] = {}

    async def judge(self, facts: Sequence[Fact]) -> Sequence[Fact]:
        """The facts with what came of each tag. Raises StoreError; may be asked again."""
        judged: list[Fact] = []
        numbers: list[tuple[CallRecord, str]] = []
        for fact in facts:
            if isinstance(fact, CallTagged):
                self._book.remember(numbers)
                numbers.clear()
                judged.append(await self._tagged(fact))
                continue
            if isinstance(fact, CallEnded):
                numbers += self._remember(fact)
            judged.append(fact)
        self._book.remember(numbers)
        return judged

    async def record(self, call_id: str) -> CallRecord | None:
        """The record of a call that has ended, also before the store has it."""
        return self._recent.get(call_id) or await self._book.record(call_id)

    def expect(self, command: str) -> asyncio.Future[CallTagged]:
        """A future for the fact that will follow from a command put into the stream."""
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

    async def _tagged(self, fact: CallTagged) -> CallTagged:
        """The fact with what came of it, and whether it was told before."""
        record: CallRecord | None = None
        if fact.ended and not fact.refused:
            record = await self._record_of(fact)
            fact = _of_record(fact, record, self._late_ms)
        if fact.refused or fact.tag is None:
            return self._answered(fact)
        given = Given(fact.tag, fact.value)
        known = await self._book.find(fact.call_id, given)
        if known is not None:
            return self._answered(msgspec.structs.replace(fact, result=known.result, repeated=True))
        fact = await self._follow(fact, given, record)
        if not fact.refused:
            await self._book.add(fact, given)
        return self._answered(fact)

    async def _record_of(self, fact: CallTagged) -> CallRecord | None:
        if not fact.call_id:
            return await self._book.last_of(fact.by, fact.at_ms - self._wrap_up_ms)
        return await self.record(fact.call_id)

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
        return msgspec.structs.replace(fact, result=result)

    def _answered(self, fact: CallTagged) -> CallTagged:
        """Tell whoever waits: the phone, the command, the log (never a value: it may name a person)."""
        taken = not fact.refused
        if fact.channel:
            self._answer(fact.channel, taken)
        waiting = self._waiting.get(fact.command)
        if waiting is not None and not waiting.done():
            waiting.set_result(fact)
        if not fact.repeated:
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
        return fact


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
