"""A queue member whose phone is outside is an operator like any other, by the number that is dialled."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from callsteward.calls.tracker import Tracker
from callsteward.config import Config, Operator, Tags
from callsteward.record.call import AttemptResult, Direction, Outcome, Party, Side
from callsteward.record.facts import OperatorState
from callsteward.record.tag import Tag
from tests.unit.calls.stream import CLIENT, Phone, Stream, config

MOBILE = "79000000011"
SITE = config(
    operators={"201": Operator(numbers=("+79000000011",)), "202": Operator(numbers=("+7900000002?",))}
)


def member(
    stream: Stream, client: Phone, dialstring: str, number: str = "600", trunk: str = "provider"
) -> Phone:
    """The queue dials an outside number; its channel's caller id is the number that the client called."""
    phone = stream.dial(client, trunk, number=number, begin=False)
    stream.emit(
        "Dial",
        peer=stream._channel(phone),
        caller=stream._channel(client),
        dialstatus="",
        dialstring=dialstring,
        forward="",
    )
    return phone


def queued() -> tuple[Stream, Phone]:
    stream = Stream()
    client = stream.incoming()
    stream.enter(client, "600")
    return stream, client


@pytest.mark.parametrize(
    "dialstring",
    [
        "79000000011@provider",
        "provider/79000000011",
        "89000000011@provider",
        "provider/sip:+79000000011@192.0.2.1:5060",
        "g1/9000000011",
        "+79000000011;cpc=ordinary@provider",
    ],
)
def test_an_outside_member_rings_answers_and_talks_in_the_operators_name(dialstring: str) -> None:
    stream, client = queued()
    phone = member(stream, client, dialstring)
    stream.ring(phone)
    stream.answer(phone, after=3)
    stream.bridge(client, phone)
    stream.speak(phone, 4)
    stream.bye(client)
    record = stream.record(SITE)
    assert (record.direction, record.client_masked) == (Direction.INBOUND, "+7903***4567")
    assert (record.operator, record.answer_latency_s, record.wait_s) == ("201", 3, 3)
    assert [(item.operator, item.ring_s, item.result) for item in record.attempts] == [
        ("201", 3, AttemptResult.ANSWERED)
    ]
    assert record.speech is not None
    assert record.speech.operator_s == 4
    assert (record.outcome, record.hangup.first) == (Outcome.COMPLETED, Party.CLIENT)


def test_a_pattern_stands_for_several_numbers_of_one_operator() -> None:
    stream, client = queued()
    for number in ("79000000021", "79000000022"):
        phone = member(stream, client, f"{number}@provider")
        stream.ring(phone)
        stream.wait(5)
        stream.ends_dial(phone, "NOANSWER", 19)
    stream.bye(client)
    assert [item.operator for item in stream.record(SITE).attempts] == ["202", "202"]


def test_behind_a_local_channel_the_number_is_that_of_its_dial() -> None:
    """FreePBX: Local/89000000011@from-internal/n, and the trunk's own dial string has a prefix before it."""
    stream, client = queued()
    near, far = stream.halves(client, f"8{MOBILE[1:]}", "from-internal")
    stream.emit(
        "Dial",
        peer=stream._channel(near),
        caller=stream._channel(client),
        dialstatus="",
        dialstring=f"8{MOBILE[1:]}@from-internal/n",
        forward="",
    )
    phone = member(stream, far, f"99#{MOBILE}@provider", number="s")
    stream.ring(phone)
    stream.answer(phone, after=2)
    stream.answer(near)
    stream.bridge(far, phone)
    stream.bridge(client, near)
    stream.speak(phone, 4)
    tracker = Tracker(SITE)
    stream.play(tracker)
    (operator,) = tracker.operators_now()
    assert (operator.operator, operator.state) == ("201", OperatorState.TALKING)
    stream.request(phone, 41)
    stream.destroy(phone, 41)
    for leg in (near, far):
        stream.destroy(leg)
    stream.request(client, 16, soft=True)
    stream.destroy(client)
    (record,) = [fact.record for fact in stream.play(tracker) if hasattr(fact, "record")]
    assert [(item.operator, item.result) for item in record.attempts] == [("201", AttemptResult.ANSWERED)]
    assert (record.operator, record.hangup.first, record.hangup.lost_side) == (
        "201",
        Party.NETWORK,
        Side.OPERATOR,
    )
    assert record.outcome is Outcome.MID_DIALOGUE_DROP


