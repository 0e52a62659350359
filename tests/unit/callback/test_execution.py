"""Callbacks carried out, against a stand-in for Asterisk that does what a test tells it."""

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import msgspec
import pytest

from callsteward.ari import events as ari
from callsteward.callback.feature import CallbackFeature
from callsteward.callback.ledger import CallbackLedger
from callsteward.callback.part import CallbackPart
from callsteward.callback.states import CallbackMoved, CallbackState
from callsteward.calls.tracker import Tracker
from callsteward.config import CallbackSettings, Config, Line, Operator
from callsteward.exceptions import AriError, StoreError
from callsteward.outgoing.do_not_call import DoNotCall
from callsteward.outgoing.words import Actor
from callsteward.outgoing.zones import ClientZones
from callsteward.part import Feature
from callsteward.record.call import (
    CallbackDecision,
    CallRecord,
    Decision,
    Direction,
    Hangup,
    Outcome,
    Party,
    Side,
)
from callsteward.record.facts import Alert, CallEnded, CallHappened, Happening, OperatorNow, OperatorState
from callsteward.statuses.feature import StatusesFeature
from callsteward.statuses.part import StatusesPart
from callsteward.store.records import Store
from callsteward.testing import StandIn
from tests.unit.store.samples import RECORD

NOON = 1_795_345_200_000  # 2026-11-22 12:00 in Moscow
NUMBER = "79031234567"


class Pbx:
    """Stands for `Rest`: keeps the requests, and gives the answers that a test sets."""

    def __init__(self) -> None:
        self.originated: list[tuple[dict[str, str], dict[str, str]]] = []
        self.alive: set[str] = set()
        self.hung_up: list[str] = []
        self.refuse: AriError | None = None
        self.included = "1"
        self.globals: dict[str, str] = {}
        self.mute = False
        self.context = "callsteward-callback"

    async def variable(self, _name: str) -> str:
        return self.included

    async def set_variable(self, name: str, value: str | None) -> None:
        if self.refuse is not None:
            raise self.refuse
        if value is None:
            self.globals.pop(name, None)
        else:
            self.globals[name] = value

    async def originate(
        self, query: Mapping[str, str], variables: Mapping[str, str] | None = None
    ) -> ari.Channel:
        if self.refuse is not None:
            raise self.refuse
        self.originated.append((dict(query), dict(variables or {})))
        if "channelId" in query:
            self.alive.add(query["channelId"])
        return ari.Channel("x", "x")

    async def channel(self, channel_id: str) -> ari.Channel | None:
        position = ari.DialplanPosition(self.context)
        return ari.Channel(channel_id, "x", dialplan=position) if channel_id in self.alive else None

    async def channels(self) -> tuple[ari.Channel, ...]:
        if self.mute:
            raise AriError
        return tuple(
            ari.Channel(name, "x", dialplan=ari.DialplanPosition(self.context)) for name in sorted(self.alive)
        )

    async def hang_up(self, channel_id: str) -> bool:
        self.hung_up.append(channel_id)
        return True

    @property
    def offers(self) -> list[dict[str, str]]:
        return [query for query, _ in self.originated if query["endpoint"].startswith("PJSIP/")]

    @property
    def questions(self) -> list[str]:
        return [query["endpoint"] for query, _ in self.originated if query["endpoint"].startswith("Local/")]


