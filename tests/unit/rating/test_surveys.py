"""Rating calls, against a stand-in for Asterisk that does what a test tells it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import pytest

from callsteward.ari import events as ari
from callsteward.callback.ledger import CallbackLedger
from callsteward.calls.tracker import Tracker
from callsteward.clock import DAY_MS
from callsteward.config import CallbackSettings, Config, Line, RatingSettings
from callsteward.exceptions import AriError, StoreError
from callsteward.outgoing.ages import Ages
from callsteward.outgoing.do_not_call import DoNotCall
from callsteward.outgoing.zones import ClientZones
from callsteward.rating import signals
from callsteward.rating.feature import RatingFeature
from callsteward.rating.part import RatingPart
from callsteward.rating.signals import RatingReport, RatingSignal
from callsteward.rating.states import Mode, RatingRow, RatingState
from callsteward.record.call import CallbackDecision, Decision
from callsteward.store.records import Store
from callsteward.testing import StandIn
from tests.unit.store.samples import RECORD

NOON = 1_795_345_200_000  # 2026-11-22 12:00 in Moscow
NUMBER = "+79031234567"
CHANNEL = "callsteward-rt-1.1-1-support"
NO_ANSWER = AriError("no answer")
DISK_FULL = StoreError("disk full")


class Pbx:
    """Stands for `Rest`: keeps the requests, and gives the answers that a test sets."""

    def __init__(self) -> None:
        self.originated: list[tuple[dict[str, str], dict[str, str]]] = []
        self.deleted: list[str] = []
        # Recordings that it refuses to delete, and those that it does not have.
        self.kept: set[str] = set()
        self.none: set[str] = set()
        self.hung_up: list[str] = []
        self.alive: set[str] = set()
        self.refuse: AriError | None = None
        self.silent = False
        self.included = "1"

    async def variable(self, _name: str) -> str:
        if self.silent:
            raise NO_ANSWER
        return self.included

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
        if self.silent:
            raise NO_ANSWER
        return ari.Channel(channel_id, "x") if channel_id in self.alive else None

    async def delete_recording(self, name: str) -> bool:
        if self.silent or name in self.kept:
            raise NO_ANSWER
        self.deleted.append(name)
        return name not in self.none

    async def hang_up(self, channel_id: str) -> bool:
        self.hung_up.append(channel_id)
        return True

    @property
    def calls(self) -> list[str]:
        return [query["channelId"] for query, _ in self.originated if "channelId" in query]

    @property
    def questions(self) -> list[str]:
        return [query["endpoint"] for query, _ in self.originated if "channelId" not in query]


class House:
    """The parts together, with a clock of their own."""

    def __init__(self, store: Store, *, callback: Mapping[str, Any] | None = None, **settings: Any) -> None:
        self.now_ms = NOON
        self.config = Config(
            lines=(
                Line(
                    name="support",
                    callback_dial="PJSIP/{number}@trunk-support",
                    callback_caller_id="+74950000000",
                ),
            ),
            callback=CallbackSettings(**({"zones": "line"} | dict(callback or {}))),
            rating=RatingSettings(enabled=True, **settings),
        )
        self.store = store
        self.dnc = DoNotCall(store.engine)
        self.pbx = Pbx()
        self.told: list[Any] = []
        self.on_a_call: list[str] = []
        self.restart()

    def restart(self) -> None:
        """A new process of the daemon."""
        site = StandIn(
            self.store,
            self.config,
            [RatingFeature()],
            now_ms=lambda: self.now_ms,
            steady_ms=lambda: self.now_ms,
            rest=self.pbx,
            tracker=cast("Tracker", self),
        )
        # Across restarts.
        site.told = self.told
        part = site.part(RatingPart)
        self.ledger, self.surveys = part.ledger, part.surveys
        self.surveys.link(connected=True)

    def client_numbers(self) -> list[str]:
        """The tracker's answer."""
        return self.on_a_call

    async def due(self, call_id: str = "1.1", number: str | None = NUMBER, after_s: float = 0) -> RatingRow:
        rating = await self.ledger.open(
            call_id=call_id,
            mode=Mode.CALL,
            line="support",
            operator="101",
            number=number,
            client_masked="+7903***4567",
            client_ref=None,
            at_ms=self.now_ms,
            due_ms=self.now_ms + round(after_s * 1000),
        )
        assert rating is not None
        return rating

    async def work(self, seconds: float = 0) -> None:
        self.now_ms += round(seconds * 1000)
        await self.surveys.once()

    def says(self, state: str, call_id: str = "1.1", **fields: str) -> None:
        self.surveys.hear(
            ari.ChannelUserevent(
                eventname="callsteward",
                userevent={"eventname": "callsteward", "rt": call_id, "state": f"rating_{state}", **fields},
                channel=ari.Channel("x", "Local/s@callsteward-rating-call-1;2"),
            )
        )

    def gone(self, channel: str = CHANNEL) -> None:
        self.pbx.alive.discard(channel)
        self.surveys.hear(ari.ChannelDestroyed(channel=ari.Channel(channel, "Local/x"), cause=16))

    async def state(self, call_id: str = "1.1") -> tuple[RatingState, str]:
        found = await self.ledger.of_call(call_id)
        assert found is not None
        return found.state, found.reason


