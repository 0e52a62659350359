"""Commands as they come in: any bytes at all."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callsteward.commands.rate import Rate
from callsteward.commands.request import (
    KINDS,
    LARGEST,
    CallbackCommand,
    ComplaintCommand,
    DncCommand,
    MalformedCommandError,
    TagCommand,
    parse,
)
from callsteward.record.tag import Tag


def refused(name: str, body: bytes) -> MalformedCommandError:
    with pytest.raises(MalformedCommandError) as error:
        parse(name, body)
    return error.value


def test_each_command_is_read():
    tag = parse("tag", b'{"id":"a","call_id":"1.1","tag":"ticket","value":"7","by":"crm"}')
    assert isinstance(tag, TagCommand)
    assert (tag.given.tag, tag.given.value, tag.by) == (Tag.TICKET, "7", "crm")
    dnc = parse("dnc", b'{"id":"a","action":"remove","number":"+7 903 123-45-67"}')
    assert isinstance(dnc, DncCommand)
    assert isinstance(parse("dnc", b'{"id":"a","action":"add","call_id":"1.1"}'), DncCommand)
    assert isinstance(parse("callback", b'{"id":"a","action":"request","call_id":"1.1"}'), CallbackCommand)
    assert isinstance(
        parse("complaint", b'{"id":"a","action":"acknowledge","call_id":"1.1","comment":"seen"}'),
        ComplaintCommand,
    )


@pytest.mark.parametrize(
    ("name", "body", "command_id"),
    [
        ("tag", b"", ""),
        ("tag", b"null", ""),
        ("tag", b"[]", ""),
        ("tag", b"\xff", ""),
        ("tag", b"[" * 5000, ""),
        ("tag", b'{"id":5}', ""),
        ("tag", b'{"id":""}', ""),
        ("tag", b'{"id":"a b","call_id":"1.1","tag":"dropped"}', ""),
        ("tag", b'{"id":"a\\n","call_id":"1.1","tag":"dropped"}', ""),
        ("tag", b'{"id":"crm:1","call_id":"1.1","tag":"dropped"}', ""),
        ("tag", b'{"id":"../x","call_id":"1.1","tag":"dropped"}', ""),
        ("tag", b'{"id":"a"}', "a"),
        ("tag", b'{"id":"a","call_id":"1.1","tag":"other"}', "a"),
        ("tag", b'{"id":"a","call_id":"1.1","tag":"comment","value":"\\u0007"}', "a"),
        ("tag", b'{"id":"a","call_id":"1.1","tag":"dropped","extra":1}', "a"),
        ("tag", b'{"id":"a","call_id":"1 1","tag":"dropped"}', "a"),
        ("tag", b'{"id":"a","call_id":"","tag":"dropped"}', "a"),
        ("tag", b'{"id":"a","call_id":"1.1","tag":"dropped","by":"\\u202e"}', "a"),
        ("dnc", b'{"id":"a","action":"add"}', "a"),
        ("dnc", b'{"id":"a","action":"add","number":"1","call_id":"1.1"}', "a"),
        ("dnc", b'{"id":"a","action":"remove","call_id":"1.1"}', "a"),
        ("dnc", b'{"id":"a","action":"add","call_id":"1 1"}', "a"),
        ("dnc", b'{"id":"a","action":"list"}', "a"),
        ("callback", b'{"id":"a","action":"now","call_id":"1.1"}', "a"),
        ("callback", b'{"id":"a","action":"cancel","call_id":"1.1","comment":" "}', "a"),
    ],
)
def test_a_malformed_command_is_refused_by_its_id_if_it_has_one(name, body, command_id):
    error = refused(name, body)
    assert (error.reason, error.id) == ("malformed", command_id)
    assert str(error)


def test_no_command_and_too_large_a_body_are_refused():
    error = refused("reboot", b'{"id":"a"}')
    assert (error.reason, error.id) == ("unknown_command", "a")
    error = refused("tag", b'{"id":"a","call_id":"1.1","tag":"dropped"' + b" " * LARGEST + b"}")
    assert (error.reason, error.id) == ("too_large", "")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
keys = st.sampled_from(["id", "by", "call_id", "tag", "value", "action", "number", "comment", "x"])
bodies = (
    st.binary(max_size=300)
    | json_values.map(msgspec.json.encode)
    | st.dictionaries(keys, json_values | st.sampled_from(["add", "remove", "cancel", "dropped", "1.1"])).map(
        msgspec.json.encode
    )
)


@given(st.sampled_from([*KINDS, "", "other", "tag/x"]), bodies)
def test_any_input_is_a_command_or_refused(name, body):
    refusal: MalformedCommandError | None = None
    try:
        command = parse(name, body)
    except MalformedCommandError as error:
        refusal = error
    if refusal is not None:
        assert refusal.reason in {"malformed", "unknown_command", "too_large"}
        assert not refusal.id or msgspec.json.decode(body)["id"] == refusal.id
        return
    assert type(command) is KINDS[name]
    assert command.id.isascii()
    assert command.id.isprintable()
    # It says the same when it is sent again.
    assert parse(name, msgspec.json.encode(command)) == command


def test_so_many_a_minute_and_as_many_at_once():
    rate = Rate(60)
    assert [rate.take(100.0) for _ in range(61)] == [True] * 60 + [False]
    assert not rate.take(100.5)
    assert rate.take(101.1)
    assert not rate.take(101.2)
    # A clock that goes back allows no more commands.
    assert not rate.take(50.0)
    assert [rate.take(10_000.0) for _ in range(61)] == [True] * 60 + [False]