class Hotline:
    """The parts together, with a clock of their own."""

    features: tuple[Feature, ...] = (CallbackFeature(),)

    def __init__(self, store: Store, **settings: Any) -> None:
        self.now_ms = NOON
        # The sum of all steps by which the clock was set.
        self.set_ms = 0
        self.config = Config(
            lines=(
                Line(name="support", queues=("support",), operators=("101", "102")),
                Line(name="sales", queues=("sales",)),
            ),
            operators={"101": Operator(), "102": Operator()},
            callback=CallbackSettings(enabled=True, **settings),
        )
        self.store = store
        self.dnc = DoNotCall(store.engine)
        self.zones = ClientZones(store.engine)
        self.pbx = Pbx()
        self.told: list[object] = []
        self.busy: list[str] = []
        self.restart()

    def restart(self) -> None:
        """A new process of the daemon."""
        site = StandIn(
            self.store,
            self.config,
            self.features,
            now_ms=lambda: self.now_ms,
            steady_ms=lambda: self.now_ms - self.set_ms,
            rest=self.pbx,
            tracker=cast("Tracker", self),
        )
        # Across restarts.
        site.told = self.told
        part = site.part(CallbackPart)
        self.ledger, self.decisions, self.execution = (
            part.ledger,
            part.decisions,
            part.execution,
        )
        self.execution.link(True)
        statuses = site.site.part(StatusesPart)
        if statuses is not None:
            self.statuses = statuses
            statuses.link(connected=True, why="")

    def operators_now(self) -> list[OperatorNow]:
        """The tracker's answer."""
        return [OperatorNow(operator=name, state=OperatorState.TALKING, since_ms=0) for name in self.busy]

    def set_clock(self, seconds: float) -> None:
        """An admin, or NTP, sets Asterisk's clock: no time passes."""
        self.now_ms += round(seconds * 1000)
        self.set_ms += round(seconds * 1000)

    async def work(self, seconds: float = 0) -> None:
        self.now_ms += round(seconds * 1000)
        await self.execution.once()

    async def drop(self, call_id: str = "1.1", number: str = NUMBER, **changes: Any) -> CallRecord:
        """A talk with the client broke just now."""
        values: dict[str, Any] = {
            "call_id": call_id,
            "started_at": stamp(self.now_ms - 60_000),
            "ended_at": stamp(self.now_ms),
            "outcome": Outcome.MID_DIALOGUE_DROP,
            "callback": CallbackDecision(Decision.DUE, "mid_dialogue_drop"),
        }
        record = msgspec.structs.replace(RECORD, **(values | changes))
        (fact,) = await self.decisions.judge([CallEnded(record, number)])
        assert isinstance(fact, CallEnded)
        return fact.record

    async def state(self, call_id: str = "1.1") -> CallbackState:
        found = await self.ledger.find(call_id)
        assert found is not None
        return found.state

    def says(self, state: str, *, call_id: str = "1.1", attempt: int = 1, **fields: str) -> None:
        """A UserEvent of the dialplan."""
        self.execution.hear(
            ari.ChannelUserevent(
                eventname="callsteward",
                userevent={
                    "eventname": "callsteward",
                    "cb": call_id,
                    "attempt": str(attempt),
                    "state": state,
                    **fields,
                },
                channel=ari.Channel(f"callsteward-cb-{call_id}-{attempt}-support", "PJSIP/101-1"),
            )
        )

    def gone(self, *, call_id: str = "1.1", attempt: int = 1, cause: int = 19) -> None:
        channel = f"callsteward-cb-{call_id}-{attempt}-support"
        self.pbx.alive.discard(channel)
        self.execution.hear(ari.ChannelDestroyed(channel=ari.Channel(channel, "PJSIP/101-1"), cause=cause))

    async def calls(self, call_id: str, number: str = NUMBER) -> None:
        """The client calls in."""
        await self.happens(call_id, Happening.STARTED, number)

    async def happens(
        self, call_id: str, event: Happening, number: str = NUMBER, *, outbound: bool = False
    ) -> None:
        await self.decisions.judge(
            [
                CallHappened(
                    call_id=call_id,
                    line="support",
                    event=event,
                    at_ms=self.now_ms,
                    client_number=number,
                    outbound=outbound,
                )
            ]
        )

    async def ends(self, call_id: str, outcome: Outcome, number: str = NUMBER) -> CallRecord:
        """A call of an operator to the client is over."""
        return await self.drop(
            call_id, number, outcome=outcome, direction=Direction.OUTBOUND, callback=NOT_DUE
        )

    @property
    def told_states(self) -> list[str]:
        return [fact.callback.state.value for fact in self.told if isinstance(fact, CallbackMoved)]


def stamp(ms: int) -> str:
    return ari.timestamp(ms).replace("+0000", "Z")


@pytest.fixture
def hotline(store: Store) -> Hotline:
    return Hotline(store)


async def test_the_operator_is_rung_with_the_guarded_digits_and_told_who_and_why(hotline):
    record = await hotline.drop()
    assert record.callback.decision is Decision.DUE
    await hotline.work(40)
    (query, variables) = hotline.pbx.originated[0]
    assert query == {
        "endpoint": "PJSIP/101",
        "context": "callsteward-callback",
        "extension": "s",
        "priority": "1",
        "callerId": '"CB +7903***4567 40s" <callback>',
        "timeout": "15",
        "channelId": "callsteward-cb-1.1-1-support",
    }
    assert variables == {
        "CS_ID": "1.1",
        "CS_ATTEMPT": "1",
        "CS_NUMBER": "79031234567",
        "CS_PREFIX": "PJSIP/",
        "CS_SUFFIX": "@trunk",
        "CS_RING": "30",
        "CS_CALLER": "",
        "CS_PRESS": "0",
        "CS_ASK": "1",
    }