@pytest.fixture
def house(store: Store) -> House:
    return House(store)


async def test_the_client_is_called_when_it_is_due_and_not_before(house: House) -> None:
    await house.due(after_s=300)
    await house.work(299)
    assert house.pbx.originated == []
    await house.work(1)
    ((query, variables),) = house.pbx.originated
    assert query == {
        "endpoint": "Local/s@callsteward-rating-call/n",
        "context": "callsteward-rating-call",
        "extension": "h",
        "priority": "1",
        "timeout": "60",
        "channelId": CHANNEL,
    }
    assert variables == {
        "CS_ID": "1.1",
        "CS_NUMBER": "79031234567",
        "CS_PREFIX": "PJSIP/",
        "CS_SUFFIX": "@trunk-support",
        "CS_RING": "30",
        "CS_CALLER": "+74950000000",
    }
    assert await house.state() == (RatingState.DIALLING, "")
    await house.work(5)
    assert len(house.pbx.calls) == 1


async def test_a_client_on_a_call_is_waited_for(house: House) -> None:
    await house.due()
    # In the line's format, which is not the ledger's.
    house.on_a_call = ["89031234567"]
    for _ in range(3):
        await house.work(60)
    assert house.pbx.calls == []
    house.on_a_call = ["79000000001"]
    await house.work(1)
    assert house.pbx.calls == [CHANNEL]


async def test_a_client_who_is_called_back_is_waited_for(house: House) -> None:
    await house.due()
    callbacks = CallbackLedger(house.store.engine, "main")
    decision = CallbackDecision(Decision.DUE, "mid_dialogue_drop")
    callback = await callbacks.open(RECORD, decision, number=NUMBER, dropped_ms=NOON, at_ms=NOON)
    assert callback is not None
    await house.work(60)
    assert house.pbx.calls == []
    from callsteward.callback.states import CallbackState
    from callsteward.outgoing.words import Actor

    await callbacks.move(callback, CallbackState.CANCELLED, actor=Actor.ADMIN, at_ms=NOON)
    await house.work(1)
    assert house.pbx.calls == [CHANNEL]


async def test_the_hours_are_waited_for_and_nobody_is_exempt(store: Store) -> None:
    house = House(store)
    house.now_ms = NOON + 8 * 3_600_000 + 60_000  # 20:01
    await house.due()
    await house.work()
    assert house.pbx.calls == []
    house.now_ms = NOON + 21 * 3_600_000  # 09:00
    await house.work()
    assert house.pbx.calls == [CHANNEL]


async def test_the_hours_are_those_where_the_client_is(house: House) -> None:
    await ClientZones(house.store.engine).put({NUMBER: "Asia/Vladivostok"}, by="cli")
    house.now_ms = NOON + 3_600_000  # 15:00 in Moscow, 22:00 there
    await house.due()
    await house.work()
    assert house.pbx.calls == []
    house.now_ms = NOON + 12 * 3_600_000 - 60_000  # 08:59 there
    await house.work()
    assert house.pbx.calls == []
    await house.work(60)
    assert house.pbx.calls == [CHANNEL]


async def test_a_clock_that_is_set_back_delays_no_question(store: Store) -> None:
    house = House(store)
    steady_ms = 0
    house.surveys.steady_ms = lambda: steady_ms
    house.surveys.ages = Ages(lambda: house.now_ms, lambda: steady_ms)
    await house.due()
    await house.work()
    house.gone()
    await house.work()
    assert len(house.pbx.questions) == 1
    # An hour back, and eleven seconds later.
    house.now_ms -= 3_600_000
    steady_ms += 11_000
    await house.work()
    assert len(house.pbx.questions) == 2


