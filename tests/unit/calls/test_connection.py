"""Answered is when client and operator hear each other, not when a phone is lifted."""

import pytest

from callsteward.calls.tracker import Tracker
from callsteward.record.call import Direction, Outcome, Party
from callsteward.record.facts import Happening
from tests.unit.calls.stream import Phone, Stream, at, config, ended, happenings, rule


def lifted(s: Stream, client: Phone, operator: str = "101", after: float = 2) -> Phone:
    """An operator lifts the phone, and hears something before they are put through to the client."""
    phone = s.dial(client, operator)
    s.ring(phone)
    s.wait(after)
    phone.state = "Up"
    s.emit("ChannelStateChange", channel=phone)
    s.dial_event(phone, "ANSWER")
    return phone


def test_the_wait_lasts_until_they_are_connected_and_the_latency_until_the_phone_was_lifted() -> None:
    """Dial U(), FreePBX's confirmation, FollowMe, a member announcement or delay: all look the same."""
    s = Stream()
    client = s.incoming()
    s.enter(client, "support")
    phone = lifted(s, client)
    s.wait(4)
    s.bridge(client, phone)
    s.speak(phone, 5)
    s.bye(client)
    facts = s.facts()
    (record,) = ended(facts)
    assert (record.answered_at, record.wait_s, record.answer_latency_s) == (at(6), 6.0, 2.0)
    assert (record.operator, record.outcome, record.talk_s) == ("101", Outcome.COMPLETED, 5.0)
    (answered,) = happenings(facts, Happening.ANSWERED)
    assert (answered.at_ms - 1_795_348_800_000, answered.operator) == (6000, "101")
    assert answered.client_number == "79031234567"
    assert rule(record, "answer_within").value == 2.0


def test_a_client_who_gives_up_while_the_operator_hears_an_announcement_was_not_answered() -> None:
    s = Stream()
    client = s.incoming()
    s.enter(client, "support")
    phone = lifted(s, client)
    s.wait(4)
    s.request(client, 16, tech_cause=487)
    s.wait(5)  # the announcement goes on
    s.dial_event(phone, "CONTINUE")
    s.destroy(phone)
    s.request(client, 16, soft=True)
    s.destroy(client)
    facts = s.facts()
    (record,) = ended(facts)
    assert (record.answered_at, record.operator, record.answer_latency_s) == (None, None, None)
    assert (record.outcome, record.hangup.first, record.wait_s) == (Outcome.ABANDONED, Party.CLIENT, 6.0)
    assert not happenings(facts, Happening.ANSWERED)
    assert rule(record, "no_contact_lost").result == "broken"


def test_an_operator_who_hangs_up_in_the_announcement_ends_nothing() -> None:
    """AGENTDUMP: the client waits on, and gives up later."""
    s = Stream()
    client = s.incoming()
    s.enter(client, "support")
    phone = lifted(s, client)
    s.wait(1)
    s.request(phone)
    s.destroy(phone)
    s.wait(5)
    s.bye(client)
    record = s.record()
    assert (record.outcome, record.hangup.first, record.operator) == (Outcome.ABANDONED, Party.CLIENT, None)
    assert [(item.operator, item.result) for item in record.attempts] == [("101", "answered")]


def test_the_operator_who_confirmed_is_the_one_who_answered() -> None:
    s = Stream()
    client = s.incoming()
    first = lifted(s, client, "101", after=3)
    s.wait(5)
    s.request(first)
    s.destroy(first)
    second = lifted(s, client, "102", after=4)
    s.wait(5)
    s.bridge(client, second)
    s.speak(second, 4)
    s.bye(client)
    record = s.record()
    assert (record.operator, record.wait_s, record.answer_latency_s) == ("102", 17.0, 4.0)
    assert [(item.operator, item.ring_s) for item in record.attempts] == [("101", 3.0), ("102", 4.0)]


def test_while_the_operator_confirms_the_client_is_still_waiting() -> None:
    s, tracker = Stream(), Tracker(config())
    client = s.incoming()
    s.enter(client, "support")
    phone = lifted(s, client)
    s.play(tracker)
    (line,) = tracker.lines_now()
    assert (line.waiting, line.talking) == (1, 0)
    s.bridge(client, phone)
    s.play(tracker)
    (line,) = tracker.lines_now()
    assert (line.waiting, line.talking) == (0, 1)


def click_to_dial(s: Stream) -> tuple[Phone, Phone]:
    """A program rings the operator first; they lift after 1.5 s, then the client is dialled."""
    operator = s.originated("101", "click-1")
    s.ring(operator)
    s.answer(operator, after=1.5)
    operator.app = ("Dial", "PJSIP/79031234567@trunk,20")
    client = s.dial(operator, "trunk", number="79031234567")
    s.ring(client)
    return operator, client


