"""A callback as the tracker sees it: a call of its own, answered when the client answers."""

import msgspec
import pytest

from callsteward.calls.tracker import Tracker
from callsteward.config import Line
from callsteward.record.call import CallRecord, Decision, Direction, Outcome, Party
from callsteward.record.callback_id import callback_id, callback_of, channel_id, line_of, origin_of
from tests.unit.calls.stream import CLIENT, Phone, Stream, at, config, ended

ORIGIN = "1795348800.0"
CHANNEL = channel_id(ORIGIN, 2, "support")


def records(stream: Stream, **sections: object) -> list[CallRecord]:
    return ended(stream.play(Tracker(config(**sections))))


def rung(stream: Stream) -> tuple[Phone, Phone]:
    """The operator's phone is rung and answered; from there the dialplan dials the client."""
    operator = stream.originated("101", CHANNEL)
    stream.ring(operator)
    stream.answer(operator, after=3)
    operator.context, operator.exten = "callsteward-callback-dial", CLIENT
    client = stream.dial(operator, "trunk", number=CLIENT)
    stream.ring(client)
    return operator, client


def test_a_callback_is_a_call_of_its_own_and_names_the_call_that_broke():
    s = Stream()
    operator, client = rung(s)
    s.answer(client, after=4)
    s.bridge(operator, client)
    s.speak(operator, 5)
    s.wait(1)
    s.bye(client)
    (record,) = records(s)
    assert record.direction is Direction.CALLBACK
    assert (record.call_id, record.origin_call_id) == (CHANNEL, ORIGIN)
    assert (record.line, record.operator, record.client_masked) == ("support", "101", "+7903***4567")
    assert record.outcome is Outcome.COMPLETED
    # The operator's phone was up at 3; the client's, which is what counts, at 7.
    assert record.answered_at == at(7)
    assert record.answer_latency_s == 3
    assert record.wait_s == 4


@pytest.mark.parametrize("channelvars", [True, False])
@pytest.mark.parametrize("client_first", [True, False])
@pytest.mark.parametrize("talking", [True, False])
def test_a_callback_in_progress_when_the_daemon_starts_is_recognised(client_first, channelvars, talking):
    """Else its own break would be a client's call that broke, and make a second callback."""
    s = Stream(channelvars=channelvars)
    operator, client = rung(s)
    if talking:
        s.answer(client, after=4)
        s.bridge(operator, client)
    s.unseen()
    s.snapshot(order=[client, operator] if client_first else [operator, client])
    if not talking:
        s.answer(client, after=4)
        s.bridge(operator, client)
    s.speak(operator, 5)
    s.wait(1)
    s.request(client, 1, soft=True)
    s.destroy(client, 44)
    s.request(operator, soft=True)
    s.destroy(operator)
    (record,) = records(s)
    assert (record.call_id, record.direction, record.line) == (CHANNEL, Direction.CALLBACK, "support")
    assert record.operator == "101"
    assert (record.callback.decision, record.callback.reason) == (Decision.SUPPRESSED, "was_callback")


@pytest.mark.parametrize(("status", "outcome"), [("NOANSWER", Outcome.NO_ANSWER), ("BUSY", Outcome.BUSY)])
def test_a_client_who_is_not_reached_did_not_answer(status, outcome):
    s = Stream()
    operator, client = rung(s)
    s.wait(6)
    s.ends_dial(client, status, 17 if status == "BUSY" else 0)
    s.request(operator, soft=True)
    s.destroy(operator)
    (record,) = records(s)
    assert record.direction is Direction.CALLBACK
    assert record.outcome is outcome
    assert record.answered_at is None
    assert record.callback.decision is Decision.NOT_DUE


def test_a_callback_that_breaks_makes_no_second_callback():
    s = Stream()
    operator, client = rung(s)
    s.answer(client)
    s.bridge(operator, client)
    s.speak(operator, 5)
    s.wait(1)
    s.request(client, 1, soft=True)
    s.destroy(client, 44)
    s.request(operator, soft=True)
    s.destroy(operator)
    (record,) = records(s)
    assert record.outcome is Outcome.MID_DIALOGUE_DROP
    assert (record.callback.decision, record.callback.reason) == (Decision.SUPPRESSED, "was_callback")


def test_a_callbacks_line_is_that_of_the_call_that_broke():
    s = Stream()
    operator, client = rung(s)
    s.answer(client)
    s.bridge(operator, client)
    s.bye(client)
    (record,) = records(s, lines=(Line(name="other", contexts=("callsteward-callback-dial",)),))
    assert record.line == "support"


def test_an_operator_who_does_not_answer_makes_no_record():
    s = Stream()
    operator = s.originated("101", CHANNEL)
    s.ring(operator)
    s.wait(15)
    s.ends_dial(operator, "NOANSWER", 19)
    assert records(s) == []


def test_any_other_record_has_no_origin():
    s = Stream()
    client, _ = s.talk()
    s.bye(client)
    (record,) = records(s)
    assert record.origin_call_id is msgspec.UNSET
    assert b"origin_call_id" not in msgspec.json.encode(record)


@pytest.mark.parametrize("origin", ["1795348800.0", "pbx.1795348800.17", "a"])
def test_a_channels_id_names_its_callback(origin):
    channel = channel_id(callback_id(origin), 12, "my-line.2")
    assert callback_of(channel) == origin == origin_of(channel)
    assert line_of(channel) == "my-line.2"


@pytest.mark.parametrize("origin", ["pbx-1795348800.17", "a b", "x/y", "${EVIL}", "1" * 65, "", "é"])
def test_an_id_that_no_dialplan_allows_is_hashed(origin):
    name = callback_id(origin)
    assert len(name) == 25
    assert name.isalnum()
    channel = channel_id(name, 1, "support")
    assert callback_of(channel) == name
    assert origin_of(channel) is None
    assert len(channel_id(callback_id("1" * 64), 999, "l" * 64)) < 150  # AST_MAX_UNIQUEID


