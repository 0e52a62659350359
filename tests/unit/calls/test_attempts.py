"""Operator phones that rang: how long and how it ended."""

import pytest

from callsteward.record.call import Attempt, AttemptResult, Confidence, Direction, Outcome, Party, RuleResult
from callsteward.record.facts import Happening
from tests.unit.calls.stream import Stream, at, config, happenings, rule


def test_an_answer_is_timed_from_the_first_ring_of_the_phone():
    s = Stream()
    client = s.incoming()
    s.wait(1)
    phone = s.dial(client, "101")
    s.wait(0.25)
    s.ring(phone)
    s.answer(phone, after=3.5)
    s.bridge(client, phone)
    s.speak(phone, 4)
    s.bye(client)
    record = s.record()
    assert record.attempts == (Attempt("101", at(1.25), 3.5, AttemptResult.ANSWERED),)
    assert (record.answered_at, record.wait_s, record.answer_latency_s) == (at(4.75), 4.75, 3.5)
    assert rule(record, "answer_within").result is RuleResult.MET


def test_a_phone_that_never_said_it_rang_is_timed_from_the_dial():
    s = Stream()
    client = s.incoming()
    phone = s.dial(client, "101")
    s.answer(phone, after=1.5)
    s.bridge(client, phone)
    s.bye(client)
    record = s.record()
    assert record.attempts == (Attempt("101", at(0), None, AttemptResult.ANSWERED),)
    assert record.answer_latency_s == 1.5


@pytest.mark.parametrize(
    ("status", "cause", "asked", "result"),
    [
        ("NOANSWER", 0, None, AttemptResult.NO_ANSWER),
        ("NOANSWER", 19, None, AttemptResult.NO_ANSWER),
        ("BUSY", 17, 17, AttemptResult.BUSY),
        ("CHANUNAVAIL", 21, 21, AttemptResult.REJECTED),
        ("CONGESTION", 21, 21, AttemptResult.REJECTED),
        ("CHANUNAVAIL", 20, None, AttemptResult.UNAVAILABLE),
        ("CONGESTION", 34, 34, AttemptResult.FAILED),
        ("CANCEL", 26, None, AttemptResult.CANCELLED),
        ("SOMETHING_NEW", 0, None, AttemptResult.FAILED),
    ],
)
def test_each_way_of_not_answering_has_its_result(
    status: str, cause: int, asked: int | None, result: AttemptResult
):
    s = Stream()
    client = s.incoming()
    phone = s.dial(client, "101")
    s.ring(phone)
    s.wait(8)
    s.ends_dial(phone, status, cause, asked=asked)
    s.bye(client)
    assert s.record().attempts == (Attempt("101", at(0), 8.0, result),)


@pytest.mark.parametrize(
    ("cause", "result"),
    [
        (17, AttemptResult.BUSY),
        (18, AttemptResult.NO_ANSWER),
        (19, AttemptResult.NO_ANSWER),
        (20, AttemptResult.UNAVAILABLE),
        (21, AttemptResult.REJECTED),
        (16, AttemptResult.CANCELLED),
        (26, AttemptResult.CANCELLED),
        (0, AttemptResult.CANCELLED),
        (127, AttemptResult.FAILED),
    ],
)
def test_an_originated_phone_that_ends_without_a_dial_status_is_judged_by_its_cause(
    cause: int, result: AttemptResult
):
    s = Stream()
    client = s.incoming()
    phone = s.dial(client, "101")
    s.ring(phone)
    s.wait(2)
    s.destroy(phone, cause)
    s.bye(client)
    assert s.record().attempts == (Attempt("101", at(0), 2.0, result),)


def test_of_two_terminal_statuses_the_first_is_kept():
    s = Stream()
    client = s.incoming()
    phone = s.dial(client, "101")
    s.ring(phone)
    s.wait(3)
    s.dial_event(phone, "NOANSWER")
    s.wait(1)
    s.dial_event(phone, "CANCEL")
    s.dial_event(phone, "RINGING")
    s.destroy(phone, 0)
    s.bye(client)
    assert s.record().attempts == (Attempt("101", at(0), 3.0, AttemptResult.NO_ANSWER),)


def test_an_answered_phone_that_declines_its_own_bye_was_answered():
    s = Stream()
    client, phone = s.talk()
    s.leaves(phone)
    s.destroy(phone, 21)
    s.bye(client)
    assert s.record().attempts[0].result is AttemptResult.ANSWERED


