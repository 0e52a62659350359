"""A hang-up cause counts on the leg it came in on: Asterisk copies causes to callers and repeats old ones."""

import pytest

from callsteward.record.call import CallRecord, Confidence, Decision, Outcome, Party, Side
from tests.unit.calls.stream import Phone, Stream


def verdict(record: CallRecord) -> tuple[Party, Side | None, Outcome, Decision]:
    return record.hangup.first, record.hangup.lost_side, record.outcome, record.callback.decision


PLAIN = (Party.CLIENT, None, Outcome.COMPLETED, Decision.NOT_DUE)
CLIENT_LOST = (Party.NETWORK, Side.CLIENT, Outcome.MID_DIALOGUE_DROP, Decision.DUE)
OPERATOR_LOST = (Party.NETWORK, Side.OPERATOR, Outcome.MID_DIALOGUE_DROP, Decision.DUE)


def refuses(s: Stream, phone: Phone, cause: int, status: int | None = None) -> None:
    """A phone that was dialled says no; Asterisk calls that NOANSWER."""
    s.emit("ChannelHangupRequest", channel=phone, cause=cause, tech_cause=status)
    s.dial_event(phone, "NOANSWER")
    s.destroy(phone, cause, tech_cause=status)


def talks(s: Stream, client: Phone, operator: str = "102") -> Phone:
    """The client talks with an operator of a queue past the greeting: what stood on their channel stays."""
    client.app = ("Queue", "support,,,,300")
    phone = s.dial(client, operator)
    s.ring(phone)
    s.answer(phone, after=2)
    s.bridge(client, phone)
    s.speak(phone, 5)
    s.speak(client, 2)
    return phone


def after_a_refusal(cause: int, status: int | None = None) -> tuple[Stream, Phone, Phone]:
    """The first operator's phone refused with a cause, the client talks with the second one."""
    s = Stream()
    client = s.incoming()
    s.up(client, ("Answer", ""))
    first = s.dial(client, "101")
    s.wait(0.5)
    refuses(s, first, cause, status)
    return s, client, talks(s, client)


# --- the SIP status of an end ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cause", "status"),
    [(16, 408), (16, 481), (16, 500), (18, 408), (34, 503), (38, 500), (127, 408), (127, 481), (127, 505)],
)
def test_an_end_with_a_status_that_no_person_sends_is_a_lost_connection(cause: int, status: int) -> None:
    for lost, expected in (("client", CLIENT_LOST), ("operator", OPERATOR_LOST)):
        s = Stream()
        client, operator = s.talk()
        s.speak(operator, 5)
        leg = client if lost == "client" else operator
        s.request(leg, cause, tech_cause=status)
        s.fall(leg, 16)
        record = s.record()
        assert verdict(record) == expected
        assert f"SIP {status}" in record.hangup.evidence[0]
        hangs_up_last = next(rule for rule in record.standard if rule.rule == "operator_hangs_up_last")
        assert hangs_up_last.result == "not_applicable"


@pytest.mark.parametrize(
    ("cause", "status"), [(16, None), (16, 487), (19, 480), (127, 500), (31, 480), (0, 603)]
)
def test_a_status_unrelated_to_the_connection_leaves_a_plain_end(cause: int, status: int | None) -> None:
    """Of cause 127 (a BYE with `Reason: Q.850;cause=127`) Asterisk makes a 500 of its own."""
    s = Stream()
    client, operator = s.talk()
    s.speak(operator, 5)
    s.request(client, cause, tech_cause=status)
    s.fall(client, 16)
    assert verdict(s.record()) == PLAIN


def test_no_response_is_a_lost_connection_if_there_is_no_status() -> None:
    """Asterisk 16, 18, before 20.17 and 22.7: a session refresh that found nobody has cause 18 alone."""
    for asked in (18, None):
        s = Stream()
        client, operator = s.talk()
        s.speak(operator, 5)
        s.request(client, asked)
        s.fall(client, 18)
        record = s.record()
        assert verdict(record) == CLIENT_LOST
        assert "no response" in record.hangup.evidence[0]


def test_a_client_who_was_never_up_and_gives_up_was_not_lost() -> None:
    s = Stream()
    client = s.incoming()
    phone = s.dial(client, "101")
    s.ring(phone)
    s.wait(8)
    s.request(client, 18, tech_cause=408)
    s.fall(client, 127)
    record = s.record()
    assert (record.hangup.first, record.outcome) == (Party.CLIENT, Outcome.ABANDONED)


# --- a cause that the request does not tell ----------------------------------------------------------