async def test_a_rating_call_that_is_too_late_is_given_up(store: Store) -> None:
    house = House(store, expire_h=1)
    await house.due()
    house.on_a_call = [NUMBER]
    await house.work(3601)
    assert await house.state() == (RatingState.EXPIRED, "too_late")


@pytest.mark.parametrize(
    ("number", "reason"),
    [(None, "no_number"), ("+79540000000", "denied_prefix"), ("112", "emergency_number")],
)
async def test_the_number_is_guarded_once_more(house: House, number: str | None, reason: str) -> None:
    await house.due(number=number)
    await house.work()
    assert await house.state() == (RatingState.SUPPRESSED, reason)
    assert house.pbx.calls == []


async def test_who_asked_meanwhile_not_to_be_called_is_not(house: House) -> None:
    await house.due(after_s=60)
    await house.dnc.add([NUMBER], by="admin")
    await house.work(61)
    assert await house.state() == (RatingState.SUPPRESSED, "do_not_call")


async def test_so_many_at_once_and_so_many_a_minute(store: Store) -> None:
    house = House(store, max_parallel=2, per_minute=3)
    for number in range(5):
        await house.due(f"1.{number}", number=f"+7900000000{number}")
    await house.work()
    assert len(house.pbx.calls) == 2
    for call_id in ("1.0", "1.1"):
        house.says("over", call_id, status="NOANSWER", cause="19")
    await house.work(1)
    assert len(house.pbx.calls) == 3
    house.says("over", "1.2", status="BUSY", cause="17")
    await house.work(1)
    assert len(house.pbx.calls) == 3
    await house.work(60)
    assert len(house.pbx.calls) == 5


async def test_one_client_is_called_for_one_rating_at_a_time(house: House) -> None:
    await house.due("1.1")
    await house.due("1.2")
    await house.work()
    assert house.pbx.calls == [CHANNEL]


async def test_without_its_dialplan_nobody_is_called(house: House) -> None:
    await house.due()
    house.pbx.included = ""
    await house.work()
    assert house.pbx.calls == []
    house.pbx.silent = True
    await house.work()
    house.pbx.silent, house.pbx.included = False, "1"
    await house.work(1)
    assert house.pbx.calls == [CHANNEL]


async def test_without_a_link_nobody_is_called(house: House) -> None:
    await house.due()
    house.surveys.link(connected=False)
    await house.work()
    assert house.pbx.originated == []


@pytest.mark.parametrize(
    ("status", "cause", "reason"),
    [
        ("NOANSWER", "19", "no_answer"),
        ("BUSY", "17", "busy"),
        ("CONGESTION", "21", "rejected"),
        ("CHANUNAVAIL", "20", "unavailable"),
        ("CANCEL", "0", "not_dialled"),
        ("", "x", "result_unknown"),
    ],
)
async def test_a_client_who_is_not_reached_is_not_called_again(
    house: House, status: str, cause: str, reason: str
) -> None:
    await house.due()
    await house.work()
    house.says("dialling")
    house.says("over", status=status, cause=cause)
    house.gone()
    for _ in range(5):
        await house.work(600)
    assert await house.state() == (RatingState.NOT_REACHED, reason)
    assert house.pbx.calls == [CHANNEL]
    assert [fact.rating.state.value for fact in house.told] == ["dialling", "not_reached"]


async def test_a_dialplan_that_refuses_ends_it(house: House) -> None:
    await house.due()
    await house.work()
    house.says("refused")
    await house.work()
    assert await house.state() == (RatingState.NOT_REACHED, "refused_by_dialplan")


# --- restarts, and events that never came -----------------------------------------------------------------


async def test_after_a_restart_a_phone_that_still_rings_is_waited_for(house: House) -> None:
    await house.due()
    await house.work()
    house.restart()
    await house.work(1)
    assert house.pbx.questions == []
    assert house.pbx.calls == [CHANNEL]


