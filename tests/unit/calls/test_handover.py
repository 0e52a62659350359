"""The hand-over to the rating: no hang-up, no talk, and only where the operator made it."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from callsteward.calls.tracker import Tracker
from callsteward.config import Config, RatingSettings
from callsteward.config.profile import Profile
from callsteward.record.call import (
    CallRecord,
    Confidence,
    Decision,
    Direction,
    Outcome,
    Party,
    RuleResult,
    TransferResult,
)
from callsteward.record.facts import CallHappened, HandOver, Happening
from callsteward.record.rating_id import channel_id, guard_id, line_of, origin_of, rating_id, rating_of
from tests.unit.calls.stream import CLIENT, Stream, at, config, ended, rule


def asking(mode: str = "stay", **profile: Any) -> Config:
    return config(
        rating=RatingSettings(enabled=True),
        profiles={"standard": Profile.model_validate({"rating": mode, **profile})},
    )


def played(stream: Stream, settings: Config) -> tuple[CallRecord, HandOver]:
    facts = stream.play(Tracker(settings))
    (record,) = ended(facts)
    (entered,) = [fact for fact in facts if isinstance(fact, HandOver)]
    return record, entered


def in_menu_and_out(stream: Stream, client: Any, seconds: float = 10) -> None:
    """The client answers and the dialplan ends the call."""
    stream.wait(seconds)
    stream.request(client, 16, soft=True)
    stream.destroy(client)


def talked(stream: Stream) -> tuple[Any, Any]:
    client, operator = stream.talk()
    stream.speak(operator, 4)
    stream.wait(1)
    return client, operator


def test_an_operator_who_hands_over_to_the_rating_did_not_hang_up_on_the_client() -> None:
    s = Stream()
    client, operator = talked(s)
    s.hands_over(operator, client)
    in_menu_and_out(s, client)
    record, entered = played(s, asking())
    check = rule(record, "operator_hangs_up_last")
    assert (check.result, check.value, check.limit) == (RuleResult.MET, "hand_over", Party.CLIENT)
    assert (record.hangup.first, record.hangup.confidence) == (Party.OPERATOR, Confidence.CERTAIN)
    assert record.hangup.evidence[-1] == "the client was handed over to the rating"
    assert record.outcome is Outcome.COMPLETED
    assert (record.callback.decision, record.callback.reason) == (Decision.NOT_DUE, "handed_over")
    # Answered at 2, five seconds of talk, ten in the menu.
    assert (record.talk_s, record.hold_s, record.duration_s) == (5.0, 0.0, 17.0)
    assert record.ended_at == at(17)
    assert entered.call_id == record.call_id == client.id
    assert (entered.channel_id, entered.line, entered.operator) == (client.id, "default", "101")
    assert (entered.connected, entered.dialogue, entered.handed_over) == (True, True, True)
    assert (entered.direction, entered.client_number) == (Direction.INBOUND, CLIENT)
    assert (entered.client_masked, entered.client_ref) == (record.client_masked, record.client_ref)


def test_the_disconnect_code_is_a_hand_over_that_is_likely() -> None:
    s = Stream()
    client, operator = talked(s)
    s.hands_over(operator, client, code=True)
    in_menu_and_out(s, client)
    record, entered = played(s, asking())
    assert (record.hangup.first, record.hangup.confidence) == (Party.OPERATOR, Confidence.LIKELY)
    assert rule(record, "operator_hangs_up_last").value == "hand_over"
    assert entered.handed_over


def brought_to_the_rating(stream: Stream) -> None:
    record, entered = played(stream, asking("transfer"))
    (transfer,) = record.transfers
    assert (transfer.to, transfer.result) == ("799", TransferResult.COMPLETED)
    assert rule(record, "transfers").value == 0
    assert rule(record, "operator_hangs_up_last").result is RuleResult.MET
    assert record.hangup.evidence == ("transferred to the rating by 101",)
    assert entered.handed_over


def test_a_transfer_to_the_rating_is_no_transfer_to_a_colleague() -> None:
    s = Stream()
    client, operator = talked(s)
    s.blind(operator, client, "799")
    s.comes_to_rating(client)
    in_menu_and_out(s, client)
    brought_to_the_rating(s)


def test_a_transfer_reported_after_the_rating_began_is_not_counted() -> None:
    """Two of its threads tell of it: as a real 22.10 did it once, by a millisecond."""
    s = Stream()
    client, operator = talked(s)
    room = operator.room
    assert room is not None
    s.unhold(operator)
    s.leaves(client)
    s.comes_to_rating(client)
    s.emit("BridgeBlindTransfer", channel=operator, transferee=client, exten="799", result="Success")
    s.leaves(operator)
    s.close(room)
    s.destroy(operator)
    in_menu_and_out(s, client)
    brought_to_the_rating(s)


def test_a_client_who_hangs_up_in_the_menu_ends_no_talk() -> None:
    s = Stream()
    client, operator = talked(s)
    s.hands_over(operator, client)
    s.wait(3)
    s.request(client)
    s.destroy(client)
    facts = s.play(Tracker(asking()))
    (record,) = ended(facts)
    assert record.hangup.first is Party.OPERATOR
    assert record.duration_s == 10.0
    hung_up = [fact for fact in facts if isinstance(fact, CallHappened) and fact.event is Happening.HANGUP]
    assert [fact.by for fact in hung_up] == [Party.OPERATOR]


def test_a_network_that_is_lost_in_the_menu_is_no_drop() -> None:
    s = Stream()
    client, operator = talked(s)
    s.hands_over(operator, client)
    s.wait(5)
    s.request(client, 1, soft=True)
    s.destroy(client, 44)
    record, _ = played(s, asking())
    assert (record.outcome, record.callback.decision) == (Outcome.COMPLETED, Decision.NOT_DUE)


def test_an_operator_with_a_lost_network_made_no_hand_over() -> None:
    s = Stream()
    client, operator = talked(s)
    # Dial goes on in the dialplan (option g) whatever ended the other side.
    s.request(operator, 1, soft=True)
    room = operator.room
    s.leaves(operator)
    s.leaves(client)
    s.close(room)
    s.destroy(operator, 44)
    s.comes_to_rating(client)
    in_menu_and_out(s, client, 1)
    record, entered = played(s, asking())
    assert not entered.handed_over
    assert (record.outcome, record.callback.decision) == (Outcome.MID_DIALOGUE_DROP, Decision.DUE)
    assert record.hangup.first is Party.NETWORK


def test_a_leg_found_broken_after_the_rating_began_is_still_a_drop() -> None:
    s = Stream()
    client, operator = talked(s)
    room = operator.room
    s.leaves(operator)
    s.leaves(client)
    s.close(room)
    s.comes_to_rating(client)
    s.wait(0.1)
    s.destroy(operator, 44)
    in_menu_and_out(s, client, 1)
    record, _ = played(s, asking())
    assert (record.outcome, record.hangup.first) == (Outcome.MID_DIALOGUE_DROP, Party.NETWORK)


def test_an_administrators_hang_up_is_no_hand_over() -> None:
    s = Stream()
    client, operator = talked(s)
    s.request(operator, 32, soft=True)
    room = operator.room
    s.leaves(operator)
    s.leaves(client)
    s.close(room)
    s.destroy(operator, 16)
    s.comes_to_rating(client)
    in_menu_and_out(s, client, 1)
    record, entered = played(s, asking())
    assert record.hangup.first is Party.PBX
    assert not entered.handed_over
    assert rule(record, "operator_hangs_up_last").result is RuleResult.NOT_APPLICABLE


def test_while_ratings_are_off_no_client_comes_to_the_rating() -> None:
    s = Stream()
    client, operator = talked(s)
    s.hands_over(operator, client)
    in_menu_and_out(s, client)
    facts = s.play(Tracker(config()))
    assert not [fact for fact in facts if isinstance(fact, HandOver)]
    (record,) = ended(facts)
    assert rule(record, "operator_hangs_up_last").result is RuleResult.BROKEN


@pytest.mark.parametrize("settings", [asking("off"), asking("call")])
def test_on_a_line_without_hand_overs_a_hang_up_stays_a_hang_up(settings: Config) -> None:
    s = Stream()
    client, operator = talked(s)
    s.hands_over(operator, client)
    in_menu_and_out(s, client)
    record, entered = played(s, settings)
    assert rule(record, "operator_hangs_up_last").result is RuleResult.BROKEN
    assert record.hangup.first is Party.OPERATOR
    assert not entered.handed_over


def test_a_talk_within_the_greeting_is_no_dialogue() -> None:
    s = Stream()
    client, operator = s.talk()
    s.speak(operator, 1)
    s.hands_over(operator, client)
    in_menu_and_out(s, client)
    _, entered = played(s, asking())
    assert (entered.dialogue, entered.handed_over) == (False, True)


def test_a_client_who_talked_to_nobody_can_come_to_the_rating_too() -> None:
    s = Stream()
    client = s.incoming()
    s.enter(client, "support")
    s.wait(5)
    s.comes_to_rating(client)
    s.request(client)
    s.destroy(client)
    record, entered = played(s, asking())
    assert (entered.connected, entered.dialogue, entered.handed_over) == (False, False, False)
    # Their hang-up is the call's.
    assert record.hangup.first is Party.CLIENT
    assert record.outcome is Outcome.ABANDONED


def test_a_client_who_goes_on_to_a_second_talk_is_judged_by_that() -> None:
    s = Stream()
    client, operator = talked(s)
    s.hands_over(operator, client)
    s.wait(2)
    second = s.dial(client, "102")
    s.ring(second)
    s.answer(second, after=1)
    s.bridge(client, second)
    s.speak(second, 4)
    s.bye(second)
    (record,) = ended(s.play(Tracker(asking())))
    assert rule(record, "operator_hangs_up_last").result is RuleResult.BROKEN
    assert record.operator == "102"


def test_another_channels_event_makes_no_hand_over() -> None:
    s = Stream()
    client, operator = talked(s)
    s.comes_to_rating(operator)
    s.bye(client)
    facts = s.play(Tracker(asking()))
    assert not [fact for fact in facts if isinstance(fact, HandOver)]
    (record,) = ended(facts)
    assert record.hangup.first is Party.CLIENT


def lost_sight(s: Stream, tracker: Tracker) -> None:
    """Nobody saw what has happened for ten seconds; then Asterisk is asked."""
    s.unseen()
    s.wait(10)
    s.snapshot(gap_from=10)
    s.play(tracker)


@pytest.mark.parametrize("hangs_up", [False, True])
def test_a_talk_that_ended_unobserved_has_an_unknown_end(hangs_up: bool) -> None:
    """Neither the client's hang-up in the menu nor the menu's own end shows who ended the talk."""
    s = Stream()
    client, operator = talked(s)
    tracker = Tracker(asking())
    s.play(tracker)
    s.at(11)
    s.hands_over(operator, client)
    lost_sight(s, tracker)
    if hangs_up:
        s.request(client)
    in_menu_and_out(s, client)
    (record,) = ended(s.play(tracker))
    assert (record.hangup.first, record.hangup.confidence) == (Party.UNKNOWN, Confidence.UNKNOWN)
    assert record.complete is False
    assert rule(record, "operator_hangs_up_last").result is RuleResult.NOT_APPLICABLE
    assert record.callback.decision is Decision.NOT_DUE


def test_a_later_talk_is_judged_by_its_own_end() -> None:
    s = Stream()
    client, operator = talked(s)
    tracker = Tracker(asking())
    s.play(tracker)
    s.at(11)
    s.hands_over(operator, client)
    lost_sight(s, tracker)
    client.app = ("", "")
    second = s.dial(client, "102")
    s.ring(second)
    s.answer(second, after=2)
    s.bridge(client, second)
    s.wait(5)
    s.bye(client)
    (record,) = ended(s.play(tracker))
    assert (record.hangup.first, record.operator) == (Party.CLIENT, "102")


def test_an_operator_is_not_blamed_if_the_rating_may_have_begun_unobserved() -> None:
    """The BYE was heard; what the client did next was not."""
    s = Stream()
    client, operator = talked(s)
    s.at(10)
    s.request(operator)
    room = operator.room
    assert room is not None
    s.leaves(operator)
    s.leaves(client)
    tracker = Tracker(asking())
    s.play(tracker)
    s.close(room)
    s.destroy(operator)
    s.comes_to_rating(client)
    lost_sight(s, tracker)
    in_menu_and_out(s, client)
    (record,) = ended(s.play(tracker))
    assert record.hangup.first is Party.OPERATOR
    assert rule(record, "operator_hangs_up_last").result is RuleResult.NOT_APPLICABLE


# --- rating calls -----------------------------------------------------------------------------------------

CHANNEL = channel_id("1795348000.1", 1, "support")


def rung(s: Stream) -> Any:
    """The Local channel of a rating call, whose far half dials the client."""
    near = s._phone(
        "", "Down", name="Local/s@callsteward-rating-call-1;1", number="", context="callsteward-rating-call",
        exten="s", channel_id=CHANNEL,
    )  # fmt: skip
    far = s._phone(
        "", "Ring", name="Local/s@callsteward-rating-call-1;2", number="",
        context="callsteward-rating-dial", exten=CLIENT, dialled_by=near, channel_id=f"{CHANNEL};2",
    )  # fmt: skip
    far.dialled_by = None
    near.other_half, far.other_half = far, near
    client = s.dial(far, "trunk", number=CLIENT)
    s.ring(client)
    return near, far, client


def test_a_rating_call_is_a_call_of_its_own_that_names_the_call_it_is_about() -> None:
    s = Stream()
    near, far, client = rung(s)
    s.answer(client, after=3)
    for half in (far, near):
        s.request(half, 16, soft=True)
        s.destroy(half)
    s.comes_to_rating(client)
    s.wait(6)
    s.request(client)
    s.destroy(client)
    record, entered = played(s, asking("call"))
    assert (record.call_id, record.origin_call_id) == (CHANNEL, "1795348000.1")
    assert (record.direction, record.line) == (Direction.RATING, "support")
    assert (record.operator, record.talk_s, record.client_masked) == (None, 0.0, "+7903***4567")
    assert (record.outcome, record.callback.decision) == (Outcome.COMPLETED, Decision.NOT_DUE)
    assert (record.answered_at, record.duration_s) == (at(3), 9.0)
    assert {check.result for check in record.standard} == {RuleResult.NOT_APPLICABLE}
    assert (entered.call_id, entered.direction) == (CHANNEL, Direction.RATING)


@pytest.mark.parametrize("channelvars", [True, False])
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_rating_call_in_progress_when_the_daemon_starts_is_recognised(
    order: tuple[int, ...], channelvars: bool
) -> None:
    """A daemon killed right after the originate remembers nothing; Asterisk lists channels in any order."""
    s = Stream(channelvars=channelvars)
    legs = rung(s)
    near, far, client = legs
    s.unseen()
    s.wait(2)
    s.snapshot(order=[legs[place] for place in order])
    s.answer(client, after=3)
    for half in (far, near):
        s.request(half, 16, soft=True)
        s.destroy(half)
    s.comes_to_rating(client)
    s.wait(6)
    s.request(client)
    s.destroy(client)
    record, entered = played(s, asking("call"))
    assert (entered.call_id, entered.channel_id) == (CHANNEL, client.id)
    assert (entered.direction, entered.line) == (Direction.RATING, "support")
    assert (record.call_id, record.direction, record.line) == (CHANNEL, Direction.RATING, "support")
    assert (record.answered_at, record.client_masked) == (at(5), "+7903***4567")
    assert not record.complete


@pytest.mark.parametrize(("status", "outcome"), [("NOANSWER", Outcome.NO_ANSWER), ("BUSY", Outcome.BUSY)])
def test_a_rating_call_that_is_not_answered(status: str, outcome: Outcome) -> None:
    s = Stream()
    near, far, client = rung(s)
    s.wait(6)
    s.ends_dial(client, status, 17 if status == "BUSY" else 0)
    for half in (far, near):
        s.request(half, 16, soft=True)
        s.destroy(half)
    (record,) = ended(s.play(Tracker(asking("call"))))
    assert (record.direction, record.outcome) == (Direction.RATING, outcome)
    assert record.answered_at is None


def test_a_rating_calls_channel_id_names_its_rating_line_and_call() -> None:
    assert CHANNEL == "callsteward-rt-1795348000.1-1-support"
    assert rating_of(CHANNEL) == "1795348000.1"
    assert line_of(channel_id("1.1", 12, "a-b.c")) == "a-b.c"
    assert origin_of(CHANNEL) == "1795348000.1"
    hashed = rating_id("a call/with what may stand in no dialplan")
    assert rating_of(channel_id(hashed, 1, "support")) == hashed
    assert origin_of(channel_id(hashed, 1, "support")) is None
    for other in ("1795348000.1", "callsteward-cb-1.1-1-support", guard_id(CHANNEL), "callsteward-rt-1.1"):
        assert (rating_of(other), line_of(other), origin_of(other)) == (None, None, None)


def test_clients_on_a_call_are_known_by_their_numbers() -> None:
    s = Stream()
    client, operator = s.talk()
    s.incoming(number="")
    tracker = Tracker(asking("call"))
    s.play(tracker)
    assert tracker.client_numbers() == {CLIENT}
    s.bye(client)
    s.play(tracker)
    assert tracker.client_numbers() == set()
    assert operator.gone