@pytest.mark.parametrize("cause", [38, 41, 44])
def test_the_end_has_the_cause_of_a_bye_where_the_request_has_none(cause: int) -> None:
    """Asterisk 16 and 18, before 20.14, 21.9 and 22.4: a BYE with `Reason: Q.850;cause=41`."""
    s = Stream()
    client, operator = s.talk()
    s.speak(operator, 5)
    s.request(client, None)
    s.leaves(client)
    s.leaves(operator)
    s.destroy(operator, cause)
    s.request(client, 16, soft=True)
    s.destroy(client, cause)
    assert verdict(s.record()) == CLIENT_LOST


def test_the_operators_own_end_has_it_too() -> None:
    s = Stream()
    _, operator = s.talk()
    s.speak(operator, 5)
    s.request(operator, None)
    s.fall(operator, 41)
    assert verdict(s.record()) == OPERATOR_LOST


# --- causes that came from another leg -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("cause", "status"), [(38, 500), (27, 502), (102, None), (18, 408), (41, None), (44, None)]
)
def test_an_old_cause_in_a_clients_request_proves_nothing(cause: int, status: int | None) -> None:
    """Asterisk 20.14, 21.9, 22.4 and later repeat the cause of the phone that failed before the talk."""
    s, client, _ = after_a_refusal(cause, status)
    s.request(client, cause, tech_cause=status)
    s.fall(client, cause)
    record = s.record()
    assert verdict(record) == PLAIN
    assert f"cause {cause} is that of a phone dialled before" in record.hangup.evidence
    # The client's own connection may have ended with that very cause.
    assert record.hangup.confidence is Confidence.LIKELY


@pytest.mark.parametrize(("cause", "status"), [(17, 486), (1, 404), (21, 603)])
def test_an_old_cause_that_proves_nothing_anyway_leaves_the_client_certain(cause: int, status: int) -> None:
    s, client, _ = after_a_refusal(cause, status)
    s.request(client, cause, tech_cause=status)
    s.fall(client, cause)
    record = s.record()
    assert verdict(record) == PLAIN
    assert record.hangup.confidence is Confidence.CERTAIN


@pytest.mark.parametrize("cause", [38, 44])
def test_an_old_cause_at_the_legs_end_proves_nothing(cause: int) -> None:
    s, client, _ = after_a_refusal(cause)
    s.request(client, None)
    s.fall(client, cause)
    record = s.record()
    assert verdict(record) == PLAIN
    assert record.hangup.confidence is Confidence.LIKELY


def test_another_cause_than_the_old_one_is_the_clients_own() -> None:
    s, client, _ = after_a_refusal(38, 500)
    s.request(client, 41)
    s.fall(client, 41)
    assert verdict(s.record()) == CLIENT_LOST


def test_a_status_that_asterisk_did_not_make_of_the_old_cause_is_the_clients_own() -> None:
    s, client, _ = after_a_refusal(38, 500)
    s.request(client, 38, tech_cause=408)
    s.fall(client, 38)
    assert verdict(s.record()) == CLIENT_LOST


def test_a_client_whose_rtp_stops_after_a_phone_failed_is_lost_all_the_same() -> None:
    s, client, _ = after_a_refusal(44)
    s.lost(client)
    assert verdict(s.record()) == CLIENT_LOST


def test_an_operator_lost_in_an_earlier_talk_leaves_the_clients_next_goodbye_plain() -> None:
    """Dial(…,g) or a queue: the first operator's RTP stops, the client is put through to the second."""
    s = Stream()
    client, first = s.talk()
    s.speak(first, 4)
    s.request(first, 1, soft=True)
    s.leaves(first)
    s.leaves(client)
    s.destroy(first, 44)
    talks(s, client)
    s.request(client, 44)
    s.fall(client, 44)
    assert verdict(s.record()) == PLAIN


@pytest.mark.parametrize("after_talk", [False, True])
def test_a_dial_that_fails_before_the_dialplan_ends_is_no_lost_client(after_talk: bool) -> None:
    """An IVR whose one phone says 500; a disconnect code, an AMI redirect or a transfer to a dead trunk."""
    s = Stream()
    if after_talk:
        client, operator = s.talk()
        s.speak(operator, 5)
        s.leaves(operator)
        s.leaves(client)
        s.destroy(operator, 16)
        client.app = ("", "")
    else:
        client = s.incoming()
        s.up(client, ("Answer", ""))
    dead = s.dial(client, "101" if not after_talk else "trunk", number="79000000020")
    s.wait(0.1)
    refuses(s, dead, 38, 500)
    s.request(client, 16, soft=True)
    s.destroy(client, 38, tech_cause=500)
    record = s.record()
    outcome = Outcome.COMPLETED if after_talk else Outcome.FAILED
    assert verdict(record) == (Party.PBX, None, outcome, Decision.NOT_DUE)