async def test_after_a_restart_a_fence_nobody_claimed_lets_it_be_tried_again(house: House) -> None:
    await house.due()
    await house.work()
    house.pbx.alive.clear()
    house.restart()
    await house.work(1)
    assert house.pbx.questions == ["Local/1.1@callsteward-rating-ask"]
    house.says("fence", at="", result="")
    await house.work()
    assert [fact.rating.state.value for fact in house.told] == ["dialling", "scheduled", "dialling"]
    assert house.told[1].rating.reason == "not_dialled"
    assert house.pbx.calls == [CHANNEL, "callsteward-rt-1.1-2-support"]
    # If that fails, too, the next try is not at once.
    house.pbx.alive.clear()
    house.says("fence", at="", result="")
    await house.work(1)
    await house.work(29)
    assert len(house.pbx.calls) == 2
    await house.work(1)
    assert len(house.pbx.calls) == 3


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ("NOANSWER", (RatingState.NOT_REACHED, "no_answer")),
        ("", (RatingState.NOT_REACHED, "result_unknown")),
        # The client answered and heard only the farewell: no daemon was there to ask.
        ("ANSWER", (RatingState.UNANSWERED, "interrupted")),
    ],
)
async def test_after_a_restart_the_fence_shows_the_result(
    house: House, result: str, expected: tuple[RatingState, str]
) -> None:
    await house.due()
    await house.work()
    house.pbx.alive.clear()
    house.restart()
    await house.work(6)
    for _ in range(2):
        house.says("fence", at="1795345201", result=result)
        await house.work(6)
    assert await house.state() == expected
    for _ in range(3):
        await house.work(600)
    assert house.pbx.calls == [CHANNEL]


async def test_a_client_who_has_just_answered_is_given_the_time_to_come_into_the_menu(house: House) -> None:
    rating = await house.due()
    await house.work()
    # The phone rang for long: the dial was long ago, the answer was not.
    await house.work(25)
    house.says("over", status="ANSWER", cause="0")
    house.gone()
    await house.work()
    house.says("fence", at="1795345201", result="ANSWER")
    await house.work(1)
    assert await house.state() == (RatingState.DIALLING, "")
    assert await house.ledger.move(rating, RatingState.ASKING, at_ms=house.now_ms) is not None
    house.says("fence", at="1795345201", result="ANSWER")
    await house.work(60)
    assert await house.state() == (RatingState.ASKING, "")


async def test_a_client_who_is_being_asked_is_not_looked_after(house: House) -> None:
    rating = await house.due()
    await house.work()
    house.says("over", status="ANSWER", cause="0")
    house.gone()
    await house.ledger.move(rating, RatingState.ASKING, at_ms=house.now_ms)
    await house.work(600)
    assert house.pbx.questions == []
    assert await house.state() == (RatingState.ASKING, "")


async def test_a_call_of_which_nothing_is_heard_is_asked_about(house: House) -> None:
    await house.due()
    await house.work()
    house.gone()
    await house.work(1)
    assert house.pbx.questions == ["Local/1.1@callsteward-rating-ask"]
    # Asterisk is not asked all the time.
    await house.work(1)
    assert len(house.pbx.questions) == 1
    await house.work(10)
    assert len(house.pbx.questions) == 2


async def test_a_second_attempt_that_meets_the_fence_dials_nobody(house: House) -> None:
    await house.due()
    await house.work()
    # The first attempt is still going on: its own end will show the result.
    house.says("fence", at="1795345201", result="")
    await house.work()
    assert await house.state() == (RatingState.DIALLING, "")
    house.says("locked")
    await house.work()
    assert await house.state() == (RatingState.DIALLING, "")


async def test_a_refused_originate_is_tried_again_after_a_while(house: House) -> None:
    await house.due()
    house.pbx.refuse = AriError("Asterisk answered 500 to POST channels: Allocation failed")
    await house.work()
    house.pbx.refuse = None
    await house.work(1)
    assert house.pbx.questions == ["Local/1.1@callsteward-rating-ask"]
    house.says("fence", at="", result="")
    await house.work()
    assert house.pbx.calls == []
    await house.work(30)
    assert house.pbx.calls == ["callsteward-rt-1.1-2-support"]


async def test_where_asterisk_does_not_say_nothing_is_decided(house: House) -> None:
    await house.due()
    await house.work()
    house.restart()
    house.pbx.silent = True
    await house.work(1)
    house.says("fence", at="", result="")
    await house.work()
    assert await house.state() == (RatingState.DIALLING, "")
    house.pbx.silent = False
    house.pbx.alive.clear()
    house.pbx.refuse = AriError("no answer")
    await house.work(11)
    assert house.pbx.questions == []


