"""Tags, commands and callbacks together on a database, with a clock of their own and without Asterisk."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
from pydantic import SecretStr

from callsteward.ari import events
from callsteward.ari.phone_answers import PhoneAnswers
from callsteward.callback.feature import CallbackFeature
from callsteward.callback.ledger import CallbackLedger
from callsteward.callback.states import CallbackMoved
from callsteward.calls.tracker import Tracker
from callsteward.commands.core import AcknowledgesComplaints, Commands
from callsteward.commands.done import CommandsDone
from callsteward.commands.feature import CommandsFeature
from callsteward.commands.reply import Reply
from callsteward.config import CallbackSettings, Config, Line, Operator, Privacy, Tags
from callsteward.outgoing.do_not_call import DoNotCall
from callsteward.part import Feature
from callsteward.record.call import CallbackDecision, CallRecord, Decision
from callsteward.record.facts import CallEnded, CallHappened, CallTagged, Fact, Happening
from callsteward.record.tag import Source, Tag
from callsteward.store.records import Store
from callsteward.tags.book import TagBook
from callsteward.tags.feature import TagsFeature
from callsteward.tags.part import TagsPart
from callsteward.testing import StandIn
from callsteward.web.probes import Readiness
from tests.unit.store.samples import RECORD

NOON = 1_795_345_200_000  # 2026-11-22 12:00 in Moscow
NUMBER = "79031234567"
E164 = "+79031234567"


class FrontDesk:
    """A daemon without Asterisk: facts go in at `judge`, commands at `send`."""

    def __init__(
        self,
        store: Store,
        *,
        callbacks: bool = True,
        patience_s: float = 5.0,
        features: Sequence[Feature] = (),
        complaints: AcknowledgesComplaints | None = None,
        **sections: Any,
    ) -> None:
        self.now_ms = NOON
        self.config = Config(
            **{
                "lines": (Line(name="support", operators=("101", "102")),),
                "operators": {"101": Operator(), "102": Operator()},
                "callback": CallbackSettings(enabled=callbacks),
                "tags": Tags(enabled=True),
                "privacy": Privacy(hmac_key=SecretStr("key")),
                **sections,
            }
        )
        self.store = store
        self.book = TagBook(store.engine, "main")
        self.dnc = DoNotCall(store.engine)
        self.ledger = CallbackLedger(store.engine, "main")
        self.done = CommandsDone(store.engine, "main")
        self.full = False
        self.stuck = False
        self._waiting: list[Fact] = []
        self._patience_s = patience_s
        self._features = features
        self._answers: list[tuple[str, bool]] = []
        self._phones: PhoneAnswers | None = None
        self._complaints = complaints
        self.restart()

    def restart(self) -> None:
        """A new process of the daemon."""
        if self._phones is not None:
            self._answers += taken_out(self._phones)
        self.site = StandIn(
            self.store,
            self.config,
            (CallbackFeature(), TagsFeature(), CommandsFeature(), *self._features),
            now_ms=lambda: self.now_ms,
        )
        tags = self.site.part(TagsPart)
        self.consequences, self.tagging, self._phones = tags.consequences, tags.tagging, tags.answers
        self.tracker = Tracker(self.config)
        self.commands = Commands(
            self.config,
            consequences=self.consequences,
            tagging=self.tagging,
            done=self.done,
            put=self._put,
            now_ms=lambda: self.now_ms,
            complaints=self._complaints,
            patience_s=self._patience_s,
        )

    @property
    def moves(self) -> list[CallbackMoved]:
        return [fact for fact in self.site.told if isinstance(fact, CallbackMoved)]

    @property
    def answers(self) -> list[tuple[str, bool]]:
        """The replies that phones got."""
        assert self._phones is not None
        self._answers += taken_out(self._phones)
        return self._answers

    def _put(self, frame: bytes) -> bool:
        """The stream: a frame put into it goes through the tracker to the judge."""
        if self.full:
            return False
        event = events.decode(frame)
        assert event is not None
        facts = self.tracker.handle(event)
        if self.stuck:
            self._waiting += facts
        else:
            self._pump = asyncio.create_task(self._judge(facts))
        return True

    async def go_on(self) -> None:
        """The stream goes on."""
        self.stuck = False
        facts, self._waiting = self._waiting, []
        await self._judge(facts)

    async def _judge(self, facts: Any) -> None:
        await self.site.judge(facts)

    async def talk(self, call_id: str = "1.1", number: str = NUMBER, **changes: Any) -> CallRecord:
        """A talk of some length with the client ended just now, and is stored."""
        values: dict[str, Any] = {
            "call_id": call_id,
            "started_at": stamp(self.now_ms - 60_000),
            "answered_at": stamp(self.now_ms - 55_000),
            "ended_at": stamp(self.now_ms),
            "callback": CallbackDecision(Decision.NOT_DUE, "client_hung_up"),
            "unobserved": (),
        }
        record = msgspec.structs.replace(RECORD, **(values | changes))
        (fact,) = await self.site.judge([CallEnded(record, number)])
        assert isinstance(fact, CallEnded)
        await self.store.save([fact.record])
        return fact.record

    async def calls(self, call_id: str, number: str = NUMBER) -> None:
        """A client begins a call."""
        started = CallHappened(
            call_id=call_id,
            line="support",
            event=Happening.STARTED,
            at_ms=self.now_ms,
            client_number=number,
        )
        await self.site.judge([started])

    async def tag(self, tag: Tag | None, call_id: str = "1.1", **changes: Any) -> list[CallTagged]:
        """An operator dials a code after the call. Returns the facts that are published."""
        values: dict[str, Any] = {
            "call_id": call_id,
            "line": "support",
            "tag": tag,
            "at_ms": self.now_ms,
            "by": "101",
            "source": Source.WRAP_UP,
            "ended": True,
            "channel": "PJSIP/101-0000001c",
        }
        facts: list[Fact] = [CallTagged(**(values | changes))]
        told = await self.site.judge(facts)
        return [fact for fact in told if isinstance(fact, CallTagged)]

    async def send(self, name: str, source: Source = Source.MQTT, **body: Any) -> Reply:
        return await self.commands.handle(name, msgspec.json.encode({"id": "c-1", **body}), source)

    def ready(self) -> Readiness:
        return Readiness(ready=True, lacking=[])

    async def states(self) -> list[tuple[str, str]]:
        return [(item.state.value, item.reason) for item in reversed(await self.ledger.listed())]

    async def numbers(self) -> list[str]:
        return [item.number for item in await self.dnc.listed()]


def stamp(ms: int) -> str:
    return events.timestamp(ms).replace("+0000", "Z")


def taken_out(phones: PhoneAnswers) -> list[tuple[str, bool]]:
    """The answers that have not been given to Asterisk yet."""
    return [phones._queue.get_nowait() for _ in range(phones._queue.qsize())]
