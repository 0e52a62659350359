"""A replay decides on callbacks as the daemon did, as far as the stream has the facts."""

from typing import Any

import pytest
from pydantic import SecretStr

from callsteward.callback.rehearsal import _at_once
from callsteward.config import CallbackSettings, Config, Endpoints, Privacy
from callsteward.config.hotline import TrunkNumbers
from callsteward.record.call import CallRecord, Direction
from callsteward.record.callback_id import channel_id
from callsteward.recording.replay import ReplayCounts, replay
from tests.unit.calls.stream import NOON, Phone, Stream

OTHER = "79000000001"


def told(stream: Stream, **settings: Any) -> list[tuple[str, str]]:
    """Decision and reason of each call, in order of ending."""
    values = {"enabled": True} | settings
    return [
        (record.callback.decision.value, record.callback.reason)
        for record in records(stream, Config(callback=CallbackSettings(**values)))
    ]


def records(stream: Stream, config: Config) -> list[CallRecord]:
    def broken(number: int, error: Exception) -> None:
        raise AssertionError(number) from error

    return list(replay(stream.frames(), config, ReplayCounts(), broken))


def drop(s: Stream, **incoming: str) -> Phone:
    """A talk breaks; the client's channel."""
    client, phone = s.talk(**incoming)
    s.speak(phone, 5)
    s.wait(1)
    s.lost(client)
    s.wait(1)
    return client


def says(s: Stream, callback: str, state: str, **fields: str) -> None:
    s.emit(
        "ChannelUserevent",
        eventname="callsteward",
        userevent={"eventname": "callsteward", "cb": callback, "state": state, **fields},
    )
    s.wait(1)


def calls_again(s: Stream, **incoming: str) -> None:
    client, phone = s.talk(**incoming)
    s.speak(phone, 5)
    s.bye(client)


def test_with_callbacks_off_nothing_is_weighed():
    s = Stream()
    drop(s, number="112")
    assert told(s, enabled=False) == [("due", "mid_dialogue_drop")]


@pytest.mark.parametrize(
    ("number", "decision"),
    [
        ("79031234567", ("due", "mid_dialogue_drop")),
        ("anonymous", ("suppressed", "no_number")),
        ("+4930123456", ("suppressed", "region_not_allowed")),
        ("79031234567&PJSIP/1", ("suppressed", "not_a_number")),
        # Numbers of Norway, Lebanon, Vietnam: each may be a Russian one, too, and none is called.
        ("4740057948", ("suppressed", "ambiguous_number")),
        ("9613123456", ("suppressed", "ambiguous_number")),
        ("84912675888", ("suppressed", "ambiguous_number")),
        ("+9601234567", ("suppressed", "invalid_number")),
        ("+78402345678", ("suppressed", "region_not_allowed")),
    ],
)
def test_the_guard_decides(number, decision):
    s = Stream()
    drop(s, number=number)
    assert told(s) == [decision]


@pytest.mark.parametrize(
    ("style", "number", "masked", "decision"),
    [
        ("national", "9613123456", "+7961***3456", ("due", "mid_dialogue_drop")),
        ("national", "84950000000", "+7495***0000", ("due", "mid_dialogue_drop")),
        ("national", "8104740057948", "+4740***7948", ("suppressed", "region_not_allowed")),
        ("national", "380441234567", "38***67", ("suppressed", "invalid_number")),
        ("e164", "9613123456", "+9613***3456", ("suppressed", "region_not_allowed")),
        ("e164", "4740057948", "+4740***7948", ("suppressed", "region_not_allowed")),
        ("e164", "79613123456", "+7961***3456", ("due", "mid_dialogue_drop")),
        ("e164", "9031234567", "90***67", ("suppressed", "invalid_number")),
    ],
)
def test_a_trunks_numbers_are_read_in_its_format(style, number, masked, decision):
    s = Stream()
    drop(s, number=number)
    (record,) = records(
        s,
        Config(
            callback=CallbackSettings(enabled=True),
            endpoints=Endpoints(numbers={"PJSIP/trunk": TrunkNumbers(format=style)}),
            privacy=Privacy(hmac_key=SecretStr("key")),
        ),
    )
    assert record.client_masked == masked
    assert (record.client_ref is None) == (not masked.startswith("+"))
    assert (record.callback.decision.value, record.callback.reason) == decision


def test_an_operator_who_dials_one_of_two_numbers_has_called_both():
    s = Stream()
    drop(s, number="+79613123456")
    operator = s.dials("102", "9613123456")
    called = s.dial(operator, "trunk", number="9613123456")
    s.ring(called)
    s.answer(called, after=2)
    s.bridge(operator, called)
    s.wait(5)
    s.lost(called)
    s.wait(1)
    drop(s, number="+79613123456")
    assert told(s) == [
        ("due", "mid_dialogue_drop"),
        # The operator's digits are ambiguous: the client counts as spoken to, and is not called back.
        ("suppressed", "ambiguous_number"),
        ("due", "mid_dialogue_drop"),
    ]


