"""Tags, commands and callbacks together on a database, with a clock of their own and without Asterisk."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from pydantic import SecretStr

from callsteward.ari import events
from callsteward.callback.decisions import Decisions
from callsteward.callback.forbidding import Forbidding, telling
from callsteward.callback.ledger import Ledger
from callsteward.callback.policy import Policy
from callsteward.callback.states import CallbackMoved
from callsteward.calls.tracker import Tracker
from callsteward.commands.core import Commands
from callsteward.commands.done import CommandsDone
from callsteward.commands.reply import Reply
from callsteward.config import Callback, Config, Line, Operator, Privacy, Tags
from callsteward.outgoing.do_not_call import DoNotCall
from callsteward.outgoing.guard import Guard
from callsteward.outgoing.zones import ClientZones
from callsteward.record.call import CallbackDecision, CallRecord, Decision
from callsteward.record.facts import CallEnded, CallHappened, CallTagged, Fact, Happening
from callsteward.record.tag import Source, Tag
from callsteward.store.records import Store
from callsteward.tags.book import TagBook
from callsteward.tags.consequences import Consequences
from callsteward.tags.tagging import Tagging
from tests.unit.store.samples import RECORD

NOON = 1_795_345_200_000  # 2026-11-22 12:00 in Moscow
NUMBER = "79031234567"
E164 = "+79031234567"


class FrontDesk:
    """What a daemon has, less Asterisk: facts go in at `judge`, commands at `send`."""

    def __init__(
        self, store: Store, *, callbacks: bool = True, patience_s: float = 5.0, **sections: Any
    ) -> None:
        self.now_ms = NOON
        self.config = Config(
            **{
                "lines": (Line(name="support", operators=("101", "102")),),
                "operators": {"101": Operator(), "102": Operator()},
                "callback": Callback(enabled=callbacks),
                "tags": Tags(enabled=True),
                "privacy": Privacy(hmac_key=SecretStr("key")),
                **sections,
            }
        )
        self.store = store
        self.book = TagBook(store.engine, "main")
        self.dnc = DoNotCall(store.engine)
        self.ledger = Ledger(store.engine, "main")
        self.done = CommandsDone(store.engine, "main")
        self.moves: list[CallbackMoved] = []
        self.answers: list[tuple[str, bool]] = []
        self.full = False
        self.stuck = False
        self._waiting: list[Fact] = []
        self._patience_s = patience_s
        self._callbacks = callbacks
        self.restart()

    def restart(self) -> None:
        """The daemon, as new."""
        guard = Guard(self.config)
        decisions = None
        if self._callbacks:
            decisions = Decisions(
                guard=guard,
                policy=Policy(self.config),
                ledger=self.ledger,
                do_not_call=self.dnc,
                zones=ClientZones(self.store.engine),
                now_ms=lambda: self.now_ms,
            )
            decisions.on_move = self.moves.append
        self.consequences = Consequences(
            guard=guard,
            forbidding=Forbidding(
                self.store.engine,
                "main",
                now_ms=lambda: self.now_ms,
                told=telling(decisions, lambda _: None),
            ),
            book=self.book,
            ledger=self.ledger,
            decisions=decisions,
            now_ms=lambda: self.now_ms,
        )
        self.tagging = Tagging(self.config, self.consequences, None if decisions is None else decisions.judge)
        self.tagging.on_answer = lambda channel, taken: self.answers.append((channel, taken))
        self.tracker = Tracker(self.config)
        self.commands = Commands(
            self.config,
            consequences=self.consequences,
            tagging=self.tagging,
            done=self.done,
            put=self._put,
            now_ms=lambda: self.now_ms,
            patience_s=self._patience_s,
        )

    def _put(self, frame: bytes) -> bool:
        """The stream: what is put into it comes out of the tracker and to the judge."""
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
        """The stream is worked on again."""
        self.stuck = False
        facts, self._waiting = self._waiting, []
        await self._judge(facts)

    async def _judge(self, facts: Any) -> None:
        await self.tagging.judge(facts)

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
        (fact,) = await self.tagging.judge([CallEnded(record, number)])
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
        await self.tagging.judge([started])

    async def tag(self, tag: Tag | None, call_id: str = "1.1", **changes: Any) -> list[CallTagged]:
        """An operator dials a code after the call; what is news of it."""
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
        told = await self.tagging.judge(facts)
        return [fact for fact in told if isinstance(fact, CallTagged)]

    async def send(self, name: str, source: Source = Source.MQTT, **body: Any) -> Reply:
        return await self.commands.handle(name, msgspec.json.encode({"id": "c-1", **body}), source)

    async def states(self) -> list[tuple[str, str]]:
        return [(item.state.value, item.reason) for item in reversed(await self.ledger.listed())]

    async def numbers(self) -> list[str]:
        return [item.number for item in await self.dnc.listed()]


def stamp(ms: int) -> str:
    return events.timestamp(ms).replace("+0000", "Z")
