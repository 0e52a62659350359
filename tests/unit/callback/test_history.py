"""A callback's step and its message share a transaction, and the same message can be made again."""

from collections.abc import Sequence

import msgspec
import pytest

from callsteward import features
from callsteward.callback import messages as callback_messages
from callsteward.callback.history import steps
from callsteward.callback.ledger import CallbackLedger
from callsteward.callback.states import CallbackMoved, CallbackRow, CallbackState
from callsteward.config import Config
from callsteward.feed import messages
from callsteward.outgoing.words import Actor
from callsteward.record.call import CallbackDecision, Decision
from callsteward.record.callback_id import channel_id
from callsteward.store.message import Outgoing
from callsteward.store.outbox import Outbox
from callsteward.store.records import Store
from tests.unit.store.samples import RECORD

NOW = 1_795_348_800_000
NUMBER = "+79031234567"
DUE = CallbackDecision(Decision.DUE, "mid_dialogue_drop")
NOT = CallbackDecision(Decision.SUPPRESSED, "do_not_call")


class Told:
    """A ledger, with a list of its steps as they are published."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.moves: list[CallbackMoved] = []
        self.outbox = Outbox(store.engine, "main")
        durable = features.tells(Config())

        def announce(moved: object, _stored_ms: int | None = None, /) -> Sequence[Outgoing]:
            assert isinstance(moved, CallbackMoved)
            self.moves.append(moved)
            return durable.outgoing(moved)

        self.ledger = CallbackLedger(store.engine, "main", announce)

    async def open(
        self, call_id: str, at_ms: int, decision: CallbackDecision = DUE, line: str = "support"
    ) -> CallbackRow:
        record = msgspec.structs.replace(RECORD, call_id=call_id, line=line)
        opened = await self.ledger.open(record, decision, number=NUMBER, dropped_ms=at_ms - 900, at_ms=at_ms)
        assert opened is not None
        return opened

    async def offer(self, callback: CallbackRow, asked: str, at_ms: int) -> CallbackRow:
        channel = channel_id(callback.id, callback.attempts + 1, callback.line)
        moved = await self.ledger.move(
            callback, CallbackState.OFFERED, actor=Actor.DAEMON, at_ms=at_ms, asked=asked, channel_id=channel
        )
        assert moved is not None
        return moved

    async def move(
        self, callback: CallbackRow, to: CallbackState, at_ms: int, reason: str = ""
    ) -> CallbackRow:
        moved = await self.ledger.move(callback, to, actor=Actor.ASTERISK, at_ms=at_ms, reason=reason)
        assert moved is not None
        return moved

    async def again(self, from_ms: int = 0, to_ms: int = 2**62, line: str | None = None) -> list[bytes]:
        found = steps(self.store.engine, "main", from_ms=from_ms, to_ms=to_ms, line=line)
        return [messages.encode(callback_messages.callback("main", step)) async for step in found]

    @property
    def first(self) -> list[bytes]:
        return [messages.encode(callback_messages.callback("main", moved)) for moved in self.moves]


@pytest.fixture
def told(store: Store) -> Told:
    return Told(store)


async def _busy_day(told: Told) -> None:
    one = await told.open("1.1", NOW)
    two = await told.open("1.2", NOW + 1, line="sales")
    one = await told.offer(one, "101", NOW + 2)
    one = await told.move(one, CallbackState.DUE, NOW + 3, "operator_declined")
    two = await told.offer(two, "102", NOW + 4)
    await told.open("1.3", NOW + 5, NOT)
    one = await told.offer(one, "102", NOW + 6)
    one = await told.move(one, CallbackState.OPERATOR_ANSWERED, NOW + 7)
    two = await told.move(two, CallbackState.CANCELLED, NOW + 8, "called_again")
    one = await told.move(one, CallbackState.DIALLING, NOW + 9)
    await told.move(one, CallbackState.REACHED, NOW + 10, "answered")


async def test_each_step_is_in_the_outbox_in_order(told: Told) -> None:
    await _busy_day(told)
    waiting = await told.outbox.after(0, 50)
    bodies = [msgspec.json.decode(item.payload) for item in waiting]
    assert [body["state"] for body in bodies] == [
        "due", "due", "offered", "due", "offered", "suppressed",
        "offered", "operator_answered", "cancelled", "dialling", "reached",
    ]  # fmt: skip
    assert len({item.message_id for item in waiting}) == 11
    assert {item.topic for item in waiting} == {
        "callsteward/main/callbacks/support",
        "callsteward/main/callbacks/sales",
    }
    assert NUMBER not in repr(waiting)


async def test_a_step_that_is_not_made_is_not_told(told: Told) -> None:
    callback = await told.open("1.1", NOW)
    await told.move(callback, CallbackState.CANCELLED, NOW)
    assert (
        await told.ledger.move(callback, CallbackState.OFFERED, actor=Actor.DAEMON, at_ms=NOW, asked="101")
        is None
    )
    record = msgspec.structs.replace(RECORD, call_id="1.1")
    assert await told.ledger.open(record, DUE, number=None, dropped_ms=NOW, at_ms=NOW) is None
    assert (await told.outbox.measure()).messages == len(told.moves) == 2


async def test_resent_messages_equal_the_published_ones(told: Told) -> None:
    await _busy_day(told)
    assert await told.again() == told.first


async def test_a_span_and_a_line_are_told_alone(told: Told) -> None:
    await _busy_day(told)
    assert await told.again(NOW + 3, NOW + 7) == told.first[3:7]
    assert await told.again(line="sales") == [told.first[number] for number in (1, 4, 8)]
    assert await told.again(line="other") == []


async def test_more_than_a_page_is_told_whole(told: Told) -> None:
    for number in range(130):
        callback = await told.open(f"9.{number}", NOW + number)
        for attempt in range(2):
            callback = await told.offer(callback, f"10{attempt}", NOW + 1000 + number)
            callback = await told.move(callback, CallbackState.DUE, NOW + 2000 + number)
    assert len(told.first) == 650
    assert await told.again() == told.first
