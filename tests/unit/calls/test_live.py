"""Gauges: lines and operators at this moment."""

from callsteward.calls.tracker import Tracker
from callsteward.config import Line
from callsteward.record.facts import LineNow, OperatorNow, OperatorState
from tests.unit.calls.stream import NOON, OTHER_CLIENT, Stream, config

LINES = config(lines=(Line(name="support", queues=("help",)), Line(name="sales", dids=("2000",))))


def line(name: str = "default", **counts: int) -> LineNow:
    return LineNow(line=name, **counts)


def test_a_day_without_calls_has_no_gauges():
    tracker = Tracker(config())
    assert (tracker.lines_now(), tracker.operators_now()) == ([], [])
    assert (tracker.open_calls, tracker.open_legs) == (0, 0)


def test_a_call_through_its_states():
    s = Stream()
    tracker = Tracker(config())
    client = s.incoming()
    s.play(tracker)
    assert tracker.lines_now() == [line(waiting=1, longest_wait_since_ms=NOON)]
    s.wait(1)
    phone = s.dial(client, "101")
    s.play(tracker)
    assert tracker.lines_now() == [line(waiting=1, ringing=1, longest_wait_since_ms=NOON)]
    assert tracker.operators_now() == [
        OperatorNow(
            operator="101",
            state=OperatorState.RINGING,
            since_ms=NOON + 1_000,
            call_id=client.id,
            line="default",
        )
    ]
    s.wait(0.5)
    s.ring(phone)
    s.play(tracker)
    assert tracker.operators_now()[0].since_ms == NOON + 1_500
    s.at(4)
    s.answer(phone)
    s.bridge(client, phone)
    s.play(tracker)
    assert tracker.lines_now() == [line(talking=1)]
    assert tracker.operators_now() == [
        OperatorNow(
            operator="101",
            state=OperatorState.TALKING,
            since_ms=NOON + 4_000,
            call_id=client.id,
            line="default",
        )
    ]
    s.at(10)
    s.hold(phone)
    s.play(tracker)
    assert tracker.lines_now() == [line(on_hold=1)]
    assert tracker.operators_now()[0] == OperatorNow(
        operator="101",
        state=OperatorState.ON_HOLD,
        since_ms=NOON + 10_000,
        call_id=client.id,
        line="default",
        hold_since_ms=NOON + 10_000,
    )
    s.unhold(phone)
    s.hold(client)
    s.play(tracker)
    assert tracker.lines_now() == [line(on_hold=1)]
    assert tracker.operators_now()[0].state is OperatorState.TALKING
    s.bye(client)
    s.play(tracker)
    assert (tracker.lines_now(), tracker.operators_now()) == ([], [])


def test_each_line_has_its_own_gauges_and_the_longest_wait_is_the_first_comers():
    s = Stream()
    tracker = Tracker(LINES)
    first = s.incoming()
    s.enter(first, "help")
    s.wait(3)
    second = s.incoming(number=OTHER_CLIENT)
    s.enter(second, "help")
    for client in (first, second):
        s.emit("Dial", caller=client, peer=client, dialstatus="PROGRESS")
    s.wait(1)
    s.incoming(number=OTHER_CLIENT, exten="2000")
    s.play(tracker)
    now = {item.line: item for item in tracker.lines_now()}
    assert now["sales"] == line("sales", waiting=1, longest_wait_since_ms=NOON + 4_000)


def test_a_client_who_waits_while_the_operator_asks_a_colleague_is_on_hold():
    s = Stream()
    tracker = Tracker(config())
    _, phone = s.talk()
    s.hold(phone)
    s.leaves(phone)
    s.play(tracker)
    assert tracker.lines_now() == [line(on_hold=1)]


def test_an_operator_with_two_channels_has_the_busiest_ones_state():
    s = Stream()
    tracker = Tracker(config())
    first, phone = s.talk()
    s.hold(phone)
    other = s.incoming(number=OTHER_CLIENT)
    second = s.dial(other, "101")
    s.ring(second)
    s.play(tracker)
    assert [(item.operator, item.state) for item in tracker.operators_now()] == [
        ("101", OperatorState.ON_HOLD)
    ]
    s.answer(second)
    s.bridge(other, second)
    s.play(tracker)
    assert [(item.state, item.call_id) for item in tracker.operators_now()] == [
        (OperatorState.TALKING, other.id)
    ]
    assert tracker.lines_now() == [line(on_hold=1, talking=1)]
    assert (tracker.open_calls, tracker.open_legs) == (2, 4)
    s.bye(first)
    s.play(tracker)
    assert tracker.open_calls == 1


def test_an_operator_who_calls_out_is_busy_and_no_client_waits():
    s = Stream()
    tracker = Tracker(config())
    phone = s.dials("101", exten="79000000001")
    client = s.dial(phone, "trunk", number="79000000001")
    s.ring(client)
    s.play(tracker)
    assert tracker.lines_now() == [line()]
    assert tracker.operators_now()[0].state is OperatorState.TALKING


def test_colleagues_among_themselves_are_on_no_line():
    s = Stream()
    tracker = Tracker(config())
    caller = s.dials("101", exten="102")
    phone = s.dial(caller, "102")
    s.answer(phone)
    s.bridge(caller, phone)
    s.play(tracker)
    assert tracker.lines_now() == []
    assert {item.operator for item in tracker.operators_now()} == {"101", "102"}
