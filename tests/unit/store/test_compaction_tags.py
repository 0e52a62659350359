"""Compaction keeps what tags need: the client whom an operator left last, for a code dialled after the call.

A tag given by a command stays in a compacted journal for as long as its call's frames do."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from callsteward.ari.events import LeftCall, decode
from callsteward.ari.marks import left
from callsteward.calls.tracker import Tracker
from callsteward.config import Config, Tags
from callsteward.journal import compaction
from callsteward.journal.compaction import compact
from callsteward.record.call import Outcome
from callsteward.record.facts import CallTagged, Fact
from callsteward.recording.replay import ReplayCounts, replay
from tests.fuzz.targets import CAPTURES
from tests.unit.calls.stream import Stream

LINES = (CAPTURES / "client_bye.jsonl").read_bytes().splitlines()
CALL = next(replay(LINES, Config(), ReplayCounts(), lambda _number, _error: None)).call_id


def tag(call_id: str, stamp: str) -> bytes:
    return (
        f'{{"type":"CallstewardTag","timestamp":"{stamp}","call_id":"{call_id}","tag":"dropped",'
        f'"by":"crm","source":"mqtt"}}'
    ).encode()


@pytest.mark.parametrize(("call_id", "kept"), [(CALL, True), ("1.1", False)])
def test_a_tag_stays_with_its_call(call_id: str, kept: bool) -> None:
    middle = next(number for number, line in enumerate(LINES) if b'"ChannelTalkingFinished"' in line)
    stamp = "2026-11-22T02:00:00.000+0000"
    before = [*LINES[: middle + 1], tag(call_id, stamp)]
    journal = list(compact(lambda: before, limit_bytes=1_000_000_000))
    assert (tag(call_id, stamp) in journal) is kept
    config = Config(tags=Tags(enabled=True))
    rest = LINES[middle + 1 :]
    whole, short = (
        list(replay([*first, *rest], config, ReplayCounts(), lambda _number, _error: None))
        for first in (before, journal)
    )
    assert whole == short
    assert (whole[0].outcome is Outcome.MID_DIALOGUE_DROP) is kept


def code(s: Stream, operator: str) -> None:
    """The operator dials a code after a call."""
    phone = s.dials(operator, "*61")
    s.up(phone)
    said = {"tag": "complaint", "value": "", "after": "1"}
    s.emit("ChannelUserevent", eventname="callsteward-tag", userevent=said, channel=s._channel(phone))


def test_a_code_after_a_crash_means_the_call_left_last_though_its_frames_are_gone() -> None:
    """The operator handed one client to a colleague, who has them still, and then had another."""
    config = Config(tags=Tags(enabled=True, wrap_up_s=600))
    s = Stream()
    first, phone = s.talk(number="79000000001")
    s.at(10)
    s.blind(phone, first, "102")
    colleague = s.dial(first, "102")
    s.ring(colleague)
    s.answer(colleague, after=2)
    s.bridge(first, colleague)
    s.at(20)
    second, _ = s.talk()
    s.at(30)
    s.bye(second)
    # Long enough for compaction to have forgotten the second call.
    s.at(30 + compaction.GRACE_MS / 1000 + 60)
    s.speak(first, 2)
    before = s.frames()
    tracker = Tracker(config)
    for frame in before:
        _handle(tracker, frame)
    assert {item.operator: item.call_id for item in tracker.left_calls()}["101"] == second.id
    journal = [*before, left(tracker.left_calls())]
    for _ in range(2):
        journal = list(compact(lambda frames=journal: frames, limit_bytes=1 << 40))  # type: ignore[misc]
    assert not any(second.id.encode() in frame for frame in journal if b"Callsteward" not in frame)
    s.unseen()
    code(s, "101")
    again = Tracker(config)
    facts = [fact for frame in (*journal, *s.frames()) for fact in _handle(again, frame)]
    (said,) = [fact for fact in facts if isinstance(fact, CallTagged)]
    assert (said.call_id, said.ended, said.refused) == (second.id, True, "")


def test_only_calls_that_a_code_may_still_mean_are_marked() -> None:
    s = Stream()
    client, _ = s.talk()
    s.at(30)
    s.bye(client)
    s.at(100)
    s.incoming()
    for wrap_up_s, marked in ((60, 0), (80, 1)):
        tracker = Tracker(Config(tags=Tags(enabled=True, wrap_up_s=wrap_up_s)))
        for frame in s.frames():
            _handle(tracker, frame)
        assert len(tracker.left_calls()) == marked


def test_without_tags_the_mark_is_empty() -> None:
    tracker = Tracker(Config())
    _handle(tracker, left([LeftCall("101", "1.1", "support", 1)]))
    assert tracker.left_calls() == []


def _handle(tracker: Tracker, frame: bytes) -> Sequence[Fact]:
    event = decode(frame)
    return () if event is None else tracker.handle(event)
