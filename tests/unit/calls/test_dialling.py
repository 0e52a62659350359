"""Dials: the last try to reach a client counts, a refusal is no hang-up, a program's dials are tries too."""

import pytest

from callsteward.record.call import AttemptResult, Direction, Outcome, Party
from tests.unit.calls.stream import Phone, Stream, at


def dials_out(s: Stream, exten: str = "79031234567") -> Phone:
    return s.dials("101", exten)


def tried(
    s: Stream, operator: Phone, status: str, cause: int, *, trunk: str = "trunk", after: float = 1
) -> None:
    """A try on a trunk that fails; a refusal is asked for by the trunk."""
    operator.app = ("", "")
    client = s.dial(operator, trunk, number="79031234567")
    s.ring(client)
    s.wait(after)
    s.ends_dial(client, status, cause, asked=cause or None)


def gave_up(s: Stream, operator: Phone, cause: int = 16) -> None:
    s.request(operator, 16, soft=True)
    s.destroy(operator, cause)


@pytest.mark.parametrize(
    ("first", "last", "outcome"),
    [
        (("CONGESTION", 34), ("NOANSWER", 0), Outcome.NO_ANSWER),
        (("CONGESTION", 34), ("BUSY", 17), Outcome.BUSY),
        (("BUSY", 17), ("CONGESTION", 34), Outcome.FAILED),
        (("NOANSWER", 38), ("NOANSWER", 0), Outcome.NO_ANSWER),
        (("NOANSWER", 0), ("NOANSWER", 1), Outcome.FAILED),
    ],
)
def test_the_last_try_counts(first: tuple[str, int], last: tuple[str, int], outcome: Outcome) -> None:
    s = Stream()
    operator = dials_out(s)
    tried(s, operator, *first)
    tried(s, operator, *last, trunk="trunk2")
    gave_up(s, operator, 34)
    record = s.record()
    assert (record.outcome, record.hangup.first) == (outcome, Party.PBX)
    assert record.direction is Direction.OUTBOUND


@pytest.mark.parametrize("cause", [1, 28, 38, 27, 102])
def test_a_refusal_that_asterisk_calls_noanswer_failed(cause: int) -> None:
    s = Stream()
    operator = dials_out(s)
    tried(s, operator, "NOANSWER", cause)
    gave_up(s, operator, cause)
    record = s.record()
    assert (record.outcome, record.hangup.first) == (Outcome.FAILED, Party.PBX)
    assert record.hangup.evidence == (f"PJSIP/trunk-00000001 was dialled in vain (cause {cause})",)


@pytest.mark.parametrize("cause", [17, 19, 18, 21])
def test_a_person_who_refused_or_did_not_answer_did_not_fail(cause: int) -> None:
    s = Stream()
    operator = dials_out(s)
    tried(s, operator, "NOANSWER", cause)
    gave_up(s, operator, cause)
    assert s.record().outcome is {17: Outcome.BUSY, 21: Outcome.BUSY}.get(cause, Outcome.NO_ANSWER)


def test_an_operator_who_gives_up_on_the_second_trunk_hung_up() -> None:
    s = Stream()
    operator = dials_out(s)
    tried(s, operator, "CONGESTION", 34)
    operator.app = ("", "")
    client = s.dial(operator, "trunk2", number="79031234567")
    s.ring(client)
    s.wait(4)
    s.request(operator)
    s.fall(operator, 16)
    assert client.gone
    record = s.record()
    assert (record.hangup.first, record.outcome) == (Party.OPERATOR, Outcome.NO_ANSWER)


