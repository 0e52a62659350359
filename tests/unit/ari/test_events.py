import contextlib
import json
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callsteward.ari import events
from callsteward.exceptions import MalformedEventError

CHANNEL = {"id": "1795316904.0", "name": "PJSIP/trunk-00000000"}


def frame(**fields: object) -> bytes:
    return json.dumps(fields).encode()


def test_an_event_is_decoded_no_further_than_it_is_used():
    event = events.decode(
        frame(
            type="ChannelHangupRequest",
            timestamp="2026-11-22T02:06:46.059+0000",
            cause=16,
            soft=True,
            channel=CHANNEL | {"state": "Up", "language": "ru", "protocol_id": "x"},
            news_of_asterisk_30={"deep": [1]},
        )
    )
    assert event == events.ChannelHangupRequest(
        timestamp="2026-11-22T02:06:46.059+0000",
        cause=16,
        soft=True,
        channel=events.Channel(id="1795316904.0", name="PJSIP/trunk-00000000", state="Up"),
    )


def test_fields_that_an_old_asterisk_omits_have_defaults():
    event = events.decode(frame(type="ChannelDestroyed", channel=CHANNEL))
    assert isinstance(event, events.ChannelDestroyed)
    assert (event.timestamp, event.cause, event.tech_cause, event.channel.channelvars) == ("", 0, None, None)
    request = events.decode(frame(type="ChannelHangupRequest", channel=CHANNEL))
    assert isinstance(request, events.ChannelHangupRequest)
    assert (request.cause, request.soft) == (None, False)


def test_channelvars_are_read_by_their_dialplan_names():
    variables = {"CHANNEL(linkedid)": "17.0", "CHANNEL(hangupsource)": "", "MINE": "x"}
    event = events.decode(frame(type="ChannelCreated", channel=CHANNEL | {"channelvars": variables}))
    assert isinstance(event, events.ChannelCreated)
    assert event.channel.channelvars == events.ChannelVars(linkedid="17.0", hangupsource="")


def test_a_frame_may_be_text_or_bytes():
    raw = frame(type="ChannelHold", channel=CHANNEL)
    assert events.decode(raw) == events.decode(raw.decode()) is not None


@pytest.mark.parametrize(
    "raw",
    [
        frame(type="ChannelVarset", variable="X", value="1"),
        frame(type="RESTResponse", status_code=200),
        frame(type="SomethingOfAsterisk30"),
        frame(type=""),
    ],
)
def test_an_event_of_an_unknown_type_decodes_to_none(raw: bytes):
    assert events.decode(raw) is None


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"not JSON",
        b"{",
        b"[]",
        b"null",
        b"17",
        b'"ChannelHold"',
        b"{}",
        b'{"type": 5}',
        b'{"type": "ChannelHold"}',
        b'{"type": "ChannelHold", "channel": null}',
        b'{"type": "ChannelHold", "channel": {"id": "1"}}',
        b'{"type": "ChannelHold", "channel": {"id": 1, "name": "PJSIP/101-1"}}',
        b'{"type": "ChannelDestroyed", "cause": "16", "channel": {"id": "1", "name": "a"}}',
        b'{"type": "CallstewardClockSet"}',
        b'{"type": "CallstewardClockSet", "by_ms": 1000000000000000000}',
        b'{"type": "CallstewardClockSet", "by_ms": -1e30}',
        b'{"type": "ChannelHold", "channel": {"id": "\xff", "name": "a"}}',
        b'{"type": "\xff\xfe"}',
        '{"type": "ChannelHold"',
    ],
)
def test_a_frame_that_is_no_event_is_malformed(raw: bytes | str):
    with pytest.raises(MalformedEventError, match="not an ARI event"):
        events.decode(raw)


@given(st.binary(max_size=60) | st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_noise_is_malformed_or_decodes_to_none(raw: bytes | str):
    with contextlib.suppress(MalformedEventError):
        assert events.decode(raw) is None


def test_every_type_in_use_is_known():
    assert len(events.KNOWN_TYPES) == 26
    assert {
        "ChannelCreated",
        "Dial",
        "BridgeMerged",
        "CallstewardSnapshot",
        "CallstewardTag",
    } <= events.KNOWN_TYPES
    assert events.event_type(frame(type="Dial")) == "Dial"
    assert events.event_type(b"{}") is None
    assert events.event_type(b"\xff") is None


@pytest.mark.parametrize(
    ("stamp", "ms"),
    [
        ("1970-01-01T00:00:00.000+0000", 0),
        ("2026-11-22T02:06:46.059+0000", 1_795_313_206_059),
        ("2026-11-22T05:06:46.059+0300", 1_795_313_206_059),
        ("2026-11-21T22:36:46.059-0330", 1_795_313_206_059),
        ("2026-11-22T02:06:46.059Z", 1_795_313_206_059),
        ("2026-11-22T02:06:46.059+00:00", 1_795_313_206_059),
        ("2026-10-25T02:30:00.000+0200", 1_792_888_200_000),
        ("2026-10-25T02:30:00.000+0100", 1_792_891_800_000),
    ],
)
def test_a_moment_is_the_same_in_every_zone(stamp: str, ms: int):
    assert events.epoch_ms(stamp) == ms


@pytest.mark.parametrize(
    "stamp",
    [
        "",
        "now",
        "2026-11-22",
        "2026-11-22T02:06:46",
        "2026-11-22T02:06:46+0000",
        "2026-13-22T02:06:46.059+0000",
        "2026-11-22T25:06:46.059+0000",
        "2026-11-22T02:06:4x.059+0000",
        "2026-11-22T02:06:46.05x+0000",
        "2026-11-22T02:06:46.059+9900",
        "2026-11-22T02:06:46.059 Moscow",
        "0000-00-00T00:00:00.000+0000",
        "0001-01-01T00:00:00.000+0000",
        "1969-12-31T23:59:59.999+0000",
        "2200-01-01T00:00:00.000+0000",
        "9999-12-31T23:59:59.999-1200",
        "x" * 10_000,
    ],
)
def test_garbage_is_no_moment(stamp: str):
    assert events.epoch_ms(stamp) is None


@given(st.integers(0, 4_000_000_000_000))
def test_a_timestamp_is_read_back_as_it_was_written(ms: int):
    stamp = events.timestamp(ms)
    assert events.epoch_ms(stamp) == ms
    assert datetime.fromisoformat(stamp).timestamp() * 1000 == pytest.approx(ms, abs=0.5)


@given(st.text(max_size=40))
def test_no_timestamp_raises(stamp: str):
    assert events.epoch_ms(stamp) is None or isinstance(events.epoch_ms(stamp), int)