async def test_data_past_the_retention_is_deleted_everywhere(store: Store) -> None:
    house = House(store, retention_days=1)
    rating = await house.due()
    await house.work()
    await house.ledger.move(rating, RatingState.ASKING, at_ms=house.now_ms)
    await house.ledger.keep(rating, at_ms=house.now_ms, score=5)
    await house.ledger.keep(rating, at_ms=house.now_ms, comment_file="c", comment_ms=1)
    await house.work(3 * DAY_MS / 1000)
    assert house.pbx.deleted == ["c"]
    assert house.pbx.questions == ["Local/1.1@callsteward-rating-forget"]
    found = await house.ledger.of_call("1.1")
    assert found is not None
    assert (found.number, found.comment_file, found.score) == (None, None, 5)


async def answered(house: House, call_id: str, comment: str | None = None) -> None:
    """A rating call that was made and answered, with a spoken comment."""
    rating = await house.due(call_id)
    channel = f"callsteward-rt-{call_id}-1-support"
    await house.ledger.move(rating, RatingState.DIALLING, at_ms=house.now_ms, channel_id=channel)
    await house.ledger.move(rating, RatingState.ASKING, at_ms=house.now_ms)
    await house.ledger.keep(rating, at_ms=house.now_ms, score=5)
    if comment is not None:
        await house.ledger.keep(rating, at_ms=house.now_ms, comment_file=comment, comment_ms=1)


async def kept(house: House, call_id: str = "1.1") -> tuple[str | None, str | None, bool]:
    """A rating's data in the ledger: number, comment's name, and whether its fence may still exist."""
    found = await house.ledger.of_call(call_id)
    assert found is not None
    return found.number, found.comment_file, found.fence_gone_at_ms is None


async def test_a_comment_that_asterisk_did_not_delete_is_asked_for_again_until_it_is_gone(
    store: Store,
) -> None:
    house = House(store, retention_days=1)
    await answered(house, "1.1", "c")
    house.pbx.kept.add("c")
    for _ in range(3):
        await house.work(2 * DAY_MS / 1000)
        # The number is deleted without waiting for Asterisk.
        assert await kept(house) == (None, "c", True)
    house.restart()
    house.pbx.kept.clear()
    await house.work()
    assert house.pbx.deleted == ["c"]
    assert await kept(house) == (None, None, True)


async def test_a_comment_that_asterisk_does_not_have_is_gone(store: Store) -> None:
    house = House(store, retention_days=1)
    await answered(house, "1.1", "c")
    house.pbx.none.add("c")
    await house.work(2 * DAY_MS / 1000)
    assert await kept(house) == (None, None, True)
    await house.work(2 * DAY_MS / 1000)
    assert house.pbx.deleted == ["c"]


async def test_a_fence_is_removed_until_asterisk_confirms_that_it_is_gone(store: Store) -> None:
    house = House(store, retention_days=1)
    await answered(house, "1.1")
    await house.work(2 * DAY_MS / 1000)
    forget = "Local/1.1@callsteward-rating-forget"
    assert house.pbx.questions == [forget]
    await house.work(1800)
    assert house.pbx.questions == [forget]
    house.pbx.refuse = AriError("Asterisk answered 500")
    await house.work(1800)
    assert house.pbx.questions == [forget]
    house.pbx.refuse = None
    await house.work(3600)
    assert house.pbx.questions == [forget, forget]
    house.says("forgotten")
    await house.work(3600)
    assert await kept(house) == (None, None, False)
    await house.work(2 * DAY_MS / 1000)
    assert house.pbx.questions == [forget, forget]


async def test_without_a_link_nothing_in_asterisk_is_taken_for_gone(store: Store) -> None:
    house = House(store, retention_days=1)
    await answered(house, "1.1", "c")
    house.surveys.link(connected=False)
    await house.work(2 * DAY_MS / 1000)
    assert await kept(house) == (None, "c", True)
    house.surveys.link(connected=True)
    await house.work(1)
    assert await kept(house) == (None, None, True)


async def test_no_fence_of_an_open_rating_call_is_believed_to_be_gone(house: House) -> None:
    await house.due()
    await house.work()
    house.says("forgotten")
    await house.work()
    assert await kept(house) == (NUMBER, None, True)


