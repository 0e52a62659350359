"""chan_iax2 asks for the hang-up of each channel that Asterisk ends: nobody has hung up by that."""

from __future__ import annotations

import json

from callsteward.record.call import CallRecord, Confidence, Party
from tests.unit.calls.stream import Phone, Stream


def _outbound(s: Stream) -> tuple[Phone, Phone]:
    operator = s.dials("101", "79031234567")
    client = s.dial(operator, "trunk", number="79031234567")
    s.ring(client)
    s.answer(client, after=3)
    s.bridge(operator, client)
    s.speak(operator, 4)
    return operator, client


def _echo(s: Stream, leg: Phone) -> None:
    """The driver's own hang-up request, for which Asterisk notes no hangupsource."""
    s.emit("ChannelHangupRequest", channel=leg, cause=16)


def _over_iax(s: Stream) -> CallRecord:
    """The record, with the trunk on chan_iax2."""
    s._frames = [
        (ms, json.loads(json.dumps(frame).replace("PJSIP/trunk-", "IAX2/trunk-"))) for ms, frame in s._frames
    ]
    return s.record()


def _told(record: CallRecord) -> tuple[Party, Confidence]:
    return record.hangup.first, record.hangup.confidence


def test_a_hang_up_request_after_the_dialplans_end_is_nobodys() -> None:
    s = Stream()
    client, phone = s.talk()
    s.speak(phone, 4)
    for leg in (phone, client):
        s.leaves(leg)
    s.request(client, 16, soft=True)
    _echo(s, client)
    s.destroy(client)
    s.destroy(phone)
    assert _told(_over_iax(s)) == (Party.PBX, Confidence.LIKELY)


def test_a_hang_up_request_of_a_dialled_channel_after_its_bridge_is_nobodys() -> None:
    s = Stream()
    operator, client = _outbound(s)
    for leg in (client, operator):
        s.leaves(leg)
    _echo(s, client)
    s.destroy(client)
    s.request(operator, 16, soft=True)
    s.destroy(operator)
    assert _told(_over_iax(s)) == (Party.PBX, Confidence.LIKELY)


def test_the_request_of_a_dialled_client_in_the_bridge_is_theirs() -> None:
    s = Stream()
    _, client = _outbound(s)
    s.bye(client)
    assert _told(_over_iax(s)) == (Party.CLIENT, Confidence.CERTAIN)


def test_a_dialled_client_who_was_transferred_and_gives_up_waiting_hung_up() -> None:
    """Out of every bridge, but in the dialplan: there is somebody who can hang up."""
    s = Stream()
    operator, client = _outbound(s)
    s.blind(operator, client, "102")
    second = s.dial(client, "102")
    s.ring(second)
    s.wait(5)
    s.bye(client)
    assert _over_iax(s).hangup.first is Party.CLIENT