async def test_the_whole_way_is_told_on_the_feed(hotline):
    await hotline.drop()
    await hotline.work()
    for state in ("operator_answered", "dialling"):
        hotline.says(state)
    hotline.says("over", status="ANSWER")
    await hotline.work()
    assert hotline.told_states == ["due", "offered", "operator_answered", "dialling", "reached"]


@pytest.mark.parametrize(
    ("status", "cause", "reason"),
    [
        ("NOANSWER", "0", "no_answer"),
        ("BUSY", "17", "busy"),
        ("CONGESTION", "21", "rejected"),
        ("CHANUNAVAIL", "20", "unavailable"),
        ("CANCEL", "16", "operator_hung_up"),
        ("", "", "result_unknown"),
    ],
)
async def test_a_client_who_is_not_reached_is_never_called_again(hotline, status, cause, reason):
    await hotline.drop()
    await hotline.work()
    hotline.says("operator_answered")
    hotline.says("dialling")
    hotline.says("over", status=status, cause=cause)
    hotline.gone(cause=16)
    for _ in range(5):
        await hotline.work(600)
    callback = await hotline.ledger.find("1.1")
    assert callback is not None
    assert (callback.state, callback.reason) == (CallbackState.NOT_REACHED, reason)
    assert len(hotline.pbx.offers) == 1


async def test_an_operator_who_does_not_answer_is_no_attempt_on_the_client(hotline):
    await hotline.drop()
    await hotline.work()
    hotline.gone(cause=19)
    await hotline.work(15)
    assert [offer["endpoint"] for offer in hotline.pbx.offers] == ["PJSIP/101", "PJSIP/102"]
    assert hotline.pbx.offers[1]["channelId"] == "callsteward-cb-1.1-2-support"
    assert await hotline.state() is CallbackState.OFFERED


async def test_an_operator_who_presses_nothing_spends_no_attempt(hotline):
    await hotline.drop()
    await hotline.work()
    hotline.says("operator_answered")
    hotline.says("declined")
    hotline.gone(cause=16)
    await hotline.work(1)
    assert [offer["endpoint"] for offer in hotline.pbx.offers] == ["PJSIP/101", "PJSIP/102"]


async def test_an_offline_phone_is_passed_over(hotline):
    hotline.execution.hear(ari.DeviceStateChanged(device_state=ari.DeviceState("PJSIP/101", "UNAVAILABLE")))
    await hotline.drop()
    await hotline.work(21)
    assert [offer["endpoint"] for offer in hotline.pbx.offers] == ["PJSIP/102"]


async def test_a_refused_originate_goes_back_to_due(hotline):
    await hotline.drop()
    hotline.pbx.refuse = AriError("Asterisk answered 500 to POST channels: Allocation failed")
    await hotline.work()
    assert await hotline.state() is CallbackState.DUE
    hotline.pbx.refuse = None
    await hotline.work(1)
    assert [offer["endpoint"] for offer in hotline.pbx.offers] == ["PJSIP/102"]


async def test_an_originate_whose_answer_is_lost_is_not_made_again_while_it_rings(hotline):
    await hotline.drop()
    hotline.pbx.refuse = AriError("Asterisk does not answer")
    hotline.pbx.alive.add("callsteward-cb-1.1-1-support")
    await hotline.work()
    hotline.pbx.refuse = None
    for _ in range(3):
        await hotline.work(3)
    assert await hotline.state() is CallbackState.OFFERED
    assert hotline.pbx.offers == []


# --- restarts --------------------------------------------------------------------------------------------


async def test_after_a_restart_a_phone_that_still_rings_is_followed(hotline):
    await hotline.drop()
    await hotline.work()
    hotline.restart()
    await hotline.work(1)
    assert len(hotline.pbx.originated) == 1
    hotline.says("dialling")
    hotline.says("over", status="ANSWER")
    await hotline.work()
    assert await hotline.state() is CallbackState.REACHED


@pytest.mark.parametrize(
    ("result", "state"), [("ANSWER", CallbackState.REACHED), ("NOANSWER", CallbackState.NOT_REACHED)]
)
async def test_after_a_restart_the_fence_shows_the_result(hotline, result, state):
    await hotline.drop()
    await hotline.work()
    hotline.pbx.alive.clear()
    hotline.restart()
    await hotline.work(1)
    assert hotline.pbx.questions == ["Local/1.1@callsteward-callback-ask"]
    hotline.says("fence", at="1795345201", result=result, attempt=9)
    await hotline.work()
    assert await hotline.state() is state
    assert len(hotline.pbx.offers) == 1