@pytest.mark.parametrize(
    ("exten", "dialstring", "masked"),
    [
        ("979031234567", "79031234567@trunk", "+7903***4567"),
        ("99031234567", "+79031234567@trunk", "+7903***4567"),
        ("989031234567", "g1/89031234567", "+7903***4567"),
        ("989031234567", "trunk/sip:+79031234567@192.0.2.1:5060", "+7903***4567"),
        ("989031234567", "user:secret@192.0.2.1/79031234567", "+7903***4567"),
        ("79031234567", "anything@trunk", "+7903***4567"),
        ("904", "", "904"),
    ],
)
def test_the_clients_number_is_the_one_dialled_on_the_trunk(exten: str, dialstring: str, masked: str) -> None:
    s = Stream()
    operator = dials_out(s, exten)
    operator.app = ("Dial", "")
    client = s.dial(operator, "trunk", number="", begin=False)
    client.number = exten
    s.dial_event(client, "", dialstring=dialstring)
    s.ring(client)
    s.wait(3)
    s.ends_dial(client, "NOANSWER")
    gave_up(s, operator)
    assert s.record().client_masked == masked


@pytest.mark.parametrize(
    ("cause", "result"),
    [
        (1, AttemptResult.UNAVAILABLE),
        (20, AttemptResult.UNAVAILABLE),
        (38, AttemptResult.FAILED),
        (27, AttemptResult.FAILED),
        (21, AttemptResult.REJECTED),
        (17, AttemptResult.BUSY),
        (19, AttemptResult.NO_ANSWER),
    ],
)
def test_an_operators_phone_that_refuses_is_told_by_its_cause(cause: int, result: AttemptResult) -> None:
    s = Stream()
    client = s.incoming()
    phone = s.dial(client, "101")
    s.wait(0.1)
    s.ends_dial(phone, "NOANSWER", cause, asked=cause)
    s.request(client, 16, soft=True)
    s.destroy(client, cause)
    record = s.record()
    assert [item.result for item in record.attempts] == [result]
    assert record.hangup.first is Party.PBX


# --- a queue's verdict on a Local member ------------------------------------------------------------


def member(s: Stream, client: Phone, operator: str) -> tuple[Phone, Phone, Phone]:
    near, far = s.local(client, operator)
    phone = s.dial(far, operator)
    s.ring(phone)
    return near, far, phone


def given_up(s: Stream, near: Phone, far: Phone, phone: Phone) -> None:
    """The queue's ring time is over."""
    s.dial_event(near, "NOANSWER")
    s.dial_event(near, "CANCEL")
    s.request(far, 0)
    s.dial_event(phone, "CANCEL")
    s.request(far, 16, soft=True)
    s.destroy(far, 0)
    s.destroy(phone, 16)
    s.destroy(near, 0)


def test_a_queue_that_gives_up_on_a_local_member_says_no_answer() -> None:
    s = Stream()
    client = s.incoming()
    s.enter(client, "support")
    first = member(s, client, "101")
    s.wait(6)
    given_up(s, *first)
    _, far, second = member(s, client, "102")
    s.answer(second, after=2)
    s.bridge(far, second)
    near = far.other_half
    assert near is not None
    s.answer(near)
    s.bridge(client, near)
    s.speak(second, 4)
    s.request(client)
    s.leaves(client)
    for leg in (near, far, second):
        s.destroy(leg)
    s.request(client, 16, soft=True)
    s.destroy(client)
    record = s.record()
    assert [(item.operator, item.ring_s, item.result) for item in record.attempts] == [
        ("101", 6.0, "no_answer"),
        ("102", 2.0, "answered"),
    ]


def test_a_client_who_gives_up_cancels_the_phone_behind_a_local_member() -> None:
    s = Stream()
    client = s.incoming()
    s.enter(client, "support")
    near, far, phone = member(s, client, "101")
    s.wait(6)
    s.request(client)
    s.dial_event(near, "CANCEL")
    s.request(far, 0)
    s.dial_event(phone, "CANCEL")
    for leg in (phone, far, near):
        s.destroy(leg, 0)
    s.request(client, 16, soft=True)
    s.destroy(client, 16)
    assert [item.result for item in s.record().attempts] == [AttemptResult.CANCELLED]