def test_a_client_who_calls_again_forestalls_the_callback():
    s = Stream()
    drop(s)
    calls_again(s, number="89031234567")
    assert told(s) == [("due", "mid_dialogue_drop"), ("not_due", "instead_of_callback")]


def test_who_calls_after_they_were_dialled_forestalls_nothing():
    s = Stream()
    client = drop(s)
    says(s, client.id, "operator_answered")
    says(s, client.id, "dialling")
    says(s, client.id, "over", status="NOANSWER")
    calls_again(s)
    assert told(s)[1] == ("not_due", "client_hung_up")


@pytest.mark.parametrize("state", ["operator_answered", "declined", "locked", "nonsense"])
def test_asking_an_operator_does_not_count_as_a_dial(state):
    s = Stream()
    client = drop(s)
    says(s, client.id, state)
    says(s, "another", "dialling")
    calls_again(s)
    assert told(s)[1] == ("not_due", "instead_of_callback")


def test_a_fence_that_was_claimed_was_a_dial():
    s = Stream()
    client = drop(s)
    says(s, client.id, "fence", at="1795348800", result="ANSWER")
    # The same report twice changes nothing.
    says(s, client.id, "operator_answered")
    calls_again(s)
    assert told(s)[1] == ("not_due", "client_hung_up")


def test_an_expired_callback_is_not_forestalled():
    s = Stream()
    drop(s)
    s.wait(1801)
    calls_again(s)
    assert told(s, zones="line")[1] == ("not_due", "client_hung_up")
    # 12:00 in UTC is 15:00 in Moscow: too late for a number that may be in Kamchatka.
    assert told(s, expire_s=3600)[1] == ("not_due", "client_hung_up")
    assert told(s, expire_s=3600, zones="line")[1] == ("not_due", "instead_of_callback")


def test_the_limits_count_the_streams_own_callbacks():
    s = Stream()
    for _ in range(3):
        client = drop(s)
        says(s, client.id, "dialling")
        says(s, client.id, "over", status="BUSY")
    drop(s, number=OTHER)
    assert [reason for _, reason in told(s, per_number_a_day=2)] == [
        "mid_dialogue_drop", "mid_dialogue_drop", "number_limit", "mid_dialogue_drop",
    ]  # fmt: skip
    assert [reason for _, reason in told(s, per_line_an_hour=3)] == [
        "mid_dialogue_drop", "mid_dialogue_drop", "mid_dialogue_drop", "line_limit",
    ]  # fmt: skip


def test_a_day_later_it_counts_no_more():
    s = Stream()
    client = drop(s)
    says(s, client.id, "dialling")
    says(s, client.id, "over", status="BUSY")
    s.wait(86_400)
    drop(s)
    drop(s, number=OTHER)
    assert [reason for _, reason in told(s, per_number_a_day=1)] == ["mid_dialogue_drop"] * 3


def by_hand(s: Stream, number: str = "79031234567") -> tuple[Phone, Phone]:
    operator = s.dials("102", number)
    client = s.dial(operator, "trunk", number=number)
    s.ring(client)
    return operator, client


def test_an_operator_who_calls_by_hand_forestalls_the_callback():
    s = Stream()
    drop(s)
    operator, client = by_hand(s)
    s.answer(client, after=3)
    s.bridge(operator, client)
    s.speak(operator, 5)
    s.bye(client)
    assert told(s)[1] == ("not_due", "instead_of_callback")


def test_the_callbacks_own_talk_forestalls_nothing():
    s = Stream()
    origin = drop(s)
    says(s, origin.id, "operator_answered")
    operator = s.originated("101", channel_id(origin.id, 1, "default"))
    s.ring(operator)
    s.answer(operator, after=1)
    operator.context, operator.exten = "callsteward-callback-dial", "79031234567"
    client = s.dial(operator, "trunk", number="79031234567")
    s.ring(client)
    s.answer(client, after=2)
    s.bridge(operator, client)
    s.speak(operator, 5)
    s.bye(client)
    found = records(s, Config(callback=CallbackSettings(enabled=True)))
    assert [record.direction for record in found] == [Direction.INBOUND, Direction.CALLBACK]
    assert found[1].callback.reason == "client_hung_up"


def test_a_stream_that_stops_in_a_call_is_decided_too():
    s = Stream()
    s.talk()
    assert told(s) == [("not_due", "end_not_observed")]
    assert s.ms > NOON


def test_a_decision_that_waits_is_an_error():
    import asyncio

    async def waits() -> None:
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="waited"):
        _at_once(waits())


def test_nothing_but_records_is_written(capsys):
    s = Stream()
    drop(s)
    calls_again(s)
    assert len(told(s)) == 2
    assert capsys.readouterr().out == ""