async def test_after_a_restart_a_fence_nobody_claimed_lets_it_be_tried_again(hotline):
    await hotline.drop()
    await hotline.work()
    hotline.pbx.alive.clear()
    hotline.restart()
    await hotline.work(1)
    hotline.says("fence", at="", result="", attempt=9)
    await hotline.work()
    assert [offer["channelId"] for offer in hotline.pbx.offers] == [
        "callsteward-cb-1.1-1-support",
        "callsteward-cb-1.1-2-support",
    ]


async def test_a_callback_that_was_being_dialled_is_never_offered_again(hotline):
    await hotline.drop()
    await hotline.work()
    hotline.says("dialling")
    await hotline.work()
    hotline.pbx.alive.clear()
    hotline.restart()
    await hotline.work(1)
    hotline.says("fence", at="", result="", attempt=9)
    for _ in range(4):
        await hotline.work(60)
    assert len(hotline.pbx.offers) == 1
    callback = await hotline.ledger.find("1.1")
    assert callback is not None
    assert (callback.state, callback.reason) == (CallbackState.NOT_REACHED, "result_unknown")


async def test_a_second_attempt_that_meets_the_fence_dials_nobody(hotline):
    await hotline.drop()
    await hotline.work()
    hotline.says("operator_answered")
    hotline.pbx.alive.clear()
    hotline.says("fence", at="1795345200", result="BUSY")
    await hotline.work()
    callback = await hotline.ledger.find("1.1")
    assert callback is not None
    assert (callback.state, callback.reason) == (CallbackState.NOT_REACHED, "busy")


async def test_without_a_link_nothing_is_tried(hotline):
    hotline.execution.link(False)
    await hotline.drop()
    await hotline.work()
    assert hotline.pbx.originated == []
    hotline.execution.link(True)
    await hotline.work()
    assert len(hotline.pbx.offers) == 1


async def test_without_its_dialplan_no_operator_is_rung_for_nothing(hotline):
    hotline.pbx.included = ""
    await hotline.drop()
    await hotline.work(1)
    assert hotline.pbx.originated == []
    hotline.pbx.included = "1"
    await hotline.work(1)
    assert len(hotline.pbx.offers) == 1


# --- reasons against it ----------------------------------------------------------------------------------


async def test_a_client_who_calls_again_is_not_called_and_the_phone_stops_ringing(hotline):
    await hotline.drop()
    await hotline.work()
    hotline.now_ms += 1000
    await hotline.calls("2.2", "8 903 123-45-67".replace(" ", "").replace("-", ""))
    await hotline.work()
    assert await hotline.state() is CallbackState.CANCELLED
    assert hotline.pbx.hung_up == ["callsteward-cb-1.1-1-support"]
    again = await hotline.drop("2.2", outcome=Outcome.COMPLETED, callback=NOT_DUE)
    assert again.callback.reason == "instead_of_callback"


NOT_DUE = CallbackDecision(Decision.NOT_DUE, "client_hung_up")


async def test_a_journal_that_is_run_again_does_not_cancel_its_own_callback(hotline):
    hotline.now_ms -= 60_000
    await hotline.calls("1.1")
    hotline.now_ms += 60_000
    await hotline.drop()
    hotline.restart()
    await hotline.decisions.load()
    hotline.now_ms -= 60_000
    await hotline.calls("1.1")
    hotline.now_ms += 60_000
    assert (await hotline.drop()).callback.decision is Decision.DUE
    assert await hotline.state() is CallbackState.DUE
    assert len(await hotline.ledger.listed()) == 1


async def test_a_client_who_is_back_before_the_drop_is_noticed_is_not_called(hotline):
    await hotline.calls("2.2")
    hotline.now_ms += 3000
    record = await hotline.drop()
    assert (record.callback.decision, record.callback.reason) == (Decision.SUPPRESSED, "client_called_again")
    await hotline.work()
    assert hotline.pbx.originated == []


async def test_do_not_call_is_asked_for_each(hotline):
    await hotline.dnc.add(["+79031234567"], by="admin")
    record = await hotline.drop()
    assert (record.callback.decision, record.callback.reason) == (Decision.SUPPRESSED, "do_not_call")
    await hotline.work()
    assert hotline.pbx.originated == []
    assert hotline.told_states == ["suppressed"]


@pytest.mark.parametrize("number", ["", "anonymous", "79031234567&PJSIP/1", "101", "112", "88091234567"])
async def test_a_caller_id_that_may_not_be_called_reaches_no_dial_string(hotline, number):
    record = await hotline.drop(number=number)
    assert record.callback.decision is Decision.SUPPRESSED
    await hotline.work(30)
    assert hotline.pbx.originated == []


