"""A connection that Asterisk had opened broke off: what events that follow tell of those that were lost.

Every loss that a recorded stream can have is in tests/replay/test_breaks.py; here is what is meant.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from callsteward.calls.tracker import Tracker
from callsteward.record.call import CallRecord, Party
from tests.unit.calls.stream import NOON, Phone, Stream, at, config, ended


class Broken:
    """A stream and the tracker that follows it."""

    def __init__(self) -> None:
        self.s = Stream()
        self.tracker = Tracker(config())
        self.records: list[CallRecord] = []

    def play(self) -> None:
        self.records += ended(self.s.play(self.tracker))

    @contextmanager
    def loses(self) -> Iterator[None]:
        """Lose the events that are made within the block, in a break of 0.1 s."""
        since = (self.s.ms - NOON) / 1000
        self.play()
        yield
        self.s.unseen()
        self.s.wait(0.1)
        self.s.breaks(since)

    @property
    def record(self) -> CallRecord:
        self.play()
        (record,) = self.records
        return record


def spans(record: CallRecord) -> list[tuple[str | None, str | None]]:
    return [(span.from_, span.to) for span in record.unobserved]


def talking() -> tuple[Broken, Phone, Phone]:
    """A talk begun at 2 s; both have spoken, it is 6 s."""
    one = Broken()
    client, phone = one.s.talk()
    one.s.speak(phone, 2)
    one.s.at(6)
    return one, client, phone


def test_a_break_without_losses_leaves_the_record_unchanged() -> None:
    one, client, _ = talking()
    with one.loses():
        pass
    one.s.at(20)
    one.s.bye(client)
    other, client, _ = talking()
    other.s.at(20)
    other.s.bye(client)
    assert one.record == other.record
    assert one.record.complete is True


def test_an_answer_and_a_bridge_that_were_lost_show_when_the_bridge_is_left() -> None:
    """As a SIGKILL on a real Asterisk did it: both channels were there before and after."""
    one = Broken()
    client = one.s.incoming()
    phone = one.s.dial(client, "101")
    one.s.ring(phone)
    one.s.at(2)
    with one.loses():
        one.s.answer(phone)
        one.s.bridge(client, phone)
    one.s.at(8)
    one.s.bye(client)
    record = one.record
    assert record.complete is False
    assert spans(record) == [(at(2), at(2.1))]
    assert record.hangup.first is Party.CLIENT


@pytest.mark.parametrize("what", ["hold", "unhold", "finishes"])
def test_a_hold_or_speech_with_only_one_end_is_not_completely_observed(what: str) -> None:
    one, client, phone = talking()
    if what == "unhold":
        one.s.hold(phone)
    if what == "finishes":
        one.s.starts(client)
    one.s.at(8)
    with one.loses():
        if what == "hold":
            one.s.hold(phone)
    one.s.at(12)
    if what == "hold":
        one.s.unhold(phone)
    one.s.at(20)
    one.s.bye(client)
    record = one.record
    assert record.complete is False
    assert spans(record) == [(at(8), at(8.1))]


def test_speech_whose_end_may_have_been_lost_counts_up_to_the_break() -> None:
    one, client, _ = talking()
    one.s.starts(client)
    one.s.at(8)
    with one.loses():
        pass
    one.s.at(20)
    one.s.bye(client)
    speech = one.record.speech
    assert speech is not None
    assert speech.client_s == 2.0


def test_who_hung_up_in_the_break_is_not_known() -> None:
    one, client, phone = talking()
    with one.loses():
        one.s.request(client)
    one.s.leaves(client)
    one.s.leaves(phone)
    one.s.destroy(client)
    one.s.destroy(phone)
    record = one.record
    assert record.complete is False
    assert record.hangup.first is Party.UNKNOWN


def test_a_transfer_that_was_lost_shows_when_its_giver_is_gone() -> None:
    one, client, phone = talking()
    with one.loses():
        one.s.unhold(phone)
        one.s.emit("BridgeBlindTransfer", channel=phone, exten="102", result="Success")
        one.s.leaves(phone)
        one.s.leaves(client)
    one.s.destroy(phone)
    other = one.s.dial(client, "102")
    one.s.ring(other)
    one.s.answer(other, after=2)
    one.s.bridge(client, other)
    one.s.at(20)
    one.s.bye(client)
    record = one.record
    assert record.complete is False
    assert record.hangup.first is Party.CLIENT


def test_a_phone_whose_end_was_lost_does_not_delay_the_record() -> None:
    one, client, phone = talking()
    with one.loses():
        one.s.request(client)
        one.s.leaves(client)
        one.s.destroy(phone)
    one.s.destroy(client)
    one.play()
    one.records += ended(one.tracker.advance(NOON + 60_000))
    assert one.record.complete is False


def test_a_call_that_began_after_the_break_is_whole() -> None:
    one, client, _ = talking()
    with one.loses():
        pass
    later, phone = one.s.talk(number="79000000001", operator="102")
    one.s.emit("ChannelUnhold", channel=phone)
    one.s.at(20)
    one.s.bye(later)
    one.s.bye(client)
    one.play()
    assert [record.complete for record in one.records] == [True, True]


def test_after_a_break_disagreeing_lists_make_its_calls_incomplete() -> None:
    one, client, phone = talking()
    with one.loses():
        gone = one.s.incoming(number="79000000002")
        one.s.destroy(gone)
    one.s.at(7)
    later, _ = one.s.talk(number="79000000001", operator="102")
    one.s.at(10)
    one.s.snapshot(gap_from=6)
    one.s.at(20)
    one.s.bye(client)
    one.s.bye(later)
    one.play()
    assert [(record.complete, spans(record)) for record in one.records] == [
        (False, [(at(6), at(6.1))]),
        (True, []),
    ]
    assert phone.gone