def test_a_cause_comes_through_local_channels_to_the_client() -> None:
    s = Stream()
    client = s.incoming()
    s.up(client, ("Dial", "Local/101@ring-group"))
    near, far = s.local(client, "101", "ring-group")
    phone = s.dial(far, "101")
    s.wait(0.2)
    refuses(s, phone, 38, 500)
    s.dial_event(near, "NOANSWER")
    s.request(far, 16, soft=True)
    s.destroy(far, 38)
    s.destroy(near, 38)
    talks(s, client)
    s.request(client, 38, tech_cause=500)
    s.fall(client, 38)
    assert verdict(s.record()) == PLAIN


def test_a_queue_copies_no_cause_of_its_members_to_the_client() -> None:
    """Apps/app_queue.c: what the client's channel ends with after a member's phone failed is its own."""
    s = Stream()
    client = s.incoming()
    s.enter(client, "support")
    first = s.dial(client, "101")
    s.wait(0.5)
    refuses(s, first, 38, 500)
    talks(s, client)
    s.request(client, 38)
    s.fall(client, 38)
    assert verdict(s.record()) == CLIENT_LOST


@pytest.mark.parametrize("app", ["Dial", "FollowMe"])
def test_a_dial_that_is_answered_clears_the_callers_cause(app: str) -> None:
    """Apps/app_dial.c sets both sides to 16 then: a 38 that comes afterwards is the client's own."""
    s = Stream()
    client = s.incoming()
    first = s.dial(client, "101")
    s.wait(0.5)
    refuses(s, first, 38, 500)
    client.app = (app, "")
    phone = s.dial(client, "102")
    s.answer(phone, after=2)
    s.bridge(client, phone)
    s.speak(phone, 5)
    s.request(client, 38)
    s.fall(client, 38)
    assert verdict(s.record()) == CLIENT_LOST


def test_a_cause_with_which_the_client_left_is_not_the_operators() -> None:
    """An operator who dialled out is the caller: the client's cause is copied to their channel."""
    s = Stream()
    operator = s.dials("101", "79031234567")
    client = s.dial(operator, "trunk", number="79031234567")
    s.ring(client)
    s.answer(client, after=3)
    s.bridge(operator, client)
    s.speak(operator, 5)
    s.request(client, 41)
    s.leaves(client)
    s.leaves(operator)
    s.destroy(client, 41)
    s.request(operator, 16, soft=True)
    s.destroy(operator, 41)
    assert verdict(s.record()) == CLIENT_LOST


def test_an_agent_who_stays_on_the_line_does_not_carry_a_clients_cause_into_the_next_call() -> None:
    """AgentLogin: one channel of the agent's serves many clients, and keeps the cause of the one before."""
    s = Stream()
    agent = s.dials("101", "*45")
    s.up(agent, ("AgentLogin", "101"))
    ends = []
    for who, asked in (("client", 41), ("agent", 41)):
        client = s.incoming()
        s.up(client, ("AgentRequest", "101"))
        room = s.bridge(client, agent)
        s.speak(agent, 5)
        leg = client if who == "client" else agent
        s.request(leg, asked)
        s.leaves(client)
        s.leaves(agent)
        s.close(room)
        s.request(client, 16, soft=True)
        s.destroy(client, 41)
        ends.append(client)
        s.wait(3)
    s.request(agent, 16, soft=True)
    s.destroy(agent, 16)
    first, second = s.records()
    assert verdict(first) == CLIENT_LOST
    assert verdict(second) == (Party.OPERATOR, None, Outcome.COMPLETED, Decision.NOT_DUE)


def test_a_phone_that_transferred_the_client_does_not_show_who_hung_up_later() -> None:
    """chan_sip: the BYE that follows a transfer may be noted as the source of the client's hang-up."""
    s = Stream()
    client, first = s.talk()
    s.speak(first, 4)
    client.source = first.name
    s.blind(first, client, "102")
    second = s.dial(client, "102")
    s.ring(second)
    s.wait(3)
    s.request(client)
    s.dial_event(second, "CANCEL")
    s.destroy(second, 16)
    s.request(client, 16, soft=True)
    s.destroy(client)
    record = s.record()
    assert (record.hangup.first, record.hangup.confidence) == (Party.CLIENT, Confidence.CERTAIN)