async def test_the_limit_of_a_number_holds_however_it_is_written(store):
    hotline = Hotline(store, per_number_a_day=2)
    decisions = [
        (await hotline.drop(f"1.{index}", number)).callback.reason
        for index, number in enumerate(["79031234567", "+79031234567", "89031234567"])
    ]
    assert decisions == ["mid_dialogue_drop", "mid_dialogue_drop", "number_limit"]


async def test_past_the_exemption_the_hours_bind(hotline):
    hotline.busy = ["101", "102"]
    hotline.now_ms = NOON + 12 * 3_600_000
    record = await hotline.drop()
    assert record.callback.decision is Decision.DUE
    await hotline.work(900)
    assert await hotline.state() is CallbackState.DUE
    hotline.busy = []
    await hotline.work(1)
    callback = await hotline.ledger.find("1.1")
    assert callback is not None
    assert (callback.state, callback.reason) == (CallbackState.SUPPRESSED, "calling_hours")
    assert hotline.pbx.originated == []


async def test_it_waits_for_somebody_to_be_free_alerts_and_expires(store):
    hotline = Hotline(store, zones="line")
    hotline.busy = ["101", "102"]
    await hotline.drop()
    await hotline.work(301)
    await hotline.work(10)
    await hotline.work(1500)
    assert await hotline.state() is CallbackState.EXPIRED
    alerts = [(fact.rule, fact.limit_s) for fact in hotline.told if isinstance(fact, Alert)]
    assert alerts == [("callback_late", 300), ("callback_expired", 1800)]


async def test_no_more_at_once_and_a_minute_than_allowed_and_the_newest_first(store):
    hotline = Hotline(store, max_parallel=2, per_minute=3, same_operator_s=0)
    for index in range(5):
        await hotline.drop(f"1.{index}", f"7900000001{index}", operator=f"10{index}")
        hotline.now_ms += 1
    await hotline.work()
    asked = [offer["channelId"].split("-")[2] for offer in hotline.pbx.offers]
    assert asked == ["1.4", "1.3"]
    hotline.gone(call_id="1.4")
    hotline.gone(call_id="1.3")
    await hotline.work()
    assert len(hotline.pbx.offers) == 3
    await hotline.work(61)
    assert len(hotline.pbx.offers) == 4


async def test_while_a_batch_is_judged_nobody_is_asked(hotline, monkeypatch):
    """A PBX that dies drops many calls at once: the newest is called back first, not the first one judged."""
    opened = hotline.ledger.open
    states = []

    async def slowly(*args: Any, **more: Any) -> Any:
        callback = await opened(*args, **more)
        await hotline.work()
        states.append((len(hotline.pbx.offers), list(hotline.told_states)))
        return callback

    monkeypatch.setattr(hotline.ledger, "open", slowly)
    hotline.busy = ["102"]
    facts = [
        CallEnded(
            msgspec.structs.replace(
                RECORD,
                call_id=f"1.{index}",
                started_at=stamp(NOON - 60_000),
                ended_at=stamp(NOON),
                outcome=Outcome.MID_DIALOGUE_DROP,
                callback=CallbackDecision(Decision.DUE, "mid_dialogue_drop"),
            ),
            f"7900000001{index}",
        )
        for index in range(3)
    ]
    await hotline.decisions.judge(facts)
    assert states == [(0, [])] * 3
    await hotline.work()
    assert [offer["channelId"] for offer in hotline.pbx.offers] == ["callsteward-cb-1.2-1-support"]


async def test_after_an_operators_own_loss_the_others_are_asked_first(hotline):
    lost = Hangup(Party.NETWORK, 44, None, ("RTP timeout",), RECORD.hangup.confidence, Side.OPERATOR)
    await hotline.drop(hangup=lost)
    await hotline.work()
    assert [offer["endpoint"] for offer in hotline.pbx.offers] == ["PJSIP/102"]


async def cancelled_while_it_rings(hotline: Hotline) -> str:
    """The client calls while the operator's phone rings: the callback is cancelled. The ringing channel."""
    await hotline.drop()
    await hotline.work()
    (offer,) = hotline.pbx.offers
    hotline.pbx.alive.add("1.7")  # somebody else's
    hotline.now_ms += 5_000
    await hotline.calls("2.2")
    assert await hotline.state() is CallbackState.CANCELLED
    assert hotline.pbx.hung_up == []
    return offer["channelId"]


async def test_a_daemon_killed_at_a_cancel_stops_the_phone_in_its_next_life(hotline):
    ringing = await cancelled_while_it_rings(hotline)
    hotline.restart()
    await hotline.work()
    assert hotline.pbx.hung_up == [ringing]
    await hotline.work(1)
    assert hotline.pbx.hung_up == [ringing]


