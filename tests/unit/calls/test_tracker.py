"""The life of calls: their line, their ends, transfers, reconnects."""

import json
import re
from pathlib import Path

import pytest

from callsteward.ari import events
from callsteward.calls.tracker import Tracker
from callsteward.config import Line
from callsteward.record.call import (
    CallRecord,
    Direction,
    Hold,
    Outcome,
    Party,
    RuleResult,
    Side,
    Span,
    Transfer,
    TransferKind,
    TransferResult,
)
from callsteward.record.facts import CallHappened, Happening
from tests.unit.calls.stream import (
    CLIENT,
    NOON,
    OTHER_CLIENT,
    THIRD_PARTY,
    Phone,
    Stream,
    at,
    config,
    ended,
    happenings,
    rule,
    text,
)

# --- what is said as it happens ------------------------------------------------------------------------


def test_a_call_is_announced_with_its_line_and_its_masked_number():
    s = Stream()
    client = s.incoming(exten="2000")
    s.bye(client, 127)
    facts = s.facts(config(lines=(Line(name="sales", dids=("2000",)),)))
    started = happenings(facts, Happening.STARTED)
    assert [(fact.call_id, fact.line, fact.client_masked, fact.at_ms) for fact in started] == [
        (client.id, "sales", "+7903***4567", NOON)
    ]


def test_a_call_to_a_client_is_announced_when_it_is_dialled():
    path = Path(__file__).parents[2] / "replay" / "streams" / "outbound_noanswer.jsonl"
    tracker = Tracker(config())
    decoded = (events.decode(line) for line in path.read_bytes().splitlines())
    facts = [fact for event in decoded if event is not None for fact in tracker.handle(event)]
    (started,) = happenings(facts, Happening.STARTED)
    assert (started.operator, started.client_masked) == ("101", "+7900***0000")
    assert ended(facts)[0].call_id == started.call_id


def test_a_calls_events_come_in_order():
    s = Stream()
    client, phone = s.talk()
    s.speak(phone, 4)
    s.hold(phone, 5)
    s.bye(client)
    said = [(fact.event.value, fact.at_ms - NOON, fact.by, fact.duration_s) for fact in happenings(s.facts())]
    assert said == [
        ("started", 0, None, None),
        ("ringing", 0, None, None),
        ("answered", 2_000, None, None),
        ("hold", 6_000, "operator", None),
        ("unhold", 11_000, "operator", 5.0),
        ("hangup", 11_000, "client", None),
    ]


# --- lines ---------------------------------------------------------------------------------------------

LINES = config(
    lines=(
        Line(name="support", queues=("help",)),
        Line(name="sales", dids=("2000", "21??")),
        Line(name="shop", contexts=("from-shop",)),
    )
)


@pytest.mark.parametrize(
    ("exten", "context", "queue", "expected"),
    [
        ("1000", "from-trunk", "help", "support"),
        ("2000", "from-shop", "help", "support"),
        ("2000", "from-shop", "unknown", "sales"),
        ("2142", "from-trunk", None, "sales"),
        ("1000", "from-shop", None, "shop"),
        ("1000", "from-trunk", "unknown", "default"),
    ],
)
def test_the_line_is_by_queue_else_by_number_else_by_context(
    exten: str, context: str, queue: str | None, expected: str
):
    s = Stream()
    client = s.incoming(exten=exten, context=context)
    if queue is not None:
        s.enter(client, queue)
    phone = s.dial(client, "101")
    s.answer(phone)
    s.bridge(client, phone)
    s.bye(client)
    assert s.record(LINES).line == expected


def test_the_first_queue_stays_the_line():
    lines = config(lines=(Line(name="a", queues=("qa",)), Line(name="b", queues=("qb",))))
    s = Stream()
    client = s.incoming()
    s.enter(client, "qa")
    s.hold(client, 1)
    client.app = ("Queue", "qb")
    s.unhold(client)
    s.bye(client)
    assert s.record(lines).line == "a"


def test_a_client_sent_to_another_context_under_the_same_number_is_on_its_line():
    s = Stream()
    client = s.incoming()
    client.context = "from-shop"  # Goto(from-shop,${EXTEN},1)
    s.up(client, ("Answer", ""))
    s.wait(9)
    s.bye(client)
    assert s.record(LINES).line == "shop"


def test_each_line_is_held_to_its_own_profile():
    s = Stream()
    client = s.incoming(exten="2000")
    phone = s.dial(client, "101")
    s.ring(phone)
    s.answer(phone, after=7)
    s.bridge(client, phone)
    s.bye(client)
    settings = config(
        lines=(Line(name="sales", dids=("2000",), profile="calm"),),
        profiles={"calm": {"answer_limit_s": 8}},
    )
    answer = rule(s.record(settings), "answer_within")
    assert (answer.result, answer.value, answer.limit) == (RuleResult.MET, 7.0, 8.0)


# --- unanswered -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("wait_s", "outcome"), [(4.999, Outcome.SHORT_ABANDONED), (5.0, Outcome.ABANDONED)])
def test_a_client_who_leaves_before_an_answer_abandoned_the_call(wait_s: float, outcome: Outcome):
    s = Stream()
    client = s.incoming()
    s.enter(client, "help")
    phone = s.dial(client, "101")
    s.ring(phone)
    s.wait(wait_s)
    s.bye(client, 127)
    record = s.record()
    assert (record.outcome, record.wait_s, record.answered_at, record.operator) == (
        outcome,
        wait_s,
        None,
        None,
    )
    assert (record.talk_s, record.duration_s) == (0.0, wait_s)
    assert record.callback.reason == "not_answered"


