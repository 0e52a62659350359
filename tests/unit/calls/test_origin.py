"""Who called whom, whichever driver made the channel and in whatever state it was made."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from callsteward.record.call import Direction, Outcome
from tests.unit.calls.stream import Phone, Stream, at

# How drivers make a channel that calls in, by the states they tell of it before it is answered.
CALLS_IN = {
    "chan_pjsip": ("Ring",),
    "chan_iax2": ("Ring",),
    "chan_sip": ("Down", "Ring"),
    "dahdi_isdn_overlap": ("Rsrvd", "Ring"),
    "dahdi_analogue_line": ("Pre-ring", "Ring"),
    "dahdi_analogue_phone": ("Rsrvd", "OffHook", "Ring"),
}
# … and one that they dial.
GOES_OUT = {
    "chan_pjsip": ("Down", "Ringing"),
    "chan_sip_without_ringing": ("Down",),
    "dahdi_isdn": ("Rsrvd", "Dialing", "Ringing"),
    "dahdi_analogue": ("Rsrvd", "Dialing Offhook"),
}


def told(stream: Stream, phone: Phone, states: Sequence[str]) -> Stream:
    """The stream with the first states of a channel as another driver tells them."""
    frames = []
    for ms, frame in stream._frames:
        frames.append((ms, frame))
        if frame.get("channel", {}).get("id") != phone.id:
            continue
        if frame["type"] == "ChannelCreated":
            frame["channel"]["state"] = states[0]
            for state in states[1:]:
                change = json.loads(json.dumps(frame))
                change["type"] = "ChannelStateChange"
                change["channel"]["state"] = state
                frames.append((ms, change))
        elif frame["type"] == "ChannelStateChange" and frame["channel"]["state"] == "Ringing":
            frames.pop()
    stream._frames = frames
    return stream


@pytest.mark.parametrize("driver", CALLS_IN)
def test_a_client_who_calls_in_is_inbound_with_their_number(driver: str) -> None:
    s = Stream()
    client, phone = s.talk()
    s.speak(phone, 4)
    s.lost(client)
    record = told(s, client, CALLS_IN[driver]).record()
    assert (record.direction, record.client_masked, record.operator) == (
        Direction.INBOUND,
        "+7903***4567",
        "101",
    )
    assert (record.started_at, record.answered_at) == (at(0), at(2))
    assert record.outcome is Outcome.MID_DIALOGUE_DROP


@pytest.mark.parametrize("driver", CALLS_IN)
def test_a_client_who_gives_up_before_anybody_is_dialled_is_inbound(driver: str) -> None:
    s = Stream()
    client = s.incoming()
    s.wait(7)
    s.bye(client, 127)
    record = told(s, client, CALLS_IN[driver]).record()
    assert (record.direction, record.outcome, record.wait_s) == (Direction.INBOUND, Outcome.ABANDONED, 7.0)


@pytest.mark.parametrize("driver", CALLS_IN)
@pytest.mark.parametrize("outside", GOES_OUT)
def test_an_operator_who_dials_a_client_is_outbound(driver: str, outside: str) -> None:
    s = Stream()
    operator = s.dials("101", "79031234567")
    client = s.dial(operator, "trunk", number="79031234567")
    s.answer(client, after=3)
    s.bridge(operator, client)
    s.speak(operator, 4)
    s.bye(client)
    record = told(told(s, operator, CALLS_IN[driver]), client, GOES_OUT[outside]).record()
    assert (record.direction, record.client_masked, record.operator) == (
        Direction.OUTBOUND,
        "+7903***4567",
        "101",
    )
    assert (record.answered_at, record.outcome) == (at(3), Outcome.COMPLETED)


@pytest.mark.parametrize("driver", CALLS_IN)
def test_two_operators_are_internal(driver: str) -> None:
    s = Stream()
    caller = s.dials("101", "102")
    called = s.dial(caller, "102")
    s.answer(called, after=2)
    s.bridge(caller, called)
    s.wait(5)
    s.bye(caller)
    record = told(s, caller, CALLS_IN[driver]).record()
    assert (record.direction, record.operator) == (Direction.INTERNAL, "102")


@pytest.mark.parametrize("outside", GOES_OUT)
def test_a_client_whom_a_program_originates_without_a_dial_event_is_outbound(outside: str) -> None:
    """Click-to-dial: the operator first, then the client; both channels only change their states."""
    s = Stream()
    legs = []
    for endpoint, number in (("101", "101"), ("trunk", "79031234567")):
        leg = s._phone(f"PJSIP/{endpoint}", "Down", number=number, context="from-internal", exten="s")
        leg.app = ("AppDial2", "(Outgoing Line)")
        s.wait(2)
        s.up(leg)
        legs.append(leg)
    operator, client = legs
    s.bridge(operator, client)
    s.speak(operator, 4)
    s.bye(client)
    records = told(s, client, GOES_OUT[outside]).records()
    assert [record.direction for record in records] == [Direction.OUTBOUND]


def test_a_channel_met_just_after_its_creation_waits_for_evidence() -> None:
    """A snapshot has both legs Down: the client's says Ring, and the operator's is dialled."""
    s = Stream()
    client = s._phone("SIP/trunk", "Down", number="79031234567", context="from-trunk", exten="1000")
    s.unseen()
    s.snapshot(gap_from=-1)
    client.state = "Ring"
    s.emit("ChannelStateChange", channel=client)
    phone = s.dial(client, "101")
    s.answer(phone, after=2)
    s.bridge(client, phone)
    s.speak(phone, 4)
    s.bye(client)
    record = s.record()
    assert (record.direction, record.client_masked) == (Direction.INBOUND, "+7903***4567")


def test_a_dialled_trunk_met_before_its_dial_event_is_outbound() -> None:
    s = Stream()
    operator = s.dials("101", "79031234567")
    client = s.dial(operator, "trunk", number="79031234567", begin=False)
    client.app = ("", "")
    s.unseen()
    s.snapshot(gap_from=-1)
    s.dial_event(client, "")
    client.app = ("AppDial", "(Outgoing Line)")
    s.answer(client, after=3)
    s.bridge(operator, client)
    s.speak(operator, 4)
    s.bye(client)
    record = s.record()
    assert (record.direction, record.client_masked) == (Direction.OUTBOUND, "+7903***4567")