@pytest.mark.parametrize(
    "channel", ["1795348800.0", "callsteward-cb-", "callsteward-cb-1", "callsteward-cb-1-x-y", ""]
)
def test_other_channels_belong_to_no_callback(channel):
    assert callback_of(channel) is None
    assert line_of(channel) is None


# --- the PBX goes away -----------------------------------------------------------------------------------


def restarted(greeting_s: float, booted: float | None, lost: float | None = None) -> CallRecord:
    s = Stream()
    _, phone = s.talk()
    s.speak(phone, greeting_s)
    s.wait(2)
    seen = ended_at = s.ms
    tracker = Tracker(config())
    assert ended(s.play(tracker)) == []
    s.phones.clear()
    s.rooms.clear()
    s.ms = ended_at + 20_000
    second = (seen - 1_795_348_800_000) / 1000
    s.snapshot(
        gap_from=second,
        booted=None if booted is None else second + booted,
        lost=None if lost is None else second + lost,
    )
    (record,) = ended(s.play(tracker))
    assert not record.complete
    return record


def test_a_restart_of_asterisk_during_a_talk_is_a_drop_with_a_callback():
    record = restarted(5, booted=8)
    assert record.hangup.first is Party.PBX
    assert record.hangup.evidence == (
        "PJSIP/trunk-00000000 was on when Asterisk was restarted: Asterisk shut down",
    )
    assert record.outcome is Outcome.MID_DIALOGUE_DROP
    assert record.callback.decision is Decision.DUE


@pytest.mark.parametrize("booted", [None, -3600])
def test_a_talk_that_ended_while_the_link_was_down_is_not_called_back(booted):
    record = restarted(5, booted=booted)
    assert record.outcome is Outcome.COMPLETED
    assert (record.callback.decision, record.callback.reason) == (Decision.NOT_DUE, "end_not_observed")


@pytest.mark.parametrize(
    ("greeting_s", "booted", "lost", "outcome"),
    [
        # Asterisk runs again half a second later: 3 s of greeting cannot have been spoken.
        (1, 0.5, None, Outcome.EARLY_DROP),
        (1, 60, 0.5, Outcome.EARLY_DROP),
        # Whether the operator spoke on before Asterisk died, nobody heard.
        (1, 60, None, Outcome.MID_DIALOGUE_DROP),
        # The link was there, and the operator was silent.
        (1, 60, 2.5, Outcome.EARLY_DROP),
        (1, 60, 30, Outcome.EARLY_DROP),
        (5, 0.5, 0.5, Outcome.MID_DIALOGUE_DROP),
    ],
)
def test_a_restart_in_the_greeting_is_an_early_drop(greeting_s, booted, lost, outcome):
    record = restarted(greeting_s, booted, lost)
    assert record.outcome is outcome
    due = outcome is Outcome.MID_DIALOGUE_DROP
    assert record.callback.decision is (Decision.DUE if due else Decision.NOT_DUE)


@pytest.mark.parametrize(("lost", "outcome"), [(2.5, Outcome.EARLY_DROP), (3.5, Outcome.MID_DIALOGUE_DROP)])
def test_an_operator_who_was_speaking_when_asterisk_died_spoke_until_the_link_went(lost, outcome):
    s = Stream()
    _, phone = s.talk()
    s.wait(0.5)
    s.starts(phone)
    tracker = Tracker(config())
    assert ended(s.play(tracker)) == []
    second = (s.ms - 1_795_348_800_000) / 1000
    s.phones.clear()
    s.rooms.clear()
    s.ms += 80_000
    s.snapshot(gap_from=second, booted=second + 60, lost=second + lost)
    (record,) = ended(s.play(tracker))
    assert record.outcome is outcome


@pytest.mark.parametrize("numbers", [{}, {"PJSIP/trunk": {"format": "national"}}])
@pytest.mark.parametrize("digits", ["84912675888", "4740057948", "79613123456"])
def test_the_daemon_dials_numbers_with_their_country_code(digits, numbers):
    """Read as a trunk's callers are, the client of a callback to Vietnam would be in Ryazan."""
    s = Stream()
    operator = s.originated("101", CHANNEL)
    s.ring(operator)
    s.answer(operator, after=3)
    operator.context, operator.exten = "callsteward-callback-dial", digits
    client = s.dial(operator, "trunk", number=digits)
    s.ring(client)
    s.answer(client, after=4)
    s.bridge(operator, client)
    s.wait(5)
    s.bye(client)
    (record,) = records(s, endpoints={"numbers": numbers})
    assert record.client_masked == f"+{digits[:4]}***{digits[-4:]}"


@pytest.mark.parametrize(
    ("style", "digits", "masked"),
    [
        (None, "9613123456", "96***56"),
        (None, "89031234567", "+7903***4567"),
        ("national", "9613123456", "+7961***3456"),
        ("e164", "9613123456", "+9613***3456"),
        ("e164", "89031234567", "+7903***4567"),
    ],
)
def test_a_number_dialled_by_an_operator_is_read_in_the_trunks_format(style, digits, masked):
    s = Stream()
    operator = s.dials("102", digits)
    client = s.dial(operator, "trunk", number=digits)
    s.ring(client)
    s.answer(client, after=2)
    s.bridge(operator, client)
    s.wait(5)
    s.bye(client)
    (record,) = records(s, endpoints={"numbers": {} if style is None else style})
    assert (record.direction, record.client_masked) == (Direction.OUTBOUND, masked)