def test_asterisks_hang_up_on_the_ringing_phone_is_not_the_end_of_the_clients_call():
    s = Stream()
    client = s.incoming()
    phone = s.dial(client, "101")
    s.ring(phone)
    s.wait(6)
    s.request(phone, 32, soft=True)
    s.ends_dial(phone, "NOANSWER")
    s.wait(1)
    s.bye(client, 127)
    record = s.record()
    assert (record.hangup.first, record.outcome) == (Party.CLIENT, Outcome.ABANDONED)


def test_a_number_without_a_phone_behind_it_failed():
    s = Stream()
    client = s.incoming()
    s.request(client, 16, soft=True)
    s.destroy(client, 3)
    assert s.record().outcome is Outcome.FAILED


def test_an_operators_phone_that_reached_nobody_is_no_call():
    s = Stream()
    phone = s.dials("101", exten="*45")
    s.up(phone)
    s.wait(60)
    s.bye(phone)
    assert s.records() == []


def test_a_talk_among_colleagues_is_an_internal_call():
    s = Stream()
    caller = s.dials("101", exten="102")
    phone = s.dial(caller, "102")
    s.ring(phone)
    s.answer(phone, after=2)
    s.bridge(caller, phone)
    s.speak(caller, 4)
    s.bye(caller)
    record = s.record()
    assert (record.direction, record.outcome, record.talk_s) == (Direction.INTERNAL, Outcome.COMPLETED, 4.0)
    assert (record.client_masked, record.client_ref, record.operator) == ("101", None, "102")
    assert record.callback.reason == "internal"


# --- linger ---------------------------------------------------------------------------------------------


def test_a_phone_that_outlives_the_client_holds_the_record_up_for_five_seconds():
    s = Stream()
    client, phone = s.talk()
    s.speak(phone, 4)
    s.request(client)
    s.leaves(client)
    s.destroy(client)
    tracker = Tracker(config())
    assert ended(s.play(tracker)) == []
    assert tracker.next_deadline_ms == NOON + 11_000
    assert ended(tracker.advance(NOON + 10_999)) == []
    record = ended(tracker.advance(NOON + 11_000))[0]
    assert (record.call_id, record.ended_at, record.talk_s) == (client.id, at(6), 4.0)
    assert (record.complete, record.outcome) == (True, Outcome.COMPLETED)
    assert tracker.open_calls == 0
    assert tracker.open_legs == 1

    s.at(60)
    second = s.incoming(number=OTHER_CLIENT)
    s.up(second)
    s.enters(second, s.rooms[0])
    s.at(90)
    s.bye(second)
    later = ended(s.play(tracker))
    assert [(item.call_id, item.client_masked, item.operator, item.talk_s) for item in later] == [
        (second.id, "+7900***0001", "101", 30.0)
    ]


def test_a_phone_left_behind_that_simply_ends_is_no_call():
    s = Stream()
    client, phone = s.talk()
    s.request(client)
    s.leaves(client)
    s.destroy(client)
    tracker = Tracker(config())
    s.play(tracker)
    assert len(ended(tracker.advance(NOON + 60_000))) == 1
    s.at(70)
    s.destroy(phone)
    assert s.play(tracker) == []


@pytest.mark.parametrize("limit_s", [3, 30])
def test_a_phone_that_still_rings_for_a_client_who_is_gone_alerts_nobody(limit_s: int):
    s = Stream()
    client = s.incoming()
    phone = s.dial(client, "101")
    s.ring(phone)
    s.wait(1)
    s.request(client, 127)
    s.destroy(client, 127)
    tracker = Tracker(config(profiles={"standard": {"answer_limit_s": limit_s}}))
    s.play(tracker)
    facts = tracker.advance(NOON + 100_000)
    assert [type(fact).__name__ for fact in facts] == ["CallEnded"]
    assert ended(facts)[0].attempts[0].result.value == "cancelled"


# --- two clients ----------------------------------------------------------------------------------------


def test_two_clients_in_one_conference_stay_two_calls():
    s = Stream()
    first, phone = s.talk()
    room = s.rooms[0]
    s.at(10)
    second = s.incoming(number=OTHER_CLIENT)
    s.up(second)
    s.at(12)
    s.enters(second, room)
    s.speak(phone, 4, at=13)
    s.speak(second, 3, at=18)
    s.hold(phone, 5)
    s.at(32)
    s.bye(first)
    s.at(40)
    s.bye(second)
    records = s.records()
    assert [(item.call_id, item.client_masked, item.talk_s, item.hold_s) for item in records] == [
        (first.id, "+7903***4567", 25.0, 5.0),
        (second.id, "+7900***0001", 23.0, 5.0),
    ]
    assert [item.operator for item in records] == ["101", "101"]
    assert [item.hangup.first for item in records] == [Party.CLIENT, Party.CLIENT]
    assert [item.holds for item in records] == [(Hold(Side.OPERATOR, at(21), 5.0),)] * 2