# --- programs that build calls over ARI -------------------------------------------------------------


def rung_for(s: Stream, client: Phone, operator: str, channel_id: str) -> Phone:
    """A site's own dialler originates an operator's phone, with the client's channel as originator."""
    phone = s._phone(
        f"PJSIP/{operator}",
        "Down",
        number="",
        context="default",
        exten="s",
        channel_id=channel_id,
        dialled_by=client,
    )
    phone.dialled_by = None
    s.dial_event(phone, "")
    s.ring(phone)
    return phone


def test_attempts_by_a_program_belong_to_its_client() -> None:
    s = Stream()
    client = s.incoming()
    s.up(client, ("Stasis", "acd"))
    waiting = s.bridge(client, holding=True)
    first = rung_for(s, client, "101", "try-1")
    s.wait(4)
    s.destroy(first, 19)
    second = rung_for(s, client, "102", "try-2")
    s.answer(second, after=1.5)
    s.leaves(client)
    s.close(waiting)
    s.bridge(client, second)
    s.speak(second, 4)
    s.bye(client)
    record = s.record()
    assert [(item.operator, item.ring_s, item.result) for item in record.attempts] == [
        ("101", 4.0, "no_answer"),
        ("102", 1.5, "answered"),
    ]
    assert (record.operator, record.answer_latency_s, record.answered_at) == ("102", 1.5, at(5.5))


def test_a_client_who_gives_up_while_a_programs_operator_rings_has_that_try_in_the_record() -> None:
    s = Stream()
    client = s.incoming()
    s.up(client, ("Stasis", "acd"))
    phone = rung_for(s, client, "101", "try-1")
    s.wait(8)
    s.bye(client)
    s.request(phone, 32, soft=True)
    s.dial_event(phone, "NOANSWER")
    s.destroy(phone, 16)
    record = s.record()
    assert [(item.operator, item.result) for item in record.attempts] == [("101", "cancelled")]
    assert record.outcome is Outcome.ABANDONED


def test_a_channel_id_that_is_used_again_is_a_new_channel() -> None:
    s = Stream()
    for number in ("79031234567", "79000000001"):
        operator = s.originated("101", "click")
        s.ring(operator)
        s.answer(operator, after=1)
        operator.app = ("Dial", "")
        client = s.dial(operator, "trunk", number=number)
        s.ring(client)
        s.answer(client, after=2)
        s.bridge(operator, client)
        s.speak(operator, 4)
        s.bye(client)
        s.wait(30)
    first, second = s.records()
    assert (first.client_masked, first.talk_s) == ("+7903***4567", 4.0)
    assert (second.client_masked, second.talk_s) == ("+7900***0001", 4.0)
    assert first.call_id != second.call_id


# --- when a client left -------------------------------------------------------------------------------


def test_a_client_left_when_they_hung_up_and_not_when_the_h_extension_was_done() -> None:
    s = Stream()
    client = s.incoming()
    s.enter(client, "support")
    phone = s.dial(client, "101")
    s.ring(phone)
    s.wait(3)
    s.request(client)
    s.dial_event(phone, "CANCEL")
    s.destroy(phone, 16)
    s.request(client, 16, soft=True)
    s.wait(4)
    s.destroy(client)
    record = s.record()
    assert (record.ended_at, record.wait_s, record.duration_s) == (at(3), 3.0, 3.0)
    assert record.outcome is Outcome.SHORT_ABANDONED


def test_a_client_whom_the_pbx_lets_go_left_when_the_channel_was_gone() -> None:
    s = Stream()
    client, phone = s.talk()
    s.speak(phone, 5)
    s.request(phone)
    s.leaves(phone)
    s.leaves(client)
    s.destroy(phone)
    s.request(client, 16, soft=True)
    s.wait(4)
    s.destroy(client)
    record = s.record()
    assert (record.ended_at, record.talk_s, record.hangup.first) == (at(11), 5.0, Party.OPERATOR)