async def test_a_row_that_asterisk_refuses_does_not_hold_up_the_others(store: Store) -> None:
    house = House(store, retention_days=1)
    for number in range(50):
        await answered(house, f"1.{number:02}", f"c{number:02}")
        house.says("forgotten", f"1.{number:02}")
    house.pbx.kept = {f"c{number:02}" for number in range(25)}
    await house.work(2 * DAY_MS / 1000)
    assert house.pbx.deleted == []
    await house.work(60)
    await house.work(60)
    assert house.pbx.deleted == [f"c{number:02}" for number in range(25, 50)]
    # The first 25 are tried again an hour later.
    house.pbx.kept.clear()
    await house.work(3599)
    assert len(house.pbx.deleted) == 25
    await house.work(1)
    await house.work(60)
    assert house.pbx.deleted[25:] == [f"c{number:02}" for number in range(25)]


async def test_a_store_that_fails_is_tried_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await house.due()
    tries = 0
    real = house.ledger.opened

    async def opened() -> list[RatingRow]:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise DISK_FULL
        return await real()

    monkeypatch.setattr(house.ledger, "opened", opened)
    monkeypatch.setattr("callsteward.outgoing.work.LOOK_EVERY_S", 0.01)
    task = asyncio.create_task(house.surveys.run())
    async with asyncio.timeout(60):
        while not house.pbx.calls:  # noqa: ASYNC110 - what is waited for is a list
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


# --- reports read off the wire ----------------------------------------------------------------------------


def said(**fields: object) -> ari.ChannelUserevent:
    return ari.ChannelUserevent(eventname="callsteward", userevent=dict(fields))


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (said(rt="1.1", state="rating_dialling"), RatingReport("1.1", RatingSignal.DIALLING)),
        (
            said(rt="1.1", state="rating_over", status="BUSY", cause="17"),
            RatingReport("1.1", RatingSignal.OVER, status="BUSY", cause=17),
        ),
        (
            said(rt="1.1", state="rating_fence", at="9", result="ANSWER"),
            RatingReport("1.1", RatingSignal.FENCE, status="ANSWER", at="9"),
        ),
        (said(rt="1.1", state="rating_over", cause="99999"), RatingReport("1.1", RatingSignal.OVER)),
        (said(rt="1.1", state="gone"), None),
        (said(rt="1.1", state="rating"), None),
        (said(rt="", state="rating_over"), None),
        (said(rt=7, state="rating_over"), None),
        (said(cb="1.1", state="over"), None),
        (ari.ChannelUserevent(eventname="other", userevent={"rt": "1.1", "state": "rating_over"}), None),
        (ari.ChannelDestroyed(channel=ari.Channel("1.1", "PJSIP/101-1")), None),
        (
            ari.ChannelDestroyed(channel=ari.Channel(CHANNEL, "Local/x"), cause=16),
            RatingReport("1.1", RatingSignal.GONE, CHANNEL, cause=16),
        ),
        (ari.ChannelCreated(channel=ari.Channel(CHANNEL, "Local/x")), None),
    ],
)
def test_reports_about_a_rating_call_are_read(event: ari.Event, expected: RatingReport | None) -> None:
    assert signals.read(event) == expected


async def test_a_client_who_comes_onto_the_list_is_suppressed_before_the_call_is_due(house: House) -> None:
    await house.due(after_s=3600)
    await house.dnc.add([NUMBER], by="cli")
    await house.work(1)
    assert await house.state() == (RatingState.SUPPRESSED, "do_not_call")
    assert [fact.rating.state for fact in house.told] == [RatingState.SUPPRESSED]


async def test_the_list_is_read_in_the_step_that_allows_a_rating_call(house: House) -> None:
    rating = await house.due()
    await house.dnc.add([NUMBER], by="cli")
    begun = await house.ledger.move(rating, RatingState.DIALLING, at_ms=house.now_ms, channel_id=CHANNEL)
    assert begun is None
    assert await house.state() == (RatingState.SCHEDULED, "")


async def test_a_client_whose_phone_rings_for_a_rating_is_rung_no_longer(house: House) -> None:
    await house.due()
    await house.work()
    house.says("dialling")
    await house.dnc.add([NUMBER], by="cli")
    for _ in range(3):
        await house.work(1)
    assert house.pbx.hung_up == [CHANNEL]
    house.says("over", status="CANCEL", cause="16")
    house.gone()
    await house.work(1)
    assert await house.state() == (RatingState.NOT_REACHED, "do_not_call")