@pytest.mark.parametrize("second", [25.5, 60])
def test_a_call_that_is_given_up_ends_no_hold_of_another_client(second: float) -> None:
    s = Stream()
    first, phone = s.talk()
    s.at(10)
    other = s.incoming(number=OTHER_CLIENT)
    s.up(other)
    s.at(12)
    s.enters(other, s.rooms[0])
    s.at(20)
    s.bye(first)
    s.at(22)
    s.hold(phone)
    s.at(second)
    s.incoming(number="79000000002")
    tracker = Tracker(config())
    given_up = ended(s.play(tracker))
    assert [(item.call_id, item.holds) for item in given_up] == [(first.id, ())]
    (on,) = [state for state in tracker.operators_now() if state.operator == "101"]
    assert on.hold_since_ms == NOON + 22_000
    s.at(70)
    s.unhold(phone)
    s.at(80)
    s.bye(other)
    (record,) = ended(s.play(tracker))
    assert (record.call_id, record.holds) == (other.id, (Hold(Side.OPERATOR, at(22), 48.0),))


def test_a_client_who_leaves_a_conference_on_hold_ends_it_for_nobody_else() -> None:
    s = Stream()
    first, phone = s.talk()
    room = s.rooms[0]
    s.at(10)
    other = s.incoming(number=OTHER_CLIENT)
    s.up(other)
    s.at(12)
    s.enters(other, room)
    s.at(20)
    s.hold(phone)
    s.at(25)
    s.request(first)
    s.leaves(first)
    s.destroy(first)
    s.at(40)
    s.unhold(phone)
    s.at(50)
    s.request(other)
    s.leaves(other)
    s.destroy(other)
    s.leaves(phone)
    s.destroy(phone)
    holds = {item.call_id: item.holds for item in s.records()}
    assert holds == {
        first.id: (Hold(Side.OPERATOR, at(20), 5.0),),
        other.id: (Hold(Side.OPERATOR, at(20), 20.0),),
    }


def test_a_conference_that_breaks_up_on_hold_keeps_both_clients_waiting() -> None:
    """Each client waits for the operator until they hang up, or a colleague takes them."""
    s = Stream()
    first, phone = s.talk()
    room = s.rooms[0]
    s.at(10)
    other = s.incoming(number=OTHER_CLIENT)
    s.up(other)
    s.at(12)
    s.enters(other, room)
    s.at(20)
    s.hold(phone)
    s.at(30)
    for member in (first, phone, other):
        s.leaves(member)
    s.close(room)
    s.at(35)
    s.request(first)
    s.destroy(first)
    s.at(42)
    colleague = s.dial(other, "102")
    s.ring(colleague)
    s.answer(colleague)
    s.bridge(other, colleague)
    s.at(60)
    s.bye(other)
    s.destroy(phone)
    records = s.records()
    assert {item.call_id: item.holds for item in records} == {
        first.id: (Hold(Side.OPERATOR, at(20), 15.0),),
        other.id: (Hold(Side.OPERATOR, at(20), 22.0),),
    }


# --- transfers ------------------------------------------------------------------------------------------


def blind(s: Stream, exten: str = "102") -> Phone:
    client, phone = s.talk()
    s.speak(phone, 4)
    s.blind(phone, client, exten)
    return client


def test_a_blind_transfer_is_completed_by_the_colleague_who_has_the_client_then():
    s = Stream()
    client = blind(s)
    second = s.dial(client, "102")
    s.ring(second)
    s.answer(second, after=3)
    s.bridge(client, second)
    s.speak(second, 5)
    s.bye(client)
    record = s.record()
    assert record.transfers == (Transfer(TransferKind.BLIND, "101", "102", at(6), TransferResult.COMPLETED),)
    assert (record.operator, record.talk_s, record.answer_latency_s) == ("102", 9.0, 2.0)
    assert record.hangup.first is Party.CLIENT
    assert rule(record, "transfers").value == 1.0


def test_a_blind_transfer_nobody_answers_failed():
    s = Stream()
    client = blind(s)
    second = s.dial(client, "102")
    s.ring(second)
    s.wait(8)
    s.ends_dial(second, "NOANSWER")
    s.bye(client)
    record = s.record()
    assert [item.result for item in record.transfers] == [TransferResult.FAILED]
    assert (record.operator, record.duration_s) == ("101", 14.0)


def test_a_giver_who_hangs_up_before_the_bridge_is_left_did_not_end_the_talk():
    s = Stream()
    client, phone = s.talk()
    s.speak(phone, 4)
    # chan_sip on a busy machine: the REFER and the BYE are handled before the bridge lets the channel go.
    s.blind(phone, client, "102", bye=True)
    second = s.dial(client, "102")
    s.ring(second)
    s.wait(3)
    s.bye(client)
    record = s.record()
    assert (record.hangup.first, record.hangup.evidence[0]) == (
        Party.CLIENT,
        f"hang-up request on {client.name} (cause 16)",
    )
    assert [item.result for item in record.transfers] == [TransferResult.FAILED]


def test_a_blind_transfer_that_comes_back_to_its_giver_failed():
    s = Stream()
    client = blind(s)
    again = s.dial(client, "101")
    s.answer(again, after=2)
    s.bridge(client, again)
    s.bye(client)
    assert [item.result for item in s.record().transfers] == [TransferResult.FAILED]


def test_a_blind_transfer_that_asterisk_refuses_failed_and_the_talk_goes_on():
    s = Stream()
    client, phone = s.talk()
    s.speak(phone, 4)
    s.blind(phone, client, "", result="Invalid")
    s.speak(phone, 4)
    s.bye(client)
    record = s.record()
    assert record.transfers == (Transfer(TransferKind.BLIND, "101", None, at(6), TransferResult.FAILED),)
    assert record.talk_s == 8.0