async def test_a_client_who_was_dialled_before_the_cancel_is_not_cut_off(hotline):
    await cancelled_while_it_rings(hotline)
    hotline.pbx.context = "callsteward-callback-dial"
    hotline.restart()
    await hotline.work()
    assert hotline.pbx.hung_up == []


async def test_a_cancel_without_a_link_stops_the_phone_once_there_is_one(hotline):
    ringing = await cancelled_while_it_rings(hotline)
    hotline.execution.link(False)
    await hotline.work()
    assert hotline.pbx.hung_up == []
    hotline.execution.link(True)
    await hotline.work()
    assert hotline.pbx.hung_up == [ringing]


async def test_an_asterisk_that_does_not_say_is_asked_again_for_phones_that_ring_in_vain(hotline):
    ringing = await cancelled_while_it_rings(hotline)
    hotline.restart()
    hotline.pbx.mute = True
    await hotline.work()
    assert hotline.pbx.hung_up == []
    hotline.pbx.mute = False
    await hotline.work(1)
    assert hotline.pbx.hung_up == [ringing]


async def test_an_admins_cancel_from_another_process_stops_the_phone(hotline):
    await hotline.drop()
    await hotline.work()
    callback = await hotline.ledger.find("1.1")
    assert callback is not None
    other = CallbackLedger(hotline.store.engine, "main")
    assert await other.move(callback, CallbackState.CANCELLED, actor=Actor.ADMIN, at_ms=hotline.now_ms)
    await hotline.work(1)
    assert hotline.pbx.hung_up == ["callsteward-cb-1.1-1-support"]
    assert hotline.told_states == ["due", "offered", "cancelled"]


async def test_a_callback_that_breaks_makes_no_other(hotline):
    was = CallbackDecision(Decision.SUPPRESSED, "was_callback")
    record = await hotline.drop("callsteward-cb-1.1-1-support", direction=Direction.CALLBACK, callback=was)
    assert record.callback == was
    assert await hotline.ledger.listed() == []


# --- the client is spoken to otherwise -----------------------------------------------------------------


async def test_an_operator_who_calls_the_client_by_hand_cancels_the_callback(hotline):
    hotline.busy = ["101"]
    await hotline.drop(operator="102")
    await hotline.work()
    assert [offer["endpoint"] for offer in hotline.pbx.offers] == ["PJSIP/102"]
    hotline.now_ms += 5000
    await hotline.happens("3.3", Happening.STARTED, "89031234567", outbound=True)
    await hotline.happens("3.3", Happening.ANSWERED, "89031234567", outbound=True)
    callback = await hotline.ledger.find("1.1")
    assert callback is not None
    assert (callback.state, callback.reason) == (CallbackState.CANCELLED, "client_spoken_to")
    story = await hotline.ledger.story(callback)
    assert (story[-1].actor, story[-1].evidence) == (Actor.OPERATOR, "call 3.3")
    await hotline.work()
    assert hotline.pbx.hung_up == ["callsteward-cb-1.1-1-support"]
    talk = await hotline.ends("3.3", Outcome.COMPLETED)
    assert talk.callback.reason == "instead_of_callback"


async def test_while_an_operator_rings_the_client_by_hand_nobody_else_is_asked_to(hotline):
    hotline.now_ms += 1000
    await hotline.happens("3.3", Happening.STARTED, outbound=True)
    await hotline.drop()
    await hotline.work(10)
    assert hotline.pbx.offers == []
    await hotline.ends("3.3", Outcome.NO_ANSWER)
    await hotline.work(1)
    assert len(hotline.pbx.offers) == 1


async def test_a_call_by_hand_whose_end_nobody_saw_holds_no_callback_up_for_ever(hotline):
    await hotline.happens("3.3", Happening.STARTED, outbound=True)
    await hotline.drop()
    await hotline.work(119)
    assert hotline.pbx.offers == []
    await hotline.work(2)
    assert len(hotline.pbx.offers) == 1


async def test_a_talk_by_hand_before_the_drop_is_noticed_suppresses_the_callback(hotline):
    await hotline.happens("3.3", Happening.ANSWERED, outbound=True)
    hotline.now_ms += 5000
    record = await hotline.drop()
    assert (record.callback.decision, record.callback.reason) == (Decision.SUPPRESSED, "client_spoken_to")


async def test_a_talk_whose_answer_was_not_told_counts_when_it_ends(hotline):
    await hotline.drop()
    hotline.now_ms += 60_000
    await hotline.ends("3.3", Outcome.COMPLETED)
    callback = await hotline.ledger.find("1.1")
    assert callback is not None
    assert (callback.state, callback.reason) == (CallbackState.CANCELLED, "client_spoken_to")


