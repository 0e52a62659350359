"""Whose connection was lost where both legs end with the same abnormal cause and nobody asked for it.

chan_sip shows an RTP timeout only by the cause of the leg's end, and Asterisk copies that cause to the
other leg (seen on a real 16.28: tests/replay/streams_sip16).
"""

from __future__ import annotations

import pytest

from callsteward.record.call import CallRecord, Confidence, Outcome, Party, Side
from tests.unit.calls.stream import Phone, Stream


def _talk(s: Stream, *, local: bool) -> tuple[Phone, Phone, list[Phone]]:
    """A talk past its greeting: the client, the operator, and the halves of a Local channel in between."""
    if not local:
        client, phone = s.talk()
        s.speak(phone, 4)
        return client, phone, []
    client = s.incoming(exten="2000")
    s.enter(client, "support")
    near, far = s.local(client, "101")
    phone = s.dial(far, "101")
    s.ring(phone)
    s.answer(phone, after=2)
    s.bridge(far, phone)
    s.bridge(client, near)
    s.speak(phone, 4)
    return client, phone, [near, far]


def _fall(s: Stream, *order: Phone) -> CallRecord:
    """All leave their bridges in an order, then they are destroyed, each with the cause of the lost leg."""
    for leg in order:
        s.leaves(leg)
    for room in list(s.rooms):
        s.close(room)
    for leg in reversed(order):
        s.destroy(leg, 44)
    return s.record()


def _told(record: CallRecord) -> tuple[Party, Side | None, Confidence]:
    return record.hangup.first, record.hangup.lost_side, record.hangup.confidence


@pytest.mark.parametrize("local", [False, True], ids=["bridged", "behind a Local channel"])
def test_the_lost_side_is_likely_the_one_that_left_the_bridge_first(*, local: bool) -> None:
    s = Stream()
    client, phone, halves = _talk(s, local=local)
    record = _fall(s, client, *halves, phone)
    assert _told(record) == (Party.NETWORK, Side.CLIENT, Confidence.LIKELY)
    assert record.outcome is Outcome.MID_DIALOGUE_DROP
    s = Stream()
    client, phone, halves = _talk(s, local=local)
    record = _fall(s, phone, *reversed(halves), client)
    assert _told(record) == (Party.NETWORK, Side.OPERATOR, Confidence.LIKELY)
    assert f"both sides' legs have it, {phone.name} left the conversation first" in record.hangup.evidence


def test_no_side_is_named_if_a_local_half_left_first() -> None:
    s = Stream()
    client, phone, halves = _talk(s, local=True)
    record = _fall(s, *halves, client, phone)
    assert _told(record) == (Party.NETWORK, None, Confidence.LIKELY)


def test_no_side_is_named_if_the_bridge_ended_first() -> None:
    s = Stream()
    client, phone, _ = _talk(s, local=False)
    room = client.room
    assert room is not None
    s.close(room)
    client.room = phone.room = None
    s.destroy(phone, 44)
    s.destroy(client, 44)
    assert _told(s.record()) == (Party.NETWORK, None, Confidence.LIKELY)


def test_the_side_whose_leg_alone_has_the_cause_is_certain_whoever_left_first() -> None:
    s = Stream()
    client, phone, _ = _talk(s, local=False)
    s.leaves(phone)
    s.leaves(client)
    s.close(s.rooms[0])
    s.destroy(phone, 16)
    s.destroy(client, 44)
    assert _told(s.record()) == (Party.NETWORK, Side.CLIENT, Confidence.CERTAIN)


def test_a_cause_that_the_client_had_from_a_phone_before_the_talk_is_nobodys_loss() -> None:
    """The first phone fails (38), the second one talks, the PBX ends it: both legs carry the old cause."""
    s = Stream()
    client = s.incoming()
    failed = s.dial(client, "101")
    s.ring(failed)
    s.ends_dial(failed, "NOANSWER", 38, asked=38)
    s.enter(client, "support")  # a Dial that is answered would clear it
    phone = s.dial(client, "102")
    s.ring(phone)
    s.answer(phone, after=2)
    s.bridge(client, phone)
    s.speak(phone, 4)
    for leg in (client, phone):
        s.leaves(leg)
    s.close(s.rooms[0])
    s.destroy(phone, 38)
    s.request(client, 16, soft=True)
    s.destroy(client, 38)
    record = s.record()
    assert record.hangup.first is Party.PBX
    assert record.outcome is Outcome.COMPLETED