def test_ring_all_is_won_by_one_and_cancelled_for_the_others():
    s = Stream()
    client = s.incoming()
    s.enter(client, "all")
    phones = [s.dial(client, name) for name in ("101", "102", "103")]
    for phone in phones:
        s.ring(phone)
    s.wait(2.5)
    s.answer(phones[1])
    for loser in (phones[0], phones[2]):
        s.dial_event(loser, "CANCEL")
        s.ends_dial(loser, "CANCEL", 26)
    s.bridge(client, phones[1])
    s.speak(phones[1], 4)
    s.bye(client)
    record = s.record()
    assert [(item.operator, item.ring_s, item.result.value) for item in record.attempts] == [
        ("101", 2.5, "cancelled"),
        ("102", 2.5, "answered"),
        ("103", 2.5, "cancelled"),
    ]
    assert record.operator == "102"


def test_the_second_phone_asked_answers_and_its_own_ring_counts():
    s = Stream()
    client = s.incoming()
    s.enter(client, "support")
    first = s.dial(client, "101")
    s.ring(first)
    s.wait(15)
    s.ends_dial(first, "NOANSWER")
    second = s.dial(client, "102")
    s.ring(second)
    s.answer(second, after=4)
    s.bridge(client, second)
    s.speak(second, 4)
    s.bye(client)
    record = s.record()
    assert [(item.operator, item.ring_s, item.result.value) for item in record.attempts] == [
        ("101", 15.0, "no_answer"),
        ("102", 4.0, "answered"),
    ]
    assert (record.wait_s, record.answer_latency_s) == (19.0, 4.0)
    assert rule(record, "answer_within").result is RuleResult.MET


@pytest.mark.parametrize(
    ("status", "cause", "outcome"),
    [
        ("BUSY", 17, Outcome.BUSY),
        ("CHANUNAVAIL", 21, Outcome.BUSY),
        ("CHANUNAVAIL", 20, Outcome.FAILED),
        ("CONGESTION", 38, Outcome.FAILED),
    ],
)
@pytest.mark.parametrize("passed_as_request", [False, True])
def test_the_dials_result_passed_back_is_not_the_clients_hang_up(
    status: str, cause: int, outcome: Outcome, passed_as_request: bool
):
    s = Stream()
    client = s.incoming()
    phone = s.dial(client, "101")
    s.ring(phone)
    s.wait(1)
    s.ends_dial(phone, status, cause, asked=cause)
    if passed_as_request:
        s.request(client, cause)
    s.request(client, 16, soft=True)
    s.destroy(client, cause)
    record = s.record()
    assert record.hangup.first is Party.PBX
    assert record.hangup.cause == cause
    assert record.outcome is outcome
    assert record.callback.reason == "not_answered"
    assert rule(record, "no_contact_lost").result is RuleResult.BROKEN


@pytest.mark.parametrize(
    ("cause", "result"),
    [
        (1, AttemptResult.UNAVAILABLE),
        (17, AttemptResult.BUSY),
        (38, AttemptResult.FAILED),
        (0, AttemptResult.NO_ANSWER),
        (16, AttemptResult.NO_ANSWER),
        (19, AttemptResult.NO_ANSWER),
        (26, AttemptResult.NO_ANSWER),
    ],
)
def test_a_phone_whose_refusal_shows_in_its_end_only_is_rejected(cause: int, result: AttemptResult):
    s = Stream()
    client = s.incoming()
    phone = s.dial(client, "101")
    s.ring(phone)
    s.wait(2)
    s.ends_dial(phone, "NOANSWER", cause)
    s.wait(6)
    s.bye(client, 127)
    (attempt,) = s.record().attempts
    assert (attempt.result, attempt.ring_s) == (result, 2.0)


@pytest.mark.parametrize("status", ["NOANSWER", "CHANUNAVAIL", "CONGESTION"])
def test_a_called_client_who_declines_is_busy_with_any_status(status: str):
    s = Stream()
    phone = s.dials("101", exten="79031234567")
    client = s.dial(phone, "trunk", number="79031234567")
    s.ring(client)
    s.wait(2)
    s.ends_dial(client, status, 21, asked=21)
    s.request(phone, 16, soft=True)
    s.destroy(phone, 21)
    assert s.record().outcome is Outcome.BUSY