def test_a_click_to_dial_is_answered_when_the_client_is_there() -> None:
    s = Stream()
    operator, client = click_to_dial(s)
    s.answer(client, after=3)
    s.bridge(operator, client)
    s.speak(operator, 4)
    s.bye(client)
    record = s.record()
    assert (record.direction, record.operator, record.wait_s) == (Direction.OUTBOUND, "101", 3.0)
    assert (record.outcome, record.client_masked) == (Outcome.COMPLETED, "+7903***4567")


@pytest.mark.parametrize(
    ("how", "cause", "outcome", "first"),
    [
        ("NOANSWER", 0, Outcome.NO_ANSWER, Party.PBX),
        ("BUSY", 17, Outcome.BUSY, Party.PBX),
        ("CONGESTION", 34, Outcome.FAILED, Party.PBX),
    ],
)
def test_a_click_to_dial_that_does_not_reach_the_client_is_no_talk(
    how: str, cause: int, outcome: Outcome, first: Party
) -> None:
    s = Stream()
    operator, client = click_to_dial(s)
    s.wait(8)
    s.ends_dial(client, how, cause, asked=cause or None)
    s.request(operator, 16, soft=True)
    s.destroy(operator, cause)
    facts = s.facts()
    (record,) = ended(facts)
    assert (record.outcome, record.hangup.first) == (outcome, first)
    assert (record.answered_at, record.operator, record.talk_s) == (None, None, 0.0)
    assert not happenings(facts, Happening.ANSWERED)


def test_an_operator_who_gives_up_a_click_to_dial_hung_up_first() -> None:
    s = Stream()
    operator, client = click_to_dial(s)
    s.wait(4)
    s.request(operator)
    s.dial_event(client, "CANCEL")
    s.destroy(client, 127)
    s.request(operator, 16, soft=True)
    s.destroy(operator)
    record = s.record()
    assert (record.hangup.first, record.outcome, record.answered_at) == (
        Party.OPERATOR,
        Outcome.NO_ANSWER,
        None,
    )


def test_a_client_whom_a_dialler_rings_without_an_operator_abandoned_the_call() -> None:
    """The dialler rings the client first; nobody is free, and the client hangs up after 7 s."""
    s = Stream()
    client = s.originated("trunk", "dialler-1")
    client.number = "79031234567"
    s.ring(client)
    s.answer(client, after=3)
    s.wait(7)
    s.request(client)
    s.destroy(client)
    record = s.record()
    assert (record.direction, record.outcome, record.hangup.first) == (
        Direction.OUTBOUND,
        Outcome.ABANDONED,
        Party.CLIENT,
    )
    assert (record.answered_at, record.operator, record.callback.decision) == (None, None, "not_due")


def agent_takes(s: Stream, agent: Phone, number: str) -> Phone:
    """AgentRequest: the agent who is logged in gets a client into their channel."""
    client = s.incoming(number=number)
    s.up(client, ("AgentRequest", "101"))
    s.wait(3)
    s.bridge(client, agent)
    s.speak(agent, 4)
    return client


def test_an_agent_who_stays_on_the_line_answers_each_client() -> None:
    """AgentLogin: one channel, many talks; each client's answer is told, with the number for the ledger."""
    s = Stream()
    agent = s.dials("101", "*45")
    s.up(agent, ("AgentLogin", "101"))
    for number in ("79031234567", "79000000001"):
        client = agent_takes(s, agent, number)
        s.leaves(agent)
        s.bye(client)
        s.wait(2)
    s.bye(agent)
    facts = s.facts()
    told = [(fact.operator, fact.client_number) for fact in happenings(facts, Happening.ANSWERED)]
    assert told == [("101", "79031234567"), ("101", "79000000001")]
    assert [(record.operator, record.wait_s) for record in ended(facts)] == [("101", 3.0), ("101", 3.0)]


@pytest.mark.parametrize("listed", [False, True])
def test_an_agent_who_was_on_the_line_before_the_daemon_answers_too(listed: bool) -> None:
    s, tracker = Stream(), Tracker(config())
    agent = s.dials("101", "*45")
    s.up(agent, ("AgentLogin", "101"))
    s.wait(60)
    s.unseen()
    if listed:
        s.snapshot()
        s.wait(1)
    client = agent_takes(s, agent, "79031234567")
    s.leaves(agent)
    s.bye(client)
    facts = [*s.play(tracker), *tracker.advance(tracker.last_event_ms + 5_000)]
    (record,) = ended(facts)
    assert (record.complete, record.wait_s, record.answered_at) == (listed, 3.0, at(64 if listed else 63))
    assert (record.operator, record.outcome, record.answer_latency_s) == ("101", Outcome.COMPLETED, None)
    assert [fact.operator for fact in happenings(facts, Happening.ANSWERED)] == ["101"]


def test_a_talk_that_began_before_the_daemon_has_no_answer_time() -> None:
    s, tracker = Stream(), Tracker(config())
    client, _ = s.talk()
    s.wait(10)
    s.unseen()
    s.snapshot()
    s.bye(client)
    facts = s.play(tracker)
    (record,) = ended(facts)
    assert (record.answered_at, record.wait_s) == (None, None)
    assert not happenings(facts, Happening.ANSWERED)
