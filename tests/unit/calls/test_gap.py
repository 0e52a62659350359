"""Time in a gap is neither speech nor silence: it is not known."""

from __future__ import annotations

import pytest

from callsteward.calls.tracker import Tracker
from callsteward.record.call import CallRecord, Confidence, Party, Silence
from tests.unit.calls.stream import Stream, alerts, at, config, ended


def _over_a_gap(
    s: Stream, *, gap_from: float, to: float
) -> tuple[Tracker, list[tuple[str, float, str | None]]]:
    """The stream so far, then a reconnect at `to` that saw nothing since `gap_from`."""
    tracker = Tracker(config())
    facts = s.play(tracker)
    s.at(to)
    s.snapshot(gap_from=gap_from)
    return tracker, alerts([*facts, *s.play(tracker)])


def _ended(s: Stream, tracker: Tracker) -> CallRecord:
    (record,) = ended(s.play(tracker))
    return record


def test_speech_whose_end_was_missed_counts_up_to_the_gap() -> None:
    s = Stream()
    client, phone = s.talk()
    s.speak(phone, 3)
    s.at(6)
    s.starts(client)
    tracker, _ = _over_a_gap(s, gap_from=8, to=20)
    s.at(30)
    s.bye(client)
    speech = _ended(s, tracker).speech
    assert speech is not None
    assert (speech.operator_s, speech.client_s) == (3.0, 2.0)


def test_speech_that_went_on_over_the_gap_counts_whole() -> None:
    s = Stream()
    client, _ = s.talk()
    s.at(6)
    s.starts(client)
    tracker, _ = _over_a_gap(s, gap_from=8, to=12)
    s.at(14.5)
    s.finishes(client, 8)
    s.at(15)
    s.bye(client)
    speech = _ended(s, tracker).speech
    assert speech is not None
    assert speech.client_s == pytest.approx(8.0)


def test_an_end_in_the_gap_has_no_party_even_if_a_colleague_left_before() -> None:
    s = Stream()
    client, phone = s.talk()
    s.speak(phone, 4, at=1)
    s.at(6)
    s.blind(phone, client, "102")
    tracker = Tracker(config())
    s.play(tracker)
    s.at(20)
    s.bye(client)
    s.unseen()
    s.at(60)
    s.snapshot(gap_from=6)
    record = _ended(s, tracker)
    assert record.complete is False
    assert (record.hangup.first, record.hangup.confidence) == (Party.UNKNOWN, Confidence.UNKNOWN)
    assert record.callback.reason == "end_not_observed"


def test_a_gap_is_no_silence() -> None:
    s = Stream()
    client, phone = s.talk()
    s.speak(phone, 3, at=3)
    s.at(7)
    tracker, alarms = _over_a_gap(s, gap_from=7, to=30)
    s.at(35)
    s.speak(client, 1)
    s.at(37)
    s.bye(client)
    facts = s.play(tracker)
    (record,) = ended(facts)
    assert alarms + alerts(facts) == []
    assert record.silences == ()


def test_a_silence_after_the_gap_counts_from_its_end() -> None:
    s = Stream()
    client, phone = s.talk()
    s.speak(phone, 3, at=3)
    tracker, _ = _over_a_gap(s, gap_from=7, to=30)
    s.at(45)
    s.speak(client, 1)
    s.bye(client)
    assert _ended(s, tracker).silences == (Silence(at(30), 15.0),)