@pytest.mark.parametrize("status", [None, 487])
def test_a_client_who_waits_on_after_a_failed_dial_and_hangs_up_abandoned_the_call(status: int | None):
    """The dialplan goes on with music or another dial; Asterisk 22 tells the old cause with the CANCEL."""
    s = Stream()
    client = s.incoming()
    phone = s.dial(client, "101")
    s.ring(phone)
    s.wait(1)
    s.ends_dial(phone, "BUSY", 17, asked=17)
    client.app = ("MusicOnHold", "")
    s.wait(6 if status is None else 0.1)
    s.request(client, 17, tech_cause=status)
    s.request(client, 16, soft=True)
    s.destroy(client, 17)
    record = s.record()
    assert (record.hangup.first, record.hangup.confidence) == (Party.CLIENT, Confidence.CERTAIN)
    assert record.outcome is (Outcome.ABANDONED if status is None else Outcome.SHORT_ABANDONED)


@pytest.mark.parametrize(("app", "cause"), [("Busy", 17), ("Congestion", 34)])
@pytest.mark.parametrize("rang", [False, True])
def test_a_call_that_the_dialplan_refuses_was_not_given_up_by_the_client(app: str, cause: int, rang: bool):
    """Busy() and Congestion() answer a SIP 486 or 503, and the driver asks for the hang-up upon that."""
    s = Stream()
    client = s.incoming()
    if rang:
        phone = s.dial(client, "101")
        s.ring(phone)
        s.wait(6)
        s.ends_dial(phone, "NOANSWER")
    client.app = (app, "")
    s.wait(1)
    s.request(client, cause)
    s.request(client, 16, soft=True)
    s.destroy(client, cause)
    record = s.record()
    assert record.hangup.first is Party.PBX
    assert record.outcome is (Outcome.NO_ANSWER if rang else Outcome.FAILED)


def test_a_client_who_gives_up_while_a_second_phone_rings_abandoned_the_call():
    s = Stream()
    client = s.incoming()
    first = s.dial(client, "101")
    second = s.dial(client, "102")
    s.ring(second)
    s.ends_dial(first, "BUSY", 17, asked=17)
    s.wait(9)
    s.bye(client, 127)
    record = s.record()
    assert record.hangup.first is Party.CLIENT
    assert (record.outcome, record.wait_s) == (Outcome.ABANDONED, 9.0)


def test_a_phone_first_seen_as_its_dial_ends_has_no_ring_time():
    s = Stream()
    client = s.incoming()
    phone = s.dial(client, "101", begin=False)
    s.wait(1)
    s.ends_dial(phone, "BUSY", 17)
    s.bye(client)
    assert s.record().attempts == (Attempt("101", at(1), None, AttemptResult.BUSY),)


def test_a_phone_that_says_it_rings_before_its_dial_is_known_rings_from_the_dial_on():
    s = Stream()
    client = s.incoming()
    phone = s.dial(client, "101", begin=False)
    s.emit("ChannelStateChange", channel=phone)
    phone.state = "Ringing"
    s.emit("ChannelStateChange", channel=phone)
    s.wait(0.001)
    s.dial_event(phone, "")
    s.dial_event(phone, "RINGING")
    s.answer(phone, after=2)
    s.bridge(client, phone)
    s.bye(client)
    record = s.record()
    assert record.attempts == (Attempt("101", at(0.001), 2.0, AttemptResult.ANSWERED),)
    assert record.answer_latency_s == 2.0


@pytest.mark.parametrize(
    ("status", "cause", "outcome"),
    [
        ("BUSY", 17, Outcome.BUSY),
        ("CONGESTION", 34, Outcome.FAILED),
        ("CHANUNAVAIL", 20, Outcome.FAILED),
        ("NOANSWER", 0, Outcome.NO_ANSWER),
        # As IAX2 and ISDN tell of a refusal on Asterisk 16 and 18: no request has a cause.
        ("NOANSWER", 1, Outcome.FAILED),
        ("NOANSWER", 17, Outcome.BUSY),
        ("NOANSWER", 18, Outcome.NO_ANSWER),
        ("CONGESTION", 21, Outcome.FAILED),
    ],
)
def test_a_client_we_call_does_not_answer(status: str, cause: int, outcome: Outcome):
    s = Stream()
    phone = s.dials("101", exten="79031234567")
    client = s.dial(phone, "trunk", number="79031234567")
    s.ring(client)
    s.wait(6)
    s.ends_dial(client, status, cause)
    s.request(phone, 16, soft=True)
    s.destroy(phone, cause)
    record = s.record()
    assert record.direction is Direction.OUTBOUND
    assert (record.outcome, record.operator, record.attempts) == (outcome, None, ())
    assert record.client_masked == "+7903***4567"
    assert record.callback.reason == "not_answered"