def test_a_number_that_is_nobodys_is_a_third_party_as_before() -> None:
    stream, client = queued()
    phone = member(stream, client, "79000000020000@provider")
    stream.ring(phone)
    stream.answer(phone, after=3)
    stream.bridge(client, phone)
    stream.wait(5)
    stream.bye(client)
    record = stream.record(SITE)
    assert (record.operator, record.attempts) == (None, ())


def test_a_colleague_who_calls_a_mobile_operator_calls_no_client() -> None:
    stream = Stream()
    caller = stream.dials("101", MOBILE)
    phone = member(stream, caller, f"{MOBILE}@provider")
    stream.ring(phone)
    stream.answer(phone, after=2)
    stream.bridge(caller, phone)
    stream.wait(5)
    stream.bye(caller)
    record = stream.record(SITE)
    assert record.direction is Direction.INTERNAL
    assert [item.operator for item in record.attempts] == ["201"]


def test_an_operator_who_calls_from_outside_is_a_client_like_others() -> None:
    stream = Stream()
    client, _ = stream.talk(number=MOBILE)
    stream.bye(client)
    record = stream.record(SITE)
    assert (record.direction, record.operator) == (Direction.INBOUND, "101")


def test_a_mobile_operator_met_midway_is_known_by_their_channels_number() -> None:
    stream, client = queued()
    phone = member(stream, client, f"{MOBILE}@provider", number=MOBILE)
    stream.answer(phone, after=1)
    stream.bridge(client, phone)
    stream.wait(2)
    stream.unseen()
    stream.snapshot()
    stream.wait(2)
    stream.bye(client)
    record = stream.record(SITE)
    assert (record.direction, record.operator, record.client_masked) == (
        Direction.INBOUND,
        "201",
        "+7903***4567",
    )


def test_their_keys_are_an_operators() -> None:
    settings = config(operators={"201": Operator(numbers=("+79000000011",))}, tags=Tags(enabled=True))
    stream, client = queued()
    phone = member(stream, client, f"{MOBILE}@provider")
    stream.answer(phone, after=1)
    stream.bridge(client, phone)
    stream.emit(
        "ChannelUserevent",
        eventname="callsteward-tag",
        userevent={"tag": "dropped"},
        channel=stream._channel(phone),
    )
    stream.wait(5)
    stream.bye(client)
    tagged = [fact for fact in stream.facts(settings) if getattr(fact, "tag", None) is not None]
    assert [(fact.tag, fact.by, fact.refused) for fact in tagged] == [(Tag.DROPPED, "201", "")]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "number", ["79000000011", "+7900*", "+7*", "*", "", "+7 900 000-00-11", "201", "+79000000011x"]
)
def test_a_number_that_could_be_a_clients_is_refused(number: str) -> None:
    with pytest.raises(ValidationError):
        Operator(numbers=(number,))


@pytest.mark.parametrize("number", ["+79000000011", "+7900000001[0-9]", "+7900000*", "+790000000??"])
def test_a_number_or_a_pattern_is_taken(number: str) -> None:
    assert Operator(numbers=(number,)).numbers == (number,)


def test_a_number_of_two_operators_is_reported() -> None:
    twice = {name: Operator(numbers=(f"+{MOBILE}",)) for name in ("201", "202")}
    with pytest.raises(ValidationError, match=r"operators\.202\.numbers.*belongs to operator '201' already"):
        Config(operators=twice)


def test_the_number_itself_is_shown_nowhere() -> None:
    stream, client = queued()
    phone = member(stream, client, f"{MOBILE}@provider", trunk=MOBILE)
    stream.answer(phone, after=1)
    stream.bridge(client, phone)
    stream.wait(2)
    stream.bye(phone)
    facts = stream.facts(SITE)
    assert MOBILE not in repr(facts).replace(CLIENT, "")


def test_of_two_readings_of_a_dialled_number_the_operators_counts() -> None:
    stream, client = queued()
    phone = member(stream, client, "9613123456@provider")
    stream.ring(phone)
    stream.answer(phone, after=3)
    site = config(operators={"201": Operator(numbers=("+79613123456",))})
    tracker = Tracker(site)
    stream.play(tracker)
    assert [operator.operator for operator in tracker.operators_now()] == ["201"]