def test_two_transfers_are_one_too_many():
    s = Stream()
    client = blind(s)
    for name, exten in (("102", "103"), ("103", "")):
        phone = s.dial(client, name)
        s.answer(phone, after=1)
        s.bridge(client, phone)
        s.wait(5)
        if exten:
            s.blind(phone, client, exten)
    s.bye(client)
    record = s.record()
    assert [(item.by, item.to, item.result.value) for item in record.transfers] == [
        ("101", "102", "completed"),
        ("102", "103", "completed"),
    ]
    assert (rule(record, "transfers").result, record.talk_s) == (RuleResult.BROKEN, 14.0)


def consulting(s: Stream, endpoint: str = "102", number: str | None = None) -> tuple[Phone, ...]:
    """The operator holds and asks somebody: first leg, second leg, client, target."""
    client, phone = s.talk()
    s.speak(phone, 4)
    s.hold(phone)
    second = s.dials("101", exten=number or endpoint)
    target = s.dial(second, endpoint, number=number)
    s.ring(target)
    s.answer(target, after=2)
    s.bridge(second, target)
    s.wait(3)
    return phone, second, client, target


@pytest.mark.parametrize("swapped", [False, True])
def test_an_attended_transfer_is_one_call_and_the_consultation_is_hold(swapped: bool):
    s = Stream()
    phone, second, client, target = consulting(s)
    s.attended(phone, second, client, target)
    if swapped:
        for _, frame in s._frames:
            if frame["type"] == "BridgeAttendedTransfer":
                one, two = "transferer_first_leg", "transferer_second_leg"
                frame[one], frame[two] = frame[two], frame[one]
    s.speak(target, 6)
    s.bye(client)
    record = s.record()
    assert record.transfers == (
        Transfer(TransferKind.ATTENDED, "101", "102", at(11), TransferResult.COMPLETED),
    )
    assert (record.operator, record.talk_s, record.hold_s) == ("102", 10.0, 5.0)
    assert record.holds == (Hold(Side.OPERATOR, at(6), 5.0),)
    assert (record.hangup.first, record.outcome) == (Party.CLIENT, Outcome.COMPLETED)


def test_an_attended_transfer_that_asterisk_refuses_failed():
    s = Stream()
    phone, second, client, target = consulting(s)
    s.attended(phone, second, client, target, result="Fail")
    s.bye(second)
    s.speak(phone, 2)
    s.bye(client)
    records = s.records()
    assert [item.direction for item in records] == [Direction.INTERNAL, Direction.INBOUND]
    assert [item.result for item in records[1].transfers] == [TransferResult.FAILED]
    assert records[1].operator == "101"


def test_a_client_handed_to_somebody_outside_who_hangs_up_first():
    s = Stream()
    phone, second, client, target = consulting(s, "trunk2", number=THIRD_PARTY)
    s.attended(phone, second, client, target)
    s.wait(20)
    s.bye(target)
    asked, record = s.records()
    assert (asked.direction, asked.client_masked) == (Direction.OUTBOUND, "+7900***0020")
    assert [(item.to, item.result.value) for item in record.transfers] == [("+7900***0020", "completed")]
    assert (record.hangup.first, record.outcome) == (Party.UNKNOWN, Outcome.COMPLETED)
    assert record.callback.reason == "third_party_hung_up"
    assert (record.call_id, record.talk_s) == (client.id, 24.0)
    assert THIRD_PARTY not in text(record)


def test_a_transfer_of_unknown_channels_changes_nothing():
    s = Stream()
    client, phone = s.talk()
    s.bye(client)
    s.emit("BridgeBlindTransfer", channel=phone, exten="102", result="Success")
    s.emit(
        "BridgeAttendedTransfer",
        transferer_first_leg=phone,
        transferer_second_leg=client,
        result="Success",
    )
    for kind in ("ChannelHold", "ChannelUnhold", "ChannelTalkingStarted", "ChannelTalkingFinished"):
        s.emit(kind, channel=phone)
    s.emit("ChannelStateChange", channel=phone)
    s.emit("ChannelHangupRequest", channel=phone, cause=16)
    s.emit("ChannelCreated", channel=phone)
    s.emit("Dial", peer=phone, caller=client, dialstatus="CANCEL")
    s.emit("ChannelDestroyed", channel=phone, cause=16)
    record = s.record()
    assert record.transfers == ()


# --- streams that begin in the middle, and reconnects ----------------------------------------------------


def test_a_first_snapshot_finds_calls_in_progress_and_their_unobserved_span():
    s = Stream()
    client, phone = s.talk()
    s.at(30)
    s.unseen()
    s.snapshot()
    s.speak(phone, 4, at=31)
    s.at(40)
    s.bye(client)
    record = s.record()
    assert (record.call_id, record.client_masked, record.operator) == (client.id, "+7903***4567", "101")
    assert record.direction is Direction.INBOUND
    assert (record.started_at, record.ended_at, record.talk_s) == (at(0), at(40), None)
    assert (record.answered_at, record.wait_s, record.answer_latency_s) == (None, None, None)
    assert record.complete is False
    assert Span(at(0), at(30)) in record.unobserved
    assert record.outcome is Outcome.COMPLETED  # the greeting may have been over before


def test_a_first_snapshot_without_channels_has_no_facts():
    tracker = Tracker(config())
    s = Stream()
    s.snapshot()
    assert s.play(tracker) == []
    assert tracker.open_legs == 0


