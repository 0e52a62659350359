"""The decision who is asked, on real tables: as clients come to the menu and as calls end."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from callsteward.ari import events as ari
from callsteward.callback.ledger import CallbackLedger
from callsteward.clock import DAY_MS
from callsteward.config import Config, RatingSettings
from callsteward.config.profile import Profile
from callsteward.outgoing.do_not_call import DoNotCall
from callsteward.outgoing.may import May
from callsteward.rating import standing
from callsteward.rating.complaints import Complaints
from callsteward.rating.decisions import RatingDecisions
from callsteward.rating.ledger import RatingLedger
from callsteward.rating.standing import ClientStanding, LookUp
from callsteward.rating.states import ComplaintRaised, Mode, RatingMoved, RatingRow, RatingState
from callsteward.record.call import (
    CallbackDecision,
    CallRecord,
    Confidence,
    Decision,
    Direction,
    Hangup,
    Outcome,
    Party,
    Rating,
)
from callsteward.record.facts import Alert, CallEnded, HandOver
from callsteward.store.direct import Piece, Sql, read
from callsteward.store.records import Store
from tests.unit.store.samples import RECORD

NOW = 1_795_348_800_000
NUMBER = "79031234567"
OPERATOR_LEFT = Hangup(Party.OPERATOR, 16, None, ("bye",), Confidence.CERTAIN)


class House:
    """The decisions of one daemon, with a clock and tags of their own."""

    def __init__(self, store: Store, **profile: Any) -> None:
        self.store = store
        self.now_ms = NOW
        self.profile: dict[str, Any] = {"rating": "stay", **profile}
        self.ledger = RatingLedger(store.engine, "main")
        self.complaints = Complaints(store.engine, "main")
        self.dnc = DoNotCall(store.engine)
        self.tags: dict[str, frozenset[str]] = {}
        self.told: list[RatingMoved | ComplaintRaised] = []
        self.restart()

    def restart(self, *, enabled: bool = True) -> None:
        config = Config(
            rating=RatingSettings(enabled=enabled),
            profiles={"standard": Profile.model_validate(self.profile)},
        )

        def tags_in(_sql: Sql, call_id: str) -> frozenset[str]:
            return self.tags.get(call_id, frozenset())

        self.decisions = RatingDecisions(
            config,
            ledger=self.ledger,
            complaints=self.complaints,
            may=May.of(config, self.store.engine),
            look_up=LookUp(self.store.engine, "main", self.ledger, tags_in),
            now_ms=lambda: self.now_ms,
            publish=self.told.append,
        )

    async def ends(self, call_id: str = "1.1", number: str = NUMBER, **changes: Any) -> Rating:
        """A call ended. Returns the rating in its record."""
        record: CallRecord = msgspec.structs.replace(
            RECORD, **({"call_id": call_id, "unobserved": (), "hangup": OPERATOR_LEFT} | changes)
        )
        (fact,) = await self.decisions.judge([CallEnded(record, number)])
        assert isinstance(fact, CallEnded)
        return fact.record.rating

    async def comes(self, call_id: str = "1.1", **changes: Any) -> RatingRow | str:
        """A client came to the rating and into the menu."""
        client = came(call_id, **changes)
        assert await self.decisions.judge([client]) == []
        found = await self.decisions.arrival(client.channel_id, 1)
        assert found == client
        return await self.decisions.admit(found)

    @property
    def states(self) -> list[str]:
        return [fact.rating.state.value for fact in self.told if isinstance(fact, RatingMoved)]


def came(call_id: str = "1.1", **changes: Any) -> HandOver:
    values: dict[str, Any] = {
        "call_id": call_id,
        "channel_id": call_id,
        "line": "support",
        "direction": Direction.INBOUND,
        "at_ms": NOW,
        "operator": "101",
        "connected": True,
        "dialogue": True,
        "handed_over": True,
        "client_number": NUMBER,
        "client_masked": "+7903***4567",
        "client_ref": "5f0c",
    }
    return HandOver(**(values | changes))


@pytest.fixture
def house(store: Store) -> House:
    return House(store)


async def test_the_score_is_in_the_record(house: House) -> None:
    rating = await house.comes()
    assert isinstance(rating, RatingRow)
    house.now_ms += 2000
    assert await house.decisions.keep(rating, score=4) is not None
    house.decisions.menu_over(rating)
    assert await house.ends() == Rating("answered", "stay", 4)
    assert house.states == ["asking", "answered"]
    # A journal that is run again gives the same.
    house.restart()
    assert await house.ends() == Rating("answered", "stay", 4)


async def test_a_call_that_ends_just_as_the_key_is_pressed_waits_for_the_key(house: House) -> None:
    rating = await house.comes()
    assert isinstance(rating, RatingRow)

    async def late() -> None:
        await asyncio.sleep(0.1)
        await house.decisions.keep(rating, score=5)
        house.decisions.menu_over(rating)

    pressing = asyncio.create_task(late())
    assert await house.ends() == Rating("answered", "stay", 5)
    await pressing


async def test_a_menu_that_does_not_end_holds_no_record_up_for_long(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callsteward.rating.decisions.SETTLE_S", 0.05)
    await house.comes()
    assert await house.ends() == Rating("unanswered", "hung_up")


async def test_no_score_and_why(house: House) -> None:
    rating = await house.comes()
    assert isinstance(rating, RatingRow)
    await house.decisions.unanswered(rating, "silence")
    house.decisions.menu_over(rating)
    assert await house.ends() == Rating("unanswered", "silence")


async def test_a_menu_of_an_earlier_process_was_interrupted(house: House) -> None:
    await house.comes()
    await house.comes("1.2", client_number="79000000001", client_ref="2")
    house.restart()
    # Either the call's end or the IVR's return comes first.
    assert await house.ends() == Rating("unanswered", "interrupted")
    await house.decisions.end_interrupted()
    assert await house.ends("1.2") == Rating("unanswered", "interrupted")
    assert house.states == ["asking", "asking", "unanswered", "unanswered"]


async def test_a_menu_that_is_open_is_not_interrupted(house: House) -> None:
    await house.comes()
    await house.decisions.end_interrupted()
    assert [rating.state for rating in await house.ledger.asking()] == [RatingState.ASKING]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"direction": Direction.INTERNAL}, "internal"),
        ({"direction": Direction.CALLBACK}, "after_callback"),
        ({"connected": False, "dialogue": False, "handed_over": False}, "not_connected"),
        ({"dialogue": False}, "no_dialogue"),
        ({"handed_over": False}, "connection_broke"),
    ],
)
async def test_clients_who_come_to_the_menu_and_are_not_asked(
    house: House, changes: dict[str, Any], why: str
) -> None:
    assert await house.comes(**changes) == why
    assert house.told == []


async def test_a_client_who_is_called_back_is_not_asked(house: House) -> None:
    callbacks = CallbackLedger(house.store.engine, "main")
    due = CallbackDecision(Decision.DUE, "mid_dialogue_drop")
    other = msgspec.structs.replace(RECORD, call_id="9.9")
    await callbacks.open(other, due, number=f"+{NUMBER}", dropped_ms=NOW, at_ms=NOW)
    assert await house.comes() == "callback_pending"
    assert await house.ends() == Rating("not_asked", "callback_pending")


async def test_a_tag_that_comes_in_time_keeps_the_question_away(house: House) -> None:
    house.tags["1.1"] = frozenset({"atypical"})
    assert await house.comes() == "atypical"
    assert await house.ends() == Rating("not_asked", "atypical")


async def test_a_client_who_was_asked_is_left_alone_for_the_quiet_days(house: House) -> None:
    assert isinstance(await house.comes(), RatingRow)
    assert await house.comes("1.2") == "asked_recently"
    assert await house.ends("1.2") == Rating("not_asked", "asked_recently")
    house.now_ms += 30 * DAY_MS
    assert isinstance(await house.comes("1.3"), RatingRow)


async def test_a_second_menu_of_one_call_is_not_begun(house: House) -> None:
    assert isinstance(await house.comes(), RatingRow)
    assert await house.comes() == "already_asked"


async def test_a_client_whose_call_nobody_saw_is_not_waited_for(house: House) -> None:
    assert await house.decisions.arrival("1.1", 0.01) is None


async def test_the_menu_and_the_tracker_may_come_in_either_order(house: House) -> None:
    waiting = asyncio.create_task(house.decisions.arrival("1.1", 1))
    await asyncio.sleep(0)
    await house.decisions.judge([came()])
    assert await waiting == came()


# --- the call ends without a menu -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "changes", "why"),
    [
        ("stay", {"hangup": msgspec.structs.replace(OPERATOR_LEFT, first=Party.CLIENT)}, "client_hung_up"),
        ("stay", {}, "not_handed_over"),
        (
            "stay",
            {"complete": False, "hangup": msgspec.structs.replace(OPERATOR_LEFT, first=Party.UNKNOWN)},
            "not_observed",
        ),
        ("transfer", {}, "not_transferred"),
        ("off", {}, "line_does_not_ask"),
        ("stay", {"direction": Direction.OUTBOUND}, "outbound"),
        ("stay", {"answered_at": None, "talk_s": 0.0, "outcome": Outcome.ABANDONED}, "not_connected"),
        ("stay", {"outcome": Outcome.EARLY_DROP}, "no_dialogue"),
        ("stay", {"talk_s": 1.0}, "no_dialogue"),
        ("stay", {"callback": CallbackDecision(Decision.DUE, "mid_dialogue_drop")}, "callback_due"),
        (
            "stay",
            {
                "outcome": Outcome.MID_DIALOGUE_DROP,
                "callback": CallbackDecision(Decision.SUPPRESSED, "do_not_call"),
            },
            "connection_broke",
        ),
    ],
)
async def test_every_ended_call_says_which_rule_decided(
    store: Store, mode: str, changes: dict[str, Any], why: str
) -> None:
    house = House(store, rating=mode)
    assert await house.ends(**changes) == Rating("not_asked", why)


async def test_switched_off_nothing_is_asked(house: House) -> None:
    house.restart(enabled=False)
    assert await house.ends() == Rating("not_asked", "not_configured")


async def test_a_client_who_came_while_there_was_no_menu(house: House) -> None:
    await house.decisions.judge([came()])
    assert await house.ends() == Rating("not_asked", "not_available")


async def test_other_facts_pass_through(house: House) -> None:
    alert = Alert(call_id="1", line="x", rule="late", at_ms=1, operator=None, limit_s=1.0, since_ms=0)
    assert await house.decisions.judge([alert]) == [alert]


# --- rating calls -----------------------------------------------------------------------------------------


async def test_a_rating_call_is_scheduled_once_and_the_record_says_so(store: Store) -> None:
    house = House(store, rating="call", rating_delay_min=5)
    ended_ms = NOW - 1000
    ended_at = ari.timestamp(ended_ms).replace("+0000", "Z")
    assert await house.ends(ended_at=ended_at) == Rating("scheduled", "call")
    house.restart()
    assert await house.ends(ended_at=ended_at) == Rating("scheduled", "call")
    (rating,) = await house.ledger.opened()
    assert (rating.due_at_ms, rating.number, rating.mode) == (
        ended_ms + 5 * 60_000,
        f"+{NUMBER}",
        Mode.CALL,
    )
    assert house.states == ["scheduled"]


async def test_a_rating_call_that_could_not_be_made_is_not_scheduled(store: Store) -> None:
    house = House(store, rating="call")
    assert await house.ends("1.1", "112") == Rating("not_asked", "emergency_number")
    assert await house.ends("1.2", "") == Rating("not_asked", "no_number")
    await house.dnc.add([f"+{NUMBER}"], by="admin")
    assert await house.ends("1.3") == Rating("not_asked", "do_not_call")


async def test_a_called_client_is_asked_once_and_both_records_have_the_score(store: Store) -> None:
    house = House(store, rating="call")
    await house.ends()
    (scheduled,) = await house.ledger.opened()
    channel = "callsteward-rt-1.1-1-support"
    await house.ledger.move(scheduled, RatingState.DIALLING, at_ms=NOW, channel_id=channel)
    rating = await house.comes(channel, direction=Direction.RATING, channel_id="7.7")
    assert isinstance(rating, RatingRow)
    assert rating.call_id == "1.1"
    await house.decisions.keep(rating, score=3)
    house.decisions.menu_over(rating)
    assert await house.comes(channel, direction=Direction.RATING, channel_id="7.7") == "already_asked"
    told = await house.ends(channel, direction=Direction.RATING)
    assert told == Rating("answered", "call", 3)
    unreached = await house.ends(channel, direction=Direction.RATING, answered_at=None)
    assert unreached == Rating("not_asked", "not_reached")
    assert await house.ends() == Rating("scheduled", "call")


async def test_a_rating_call_the_ledger_does_not_know_asks_nobody(store: Store) -> None:
    house = House(store, rating="call")
    channel = "callsteward-rt-1.1-1-support"
    assert await house.comes(channel, direction=Direction.RATING) == "already_asked"
    assert await house.ends(channel, direction=Direction.RATING) == Rating("not_asked", "not_reached")


# --- complaints -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("score", "complaints"), [(1, 1), (2, 1), (3, 0), (5, 0)])
async def test_a_low_score_reaches_a_supervisor(house: House, score: int, complaints: int) -> None:
    rating = await house.comes()
    assert isinstance(rating, RatingRow)
    await house.decisions.keep(rating, score=score)
    raised = [fact.complaint for fact in house.told if isinstance(fact, ComplaintRaised)]
    assert [(item.reason, item.score, item.operator) for item in raised] == [
        ("low_rating", score, "101")
    ] * complaints
    assert len(await house.complaints.listed()) == complaints


async def test_the_threshold_is_the_profiles(store: Store) -> None:
    house = House(store, complaint_score=0)
    rating = await house.comes()
    assert isinstance(rating, RatingRow)
    await house.decisions.keep(rating, score=1)
    assert await house.complaints.listed() == []


async def test_a_tagged_complaint_reaches_a_supervisor_and_is_told_once(house: House) -> None:
    house.tags["1.1"] = frozenset({"complaint"})
    await house.ends()
    house.restart()
    await house.ends()
    raised = [fact.complaint for fact in house.told if isinstance(fact, ComplaintRaised)]
    assert [(item.reason, item.score) for item in raised] == [("tagged", None)]


async def test_the_second_score_of_one_menu_is_not_kept(house: House) -> None:
    rating = await house.comes()
    assert isinstance(rating, RatingRow)
    await house.decisions.keep(rating, score=5)
    assert await house.decisions.keep(rating, score=1) is None
    await house.decisions.add(rating, question=2)
    assert await house.complaints.listed() == []
    assert house.states == ["asking", "answered", "answered"]


def ended(call_id: str, number: str = NUMBER, ref: str | None = "5f0c") -> CallEnded:
    record: CallRecord = msgspec.structs.replace(
        RECORD, call_id=call_id, unobserved=(), hangup=OPERATOR_LEFT, client_ref=ref
    )
    return CallEnded(record, number)


async def results(house: House, *facts: CallEnded) -> list[Rating]:
    judged = await house.decisions.judge(facts)
    return [fact.record.rating for fact in judged if isinstance(fact, CallEnded)]


async def test_a_client_whose_two_calls_end_together_is_called_for_a_rating_once(store: Store) -> None:
    house = House(store, rating="call")
    both = (ended("1.1"), ended("1.2"), ended("1.3", "79000000001", "2"))
    assert await results(house, *both) == [
        Rating("scheduled", "call"),
        Rating("not_asked", "asked_recently"),
        Rating("scheduled", "call"),
    ]


async def test_the_database_is_asked_once_for_all_calls_that_end_together(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    visits: list[int] = []

    async def counted(engine: AsyncEngine, work: Piece[list[ClientStanding]]) -> list[ClientStanding]:
        found = await read(engine, work)
        visits.append(len(found))
        return found

    monkeypatch.setattr(standing, "read", counted)
    house.tags["1.2"] = frozenset({"atypical"})
    three = (ended("1.1"), ended("1.2", "79000000001", "2"), ended("1.3", "79000000002", "3"))
    assert await results(house, *three) == [
        Rating("not_asked", "not_handed_over"),
        Rating("not_asked", "atypical"),
        Rating("not_asked", "not_handed_over"),
    ]
    assert visits == [3]