async def test_a_call_by_hand_that_was_not_answered_cancels_nothing(hotline):
    await hotline.drop()
    hotline.now_ms += 5000
    await hotline.happens("3.3", Happening.STARTED, outbound=True)
    await hotline.ends("3.3", Outcome.NO_ANSWER)
    assert await hotline.state() is CallbackState.DUE


async def test_a_talk_with_somebody_else_cancels_nothing(hotline):
    await hotline.drop()
    hotline.now_ms += 5000
    await hotline.happens("3.3", Happening.ANSWERED, "79000000001", outbound=True)
    assert await hotline.state() is CallbackState.DUE


async def test_a_callback_that_reaches_the_client_cancels_another_and_not_itself(hotline):
    await hotline.drop("1.1")
    await hotline.drop("1.2")
    hotline.now_ms += 5000
    await hotline.happens("callsteward-cb-1.2-1-support", Happening.STARTED, outbound=True)
    await hotline.happens("callsteward-cb-1.2-1-support", Happening.ANSWERED, outbound=True)
    assert await hotline.state("1.1") is CallbackState.CANCELLED
    assert await hotline.state("1.2") is CallbackState.DUE


# --- where the client is -------------------------------------------------------------------------------


async def test_past_the_exemption_the_clients_own_zone_counts(hotline):
    hotline.busy = ["101", "102"]
    await hotline.zones.put({"+79031234567": "Europe/Moscow"}, by="admin")
    # 13:20 in Moscow, night in Kamchatka, where a mobile may be, too.
    hotline.now_ms = NOON + 80 * 60_000
    await hotline.drop()
    await hotline.work(1200)
    assert await hotline.state() is CallbackState.DUE
    await hotline.zones.remove("+79031234567")
    await hotline.work(1)
    assert await hotline.state() is CallbackState.SUPPRESSED


async def test_a_drop_told_late_is_decided_in_the_clients_own_zone(store):
    hotline = Hotline(store, exempt_s=0)
    await hotline.zones.put({"+79031234567": "Asia/Kamchatka"}, by="admin")
    hotline.now_ms = NOON - 60 * 60_000
    record = await hotline.drop(ended_at=stamp(hotline.now_ms - 1000))
    assert (record.callback.decision, record.callback.reason) == (Decision.SUPPRESSED, "calling_hours")


# --- past the retention ----------------------------------------------------------------------------------


async def test_fences_past_the_retention_are_removed(store):
    hotline = Hotline(store, retention_days=1)
    await hotline.drop()
    await hotline.work()
    hotline.says("dialling")
    hotline.says("over", status="ANSWER")
    await hotline.work()
    await hotline.work(2 * 86_400)
    assert hotline.pbx.questions == ["Local/1.1@callsteward-callback-forget"]
    callback = await hotline.ledger.find("1.1")
    assert callback is not None
    assert callback.number is None
    # Asterisk is asked again until it confirms.
    await hotline.work(3600)
    assert len(hotline.pbx.questions) == 2
    hotline.says("forgotten", attempt=9)
    await hotline.work(3600)
    await hotline.work(86_400)
    assert len(hotline.pbx.questions) == 2


async def test_the_fence_of_an_open_callback_is_not_believed_gone(store):
    hotline = Hotline(store, retention_days=1)
    await hotline.drop()
    await hotline.work()
    hotline.says("forgotten")
    hotline.says("dialling")
    hotline.says("over", status="BUSY")
    await hotline.work()
    await hotline.work(2 * 86_400)
    assert hotline.pbx.questions == ["Local/1.1@callsteward-callback-forget"]


async def test_without_its_dialplan_fences_wait_and_numbers_do_not(store):
    hotline = Hotline(store, retention_days=1)
    await hotline.drop()
    await hotline.work()
    hotline.says("over", status="BUSY")
    await hotline.work()
    hotline.execution.link(False)
    await hotline.work(2 * 86_400)
    callback = await hotline.ledger.find("1.1")
    assert callback is not None
    assert (callback.number, hotline.pbx.questions) == (None, [])
    hotline.execution.link(True)
    hotline.pbx.included = ""
    await hotline.work(1)
    assert hotline.pbx.questions == []
    hotline.pbx.included = "1"
    await hotline.work(86_400)
    assert len(hotline.pbx.questions) == 1


async def test_nothing_is_rung_that_is_not_written_down(hotline, monkeypatch):
    await hotline.drop()

    async def full(*_args: object, **_more: object) -> None:
        message = "cannot write to the database: disk is full"
        raise StoreError(message)

    monkeypatch.setattr(hotline.ledger, "move", full)
    with pytest.raises(StoreError):
        await hotline.work()
    assert hotline.pbx.originated == []
    monkeypatch.undo()
    await hotline.work()
    assert len(hotline.pbx.offers) == 1