def test_a_call_that_vanished_while_nobody_watched_has_no_end():
    s = Stream()
    client, phone = s.talk()
    s.speak(phone, 4)
    tracker = Tracker(config())
    s.play(tracker)
    s.at(20)
    s.bye(client)
    s.unseen()
    s.at(60)
    s.snapshot(gap_from=7)
    record = ended(s.play(tracker))[0]
    assert (record.ended_at, record.duration_s, record.talk_s) == (None, None, 5.0)
    assert (record.complete, record.unobserved) == (False, (Span(at(7), at(60)),))
    assert (record.hangup.first, record.callback.reason) == (Party.UNKNOWN, "end_not_observed")
    assert record.outcome is Outcome.COMPLETED
    assert tracker.open_legs == 0


def test_a_client_who_vanished_before_an_answer_was_lost():
    s = Stream()
    client = s.incoming()
    phone = s.dial(client, "101")
    s.ring(phone)
    tracker = Tracker(config())
    s.play(tracker)
    s.wait(9)
    s.bye(client)
    s.unseen()
    s.at(60)
    s.snapshot(gap_from=0)
    record = ended(s.play(tracker))[0]
    assert (record.outcome, record.wait_s) == (Outcome.ABANDONED, None)
    assert record.attempts[0].result.value == "cancelled"


def test_a_call_in_progress_goes_on_over_the_gap():
    s = Stream()
    client, phone = s.talk()
    s.speak(phone, 4)
    tracker = Tracker(config())
    s.play(tracker)
    s.at(60)
    s.snapshot(gap_from=7)
    s.at(70)
    s.bye(client)
    record = ended(s.play(tracker))[0]
    assert (record.talk_s, record.ended_at, record.complete) == (68.0, at(70), False)
    assert record.unobserved == (Span(at(7), at(60)),)
    assert record.hangup.first is Party.CLIENT


def test_a_phone_that_left_the_talk_unseen_left_at_the_gaps_beginning():
    s = Stream()
    client, phone = s.talk()
    tracker = Tracker(config())
    s.play(tracker)
    s.at(30)
    s.leaves(client)  # alive, waiting in a new queue
    s.leaves(phone)
    s.destroy(phone)
    s.rooms.clear()
    s.unseen()
    s.at(60)
    s.snapshot(gap_from=10)
    s.at(70)
    second = s.dial(client, "102")
    s.answer(second, after=1)
    s.bridge(client, second)
    s.wait(4)
    s.bye(client)
    record = ended(s.play(tracker))[0]
    assert (record.talk_s, record.operator) == (12.0, "102")


def test_a_phone_found_in_another_bridge_than_before_is_there():
    s = Stream()
    client, phone = s.talk()
    tracker = Tracker(config())
    s.play(tracker)
    s.at(30)
    s.leaves(phone)
    s.bridge(phone)
    s.unseen()
    s.at(60)
    s.snapshot(gap_from=10)
    s.at(70)
    s.bye(client)
    s.bye(phone)
    record = ended(s.play(tracker))[0]
    assert record.talk_s == 8.0


def test_channels_of_one_call_found_apart_belong_together_where_asterisk_says_so():
    s = Stream()
    client = s.incoming()
    s.enter(client, "help")
    phone = s.dial(client, "101")
    s.ring(phone)
    s.unseen()
    s.at(5)
    s.snapshot()
    s.answer(phone, after=1)
    s.bridge(client, phone)
    s.speak(phone, 4)
    s.bye(client)
    record = s.record()
    assert (record.call_id, record.operator, record.talk_s, record.answered_at) == (
        client.id,
        "101",
        4.0,
        at(6),
    )


def test_a_call_of_which_only_the_end_was_observed_was_a_talk():
    s = Stream()
    client, _ = s.talk()
    s.at(30)
    s.unseen()
    s.bye(client)
    record = s.record()
    assert (record.call_id, record.operator, record.complete) == (client.id, None, False)
    assert (record.outcome, record.hangup.first) == (Outcome.COMPLETED, Party.CLIENT)


def test_at_the_streams_end_every_open_call_gets_an_incomplete_record():
    s = Stream()
    _, phone = s.talk()
    s.speak(phone, 4)
    s.hold(phone)
    s.wait(3)
    s.emit("BridgeCreated", bridge=s.rooms[0])
    tracker = Tracker(config())
    s.play(tracker)
    record = ended(tracker.finish())[0]
    assert (record.ended_at, record.duration_s, record.complete) == (None, None, False)
    assert record.unobserved == (Span(at(9), None),)
    assert (record.talk_s, record.hold_s) == (4.0, 3.0)
    assert tracker.open_legs == 0
    assert tracker.finish() == []


def test_an_event_without_a_moment_happens_when_the_last_one_did():
    s = Stream()
    client, phone = s.talk()
    s.speak(phone, 4)
    s.wait(1)
    s.bye(client)
    frames = [json.loads(frame) for frame in s.frames()]
    for frame in frames[-4:]:
        frame["timestamp"] = "garbage"
    tracker = Tracker(config())
    records: list[CallRecord] = []
    for frame in frames:
        event = events.decode(json.dumps(frame))
        assert event is not None
        records.extend(ended(tracker.handle(event)))
    assert records[0].ended_at == at(7)


def test_events_about_unknown_channels_are_ignored():
    tracker = Tracker(config())
    for event in (
        events.ChannelUserevent(eventname="x"),
        events.DeviceStateChanged(device_state=events.DeviceState("PJSIP/101", "INUSE")),
        events.ChannelEnteredBridge(bridge=events.Bridge("b")),
        events.BridgeDestroyed(bridge=events.Bridge("b")),
        events.ChannelHold(channel=events.Channel("1", "PJSIP/101-1<ZOMBIE>")),
    ):
        assert not tracker.handle(event)
    assert tracker.open_legs == 0


# --- with and without channelvars -----------------------------------------------------------------------