def test_a_client_we_call_answers():
    s = Stream()
    phone = s.dials("101", exten="79031234567")
    client = s.dial(phone, "trunk", number="")
    s.ring(client)
    s.answer(client, after=7)
    s.bridge(phone, client)
    s.speak(phone, 5)
    s.bye(client)
    facts = s.facts()
    record = next(fact.record for fact in facts if hasattr(fact, "record"))
    assert record.direction is Direction.OUTBOUND
    assert (record.wait_s, record.answer_latency_s, record.talk_s) == (7.0, None, 5.0)
    assert (record.operator, record.outcome) == ("101", Outcome.COMPLETED)
    assert record.client_masked == "+7903***4567"  # the number the operator dialled
    assert [fact.operator for fact in happenings(facts, Happening.ANSWERED)] == ["101"]
    assert rule(record, "answer_within").result is RuleResult.NOT_APPLICABLE


def test_the_second_trunk_tried_is_the_client_and_the_first_status_is_not_lost():
    s = Stream()
    phone = s.dials("101", exten="79031234567")
    first = s.dial(phone, "trunk", number="79031234567")
    s.wait(1)
    s.ends_dial(first, "CONGESTION", 34)
    second = s.dial(phone, "trunk2", number="79031234567")
    s.ring(second)
    s.answer(second, after=3)
    s.bridge(phone, second)
    s.speak(phone, 4)
    s.bye(second)
    record = s.record()
    assert (record.direction, record.outcome, record.talk_s) == (Direction.OUTBOUND, Outcome.COMPLETED, 4.0)
    assert record.answered_at == at(4)


def test_the_operator_gives_up_calling_the_client():
    s = Stream()
    phone = s.dials("101", exten="79031234567")
    client = s.dial(phone, "trunk", number="79031234567")
    s.ring(client)
    s.wait(12)
    s.bye(phone, 127)
    record = s.record()
    assert record.hangup.first is Party.OPERATOR
    assert (record.outcome, record.wait_s) == (Outcome.NO_ANSWER, 12.0)


def test_a_pickup_counts_for_the_operator_who_took_the_call():
    s = Stream()
    client = s.incoming()
    rang = s.dial(client, "101")
    s.ring(rang)
    s.wait(2)
    taker = s.dials("102", exten="*8")
    s.up(taker)
    # A masquerade: the channel that rang is a zombie, the taker's has its place in the dial.
    taker.dialled_by = client
    s.dial_event(taker, "ANSWER")
    s.up(client)
    s.destroy(rang, 16)
    s.bridge(client, taker)
    s.speak(taker, 4)
    s.bye(client)
    record = s.record()
    assert (record.operator, record.answered_at, record.answer_latency_s) == ("102", at(2), None)
    assert [(item.operator, item.result.value) for item in record.attempts] == [("101", "cancelled")]
    assert rule(record, "answer_within").result is RuleResult.NOT_APPLICABLE


def test_an_unknown_phone_is_no_attempt():
    s = Stream()
    client = s.incoming()
    announcer = s.dial(client, "x")
    announcer.name = "Announcer/ARI-00000001;1"
    s.unseen()
    s = Stream()
    client = s.incoming()
    near, far = s.local(client, "101")
    s.ring(near)
    s.ends_dial(near, "CANCEL", 0)
    s.destroy(far, 0)
    s.bye(client)
    assert s.record().attempts == ()


def test_a_profile_can_switch_an_alert_off():
    s = Stream()
    client = s.incoming()
    phone = s.dial(client, "101")
    s.ring(phone)
    s.wait(20)
    s.bye(client)
    settings = config(profiles={"standard": {"ring_alert": False}})
    assert not [fact for fact in s.facts(settings) if type(fact).__name__ == "Alert"]