async def test_the_task_goes_on_when_the_store_fails(hotline, monkeypatch):
    failures = 0

    async def failing() -> int:
        nonlocal failures
        failures += 1
        message = "cannot read"
        raise StoreError(message)

    monkeypatch.setattr(hotline.execution, "once", failing)
    task = asyncio.create_task(hotline.execution.run())
    async with asyncio.timeout(60):
        while failures < 3:
            await asyncio.sleep(0.01)
            hotline.execution.wake()
    assert not task.done()
    assert failures >= 3
    task.cancel()


@pytest.mark.parametrize("hours", [1, -1, 9])
async def test_a_clock_that_is_set_between_two_steps_changes_none_of_them(store, hours):
    """Set an hour ahead, the callback expired without any operator asked; nine ahead, it was out of hours."""
    hotline = Hotline(store, zones="line", same_operator_s=0)
    hotline.busy = ["101", "102"]
    await hotline.drop()
    await hotline.work(10)
    hotline.set_clock(hours * 3600)
    await hotline.work(1)
    assert await hotline.state() is CallbackState.DUE
    assert [fact for fact in hotline.told if isinstance(fact, Alert)] == []
    hotline.busy = ["102"]
    await hotline.work(1)
    assert await hotline.state() is CallbackState.OFFERED
    # 101 does not answer; a clock that was set back would keep them from being asked again.
    hotline.gone()
    await hotline.work(1)
    hotline.set_clock(-hours * 3600)
    again_s = hotline.config.callback.ask_again_s
    await hotline.work(again_s + 1)
    assert len(hotline.pbx.originated) == 2


async def test_a_clock_that_is_set_back_delays_no_expiry(store):
    hotline = Hotline(store, zones="line")
    hotline.busy = ["101", "102"]
    await hotline.drop()
    await hotline.work(10)
    hotline.set_clock(-3600)
    await hotline.work(1780)
    assert await hotline.state() is CallbackState.DUE
    await hotline.work(20)
    assert await hotline.state() is CallbackState.EXPIRED


class Restful(Hotline):
    """With the operators' statuses."""

    features = (StatusesFeature(), CallbackFeature())

    def hear(self, device: str, state: str) -> None:
        event = ari.DeviceStateChanged(device_state=ari.DeviceState(device, state))
        self.statuses.hear(event)
        self.execution.hear(event)


@pytest.fixture
def restful(store: Store) -> Restful:
    return Restful(store, same_operator_s=20)


IN_SUPPORT = "Queue:support_pause_PJSIP/"


async def test_nobody_who_is_paused_is_rung_and_the_callback_waits_for_the_first_one_back(restful):
    restful.hear(f"{IN_SUPPORT}101", "INUSE")
    restful.hear(f"{IN_SUPPORT}102", "INUSE")
    await restful.drop()
    await restful.work(300)
    assert restful.pbx.offers == []
    restful.hear(f"{IN_SUPPORT}102", "NOT_INUSE")
    await restful.work(1)
    assert [offer["endpoint"] for offer in restful.pbx.offers] == ["PJSIP/102"]


async def test_the_same_operator_is_waited_for_while_their_pause_may_end_in_time(restful):
    restful.hear(f"{IN_SUPPORT}101", "INUSE")
    await restful.drop()
    await restful.work(10)
    assert restful.pbx.offers == []
    restful.hear(f"{IN_SUPPORT}101", "NOT_INUSE")
    await restful.work(1)
    assert [offer["endpoint"] for offer in restful.pbx.offers] == ["PJSIP/101"]


async def test_after_that_a_colleague_is_asked(restful):
    restful.hear(f"{IN_SUPPORT}101", "INUSE")
    await restful.drop()
    await restful.work(20)
    assert [offer["endpoint"] for offer in restful.pbx.offers] == ["PJSIP/102"]


async def test_a_pause_in_another_line_s_queue_is_none_here(restful):
    restful.hear(f"{IN_SUPPORT}101", "NOT_INUSE")
    restful.hear("Queue:sales_pause_PJSIP/101", "INUSE")
    await restful.drop()
    await restful.work(1)
    assert [offer["endpoint"] for offer in restful.pbx.offers] == ["PJSIP/101"]


async def test_without_a_connection_nothing_is_held_against_an_operator(restful):
    restful.hear(f"{IN_SUPPORT}101", "INUSE")
    restful.statuses.link(connected=False, why="")
    assert not restful.statuses.cannot_take("101", "support")