RECORDINGS = sorted((Path(__file__).parents[2] / "replay").glob("*/*.jsonl"))
# Without linkedid nothing says for which client a program rings a phone that does not answer.
RUNG_BY_A_PROGRAM = re.compile(r"site_stasis_acd|acd_|dialler_(operator_first|id_again)")
TOLD_WITHOUT_CHANNELVARS = [path for path in RECORDINGS if not RUNG_BY_A_PROGRAM.match(path.stem)]


def replayed(path: Path, *, channelvars: bool) -> list[CallRecord]:
    tracker = Tracker(config())
    records: list[CallRecord] = []
    for line in path.read_bytes().splitlines():
        event = events.decode(line if channelvars else line.replace(b'"channelvars"', b'"unset"'))
        if event is not None:
            records.extend(ended(tracker.handle(event)))
    return [*records, *ended(tracker.finish())]


@pytest.mark.parametrize("path", TOLD_WITHOUT_CHANNELVARS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_without_channelvars_the_records_are_the_same_but_for_the_evidence(path: Path):
    def told(record: CallRecord) -> dict[str, object]:
        fields: dict[str, object] = json.loads(text(record))
        hangup = fields["hangup"]
        assert isinstance(hangup, dict)
        del hangup["evidence"], hangup["confidence"]
        return fields

    full = replayed(path, channelvars=True)
    bare = replayed(path, channelvars=False)
    assert [told(record) for record in bare] == [told(record) for record in full]


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_no_recording_gives_away_a_number(path: Path):
    for record in replayed(path, channelvars=True):
        said = text(record)
        assert "9000000" not in said
        assert "9031234567" not in said


# --- privacy ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exten", ["{}", "8{}", "+7{}", "7{}", "9{}", "98{}", "0{}", "*72{}", "9,{}", "{}#"])
def test_a_number_dialled_for_a_transfer_leaves_masked_in_whatever_form(exten: str):
    s = Stream()
    client = blind(s, exten.format("9000000020"))
    outside = s.dial(client, "trunk2", number=THIRD_PARTY)
    s.answer(outside, after=2)
    s.bridge(client, outside)
    s.wait(5)
    s.bye(client)
    facts = s.facts()
    record = ended(facts)[0]
    assert "9000000020" not in text(record)
    assert record.transfers[0].to is not None
    assert not [fact for fact in happenings(facts) if fact.to is not None and "9000000020" in fact.to]


@pytest.mark.parametrize("exten", ["102", "8000", "operator", "*45", "team-2"])
def test_an_internal_extension_is_shown_unmasked(exten: str):
    s = Stream()
    s.bye(blind(s, exten))
    assert s.record().transfers[0].to == exten


@pytest.mark.parametrize("number", [CLIENT, "+79031234567", "89031234567", "9031234567"])
def test_no_record_holds_the_clients_number(number: str):
    s = Stream()
    phone, second, client, target = consulting(s)
    for _, frame in s._frames:
        for channel in (frame.get("channel"), frame.get("caller"), frame.get("peer")):
            if channel is not None and channel["id"] == client.id:
                channel["caller"]["number"] = number
    s.attended(phone, second, client, target)
    s.bye(client)
    record = s.record()
    assert "9031234567" not in text(record)
    assert record.client_masked == "+7903***4567"
    assert record.client_ref is not None
    assert len(record.client_ref) == 32


@pytest.mark.parametrize(
    "number", ["", "anonymous", "'; DROP TABLE", "${SHELL(x)}", "9" * 500, "٧٩٠٣١٢٣٤٥٦٧"]
)
def test_a_hostile_caller_id_is_a_call_like_any_other(number: str):
    s = Stream()
    client, phone = s.talk(number=number)
    s.speak(phone, 4)
    s.bye(client)
    record = s.record()
    assert (record.outcome, record.talk_s, record.client_ref) == (Outcome.COMPLETED, 4.0, None)
    assert record.client_masked in {None, "99***99"}


# --- the remaining corners ---------------------------------------------------------------------------------


def test_nothing_is_kept_of_calls_that_are_over():
    for path in RECORDINGS:
        tracker = Tracker(config())
        destroyed: set[str] = set()
        for line in path.read_bytes().splitlines():
            event = events.decode(line)
            if event is not None:
                tracker.handle(event)
            if isinstance(event, events.BridgeDestroyed):
                destroyed.add(event.bridge.id)
        tracker.advance((tracker.last_event_ms or 0) + 3_600_000)
        roster = tracker._roster
        assert (roster.legs, roster._halves) == ({}, {}), path.stem
        assert destroyed.isdisjoint(roster.bridges), path.stem  # a parking lot's bridge stays
        assert tracker.next_deadline_ms is None


def test_leaving_a_destroyed_bridge_does_not_bring_it_back():
    s = Stream()
    client, phone = s.talk()
    s.wait(4)
    room = s.rooms[0]
    s.request(client)
    s.close(room)
    s.leaves(client)
    s.leaves(phone)
    s.destroy(client)
    s.destroy(phone)
    tracker = Tracker(config())
    assert [record.talk_s for record in ended(s.play(tracker))] == [4.0]
    assert tracker._roster.bridges == {}


def test_a_parked_client_talks_to_nobody_and_whoever_fetches_them_answers():
    s = Stream()
    client, phone = s.talk()
    s.speak(phone, 4)
    s.blind(phone, client, "8000")
    lot = s.bridge(client, holding=True)
    s.wait(30)
    fetcher = s.dials("102", exten="8001")
    s.up(fetcher, ("ParkedCall", "8001"))
    s.leaves(client)
    assert lot.members == []
    s.bridge(fetcher, client)
    s.speak(fetcher, 5)
    s.bye(client)
    s.destroy(fetcher) if not fetcher.gone else None
    record = s.record()
    assert (record.operator, record.talk_s, record.duration_s) == ("102", 9.0, 41.0)
    assert [(item.to, item.result.value) for item in record.transfers] == [("8000", "completed")]


def test_a_phone_that_went_to_ask_and_is_lost_ends_its_hold():
    s = Stream()
    client, phone = s.talk()
    s.speak(phone, 4)
    s.hold(phone)
    s.wait(2)
    s.leaves(phone)
    s.wait(3)
    s.destroy(phone)
    s.wait(10)
    s.bye(client)
    record = s.record()
    assert record.holds == (Hold(Side.OPERATOR, at(6), 5.0),)
    assert record.talk_s == 4.0


def test_bridges_that_are_merged_are_one_conversation():
    s = Stream()
    client, phone = s.talk()
    s.wait(5)
    room = s.rooms[0]
    other = s.dials("102", exten="700")
    s.up(other)
    second = s.bridge(other)
    s.emit("BridgeMerged", bridge=room, bridge_from=second)
    s.emit("BridgeMerged", bridge=room, bridge_from=room)
    s.wait(5)
    s.request(phone)
    s.leaves(phone)
    s.destroy(phone)
    s.wait(5)
    second.members.clear()
    other.room = room
    room.members.append(other)
    s.bye(client)
    record = s.record()
    assert (record.talk_s, record.operator, record.hangup.first) == (15.0, "102", Party.CLIENT)


def test_a_third_voice_in_the_talk_is_neither_a_transfer_nor_an_end():
    s = Stream()
    client, phone = s.talk()
    room = s.rooms[0]
    s.speak(phone, 4)
    colleague = s.dials("102", exten="700")
    s.up(colleague)
    s.enters(colleague, room)
    s.speak(colleague, 3)
    s.hold(colleague)
    s.wait(2)
    s.request(colleague)
    s.leaves(colleague)
    s.destroy(colleague)
    s.speak(phone, 2)
    s.bye(client)
    record = s.record()
    assert (record.operator, record.transfers, record.hangup.first) == ("101", (), Party.CLIENT)
    assert record.holds == (Hold(Side.OPERATOR, at(9), 2.0),)
    assert (record.talk_s, record.duration_s) == (9.0, 13.0)


def test_a_machine_in_the_bridge_is_no_party():
    s = Stream()
    client = s.incoming()
    s.up(client)
    announcer = s._phone("", "Up", name="CBAnn/room-00000001;1", number="", context="default", exten="s")
    room = s.bridge(client, announcer)
    s.wait(9)
    phone = s.dials("101", exten="700")
    s.up(phone)
    s.enters(phone, room)
    s.speak(announcer, 5)
    s.speak(phone, 4)
    s.request(announcer)
    s.leaves(announcer)
    s.destroy(announcer)
    s.bye(client)
    record = s.record()
    assert (record.wait_s, record.talk_s, record.operator) == (9.0, 9.0, "101")
    assert record.speech is not None
    assert (record.speech.operator_s, record.speech.client_s) == (4.0, None)


def test_a_repeated_channel_event_changes_nothing():
    s = Stream()
    client, phone = s.talk()
    s.speak(phone, 4)
    s.bye(client)
    frames = s.frames()
    tracker = Tracker(config())
    records: list[CallRecord] = []
    for frame in frames:
        event = events.decode(frame)
        assert event is not None
        for _ in range(2):
            if not isinstance(event, events.ChannelHangupRequest):
                records.extend(ended(tracker.handle(event)))
        if isinstance(event, events.ChannelHangupRequest):
            records.extend(ended(tracker.handle(event)))
    assert [text(record) for record in records] == [text(s.record())]


def test_a_third_party_is_named_by_its_number_or_not_at_all():
    s = Stream()
    phone, second, client, _ = consulting(s)
    stranger = Phone(
        id="9.9",
        name="PJSIP/trunk9-00000009",
        state="Up",
        number="",
        created_ms=NOON,
        linkedid="9.9",
        context="",
        exten="",
    )
    s.emit("ChannelCreated", channel=stranger)
    s.emit(
        "BridgeAttendedTransfer",
        transferer_first_leg=phone,
        transferer_second_leg=second,
        transferee=client,
        transfer_target=stranger,
        result="Success",
    )
    tracker = Tracker(config())
    facts = s.play(tracker)
    assert [fact.to for fact in happenings(facts, Happening.TRANSFER)] == [None]


def test_a_transfer_to_a_phone_still_ringing_names_it_and_to_an_application_nobody():
    for rings, to in ((True, "102"), (False, None)):
        s = Stream()
        client, phone = s.talk()
        s.speak(phone, 4)
        second = s.dials("101", exten="102")
        if rings:
            s.ring(s.dial(second, "102"))
        s.attended(phone, second, client, None)
        facts = s.facts()
        assert [fact.to for fact in happenings(facts, Happening.TRANSFER)] == [to]


def test_a_later_pickup_is_an_event_but_no_second_answer():
    s = Stream()
    client = blind(s)
    rang = s.dial(client, "102")
    s.ring(rang)
    s.wait(2)
    taker = s.dials("103", exten="*8")
    s.up(taker)
    taker.dialled_by = client
    s.dial_event(taker, "ANSWER")
    s.destroy(rang, 16)
    s.bridge(client, taker)
    s.wait(4)
    s.bye(client)
    facts = s.facts()
    record = ended(facts)[0]
    assert (record.answered_at, record.operator) == (at(2), "103")
    assert [fact.operator for fact in happenings(facts, Happening.ANSWERED)] == ["101", "103"]


def test_a_local_channel_that_loops_ends():
    s = Stream()
    client = s.incoming()
    s.up(client)
    near, far = s.local(client, "700")
    room = s.bridge(client, near)
    s.enters(far, room)
    s.wait(5)
    s.bye(client)
    for half in (near, far):
        s.destroy(half)
    record = s.record()
    assert (record.outcome, record.operator, record.talk_s) == (Outcome.ABANDONED, None, 0.0)


def test_a_trunk_that_leaves_its_bridge_while_a_phone_is_unknown_is_found_midway():
    s = Stream()
    client, phone = s.talk()
    s.at(30)
    s.unseen()
    s.starts(phone)  # the phone is met by a word of its own, before the bridge is
    s.wait(2)
    s.starts(client)
    s.bye(client)
    record = s.record()
    assert (record.call_id, record.complete, record.outcome) == (client.id, False, Outcome.COMPLETED)
    assert (record.operator, record.talk_s) == ("101", None)


def test_a_channel_gone_long_ago_is_forgotten_only_after_ten_thousand_others():
    tracker = Tracker(config())
    for serial in range(10_001):
        tracker.handle(events.ChannelDestroyed(channel=events.Channel(f"1.{serial}", "PJSIP/trunk-1")))
    late = events.Channel("1.10000", "PJSIP/trunk-1", "Ring")
    assert not tracker.handle(events.ChannelCreated(channel=late))
    assert tracker.open_legs == 0
    assert not tracker._roster.is_late(events.Channel("1.0", "PJSIP/trunk-1", "Ring"))
    assert tracker._roster.is_late(events.Channel("1.1", "PJSIP/trunk-1", "Ring"))


def test_a_call_whose_client_is_gone_already_where_the_stream_stops_is_whole():
    s = Stream()
    client, phone = s.talk()
    s.speak(phone, 4)
    s.request(client)
    s.leaves(client)
    s.destroy(client)
    tracker = Tracker(config())
    s.play(tracker)
    record = ended(tracker.finish())[0]
    assert (record.ended_at, record.complete) == (at(6), True)


def test_a_bridge_destroyed_under_a_talk_ends_it():
    s = Stream()
    client, phone = s.talk()
    s.wait(5)
    room = s.rooms[0]
    s.close(room)  # the moves out of it were lost
    client.room = phone.room = None
    s.wait(5)
    s.bye(client)
    assert s.record().talk_s == 5.0


def test_late_events_of_a_gone_channel_are_ignored():
    s = Stream()
    client, phone = s.talk()
    room = s.rooms[0]
    s.bye(client)
    s.emit("ChannelEnteredBridge", bridge=room, channel=phone)
    s.emit("ChannelLeftBridge", bridge=room, channel=phone)
    other = s.incoming(number=OTHER_CLIENT)
    rang = s.dial(other, "102")
    s.dial_event(rang, "CANCEL", forwarded=s._channel(phone))
    s.destroy(rang, 0)
    s.emit("BridgeMerged", bridge=s.bridge(), bridge_from=room)
    s.bye(other, 127)
    assert [record.call_id for record in s.records()] == [client.id, other.id]


def test_a_colleague_found_in_a_known_bridge_is_in_the_talk():
    s = Stream()
    client, phone = s.talk()
    tracker = Tracker(config())
    s.play(tracker)
    s.at(30)
    colleague = s.dials("102", exten="700")
    s.up(colleague)
    s.enters(colleague, s.rooms[0])
    s.bridge()  # and somebody's bridge that is empty
    s.unseen()
    s.at(60)
    s.snapshot(gap_from=10)
    s.at(70)
    s.request(phone)
    s.leaves(phone)
    s.destroy(phone)
    s.at(80)
    s.bye(client)
    record = ended(s.play(tracker))[0]
    assert (record.talk_s, record.operator, record.hangup.first) == (78.0, "102", Party.CLIENT)


def test_a_phone_rung_for_no_client_makes_no_event():
    s = Stream()
    phone = s._phone("PJSIP/101", "Down", number="101", context="default", exten="s")
    s.dial_event(phone, "")
    s.ring(phone)
    s.wait(30)
    s.destroy(phone, 19)
    assert s.facts() == []


def test_the_ledger_gets_the_clients_number_at_a_calls_start_and_talk():
    s = Stream()
    client, _ = s.talk()
    s.bye(client)
    operator = s.dials("102", "79000000001")
    called = s.dial(operator, "trunk", number="79000000001")
    s.ring(called)
    s.answer(called, after=2)
    s.bridge(operator, called)
    s.bye(called)
    told = [
        (fact.event.value, fact.client_number, fact.outbound)
        for fact in s.facts()
        if isinstance(fact, CallHappened) and fact.client_number
    ]
    assert told == [
        ("started", CLIENT, False),
        ("answered", CLIENT, False),
        ("started", "79000000001", True),
        ("answered", "79000000001", True),
    ]


def test_an_operators_answer_in_a_callback_is_no_talk_yet():
    s = Stream()
    operator = s.originated("101", "callsteward-cb-1.1-1-support")
    s.ring(operator)
    s.answer(operator, after=3)
    facts = s.facts()
    assert [fact.client_number for fact in facts if isinstance(fact, CallHappened)] == [""] * len(facts)
