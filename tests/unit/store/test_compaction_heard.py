"""Which endpoints are heard outlives the frames by which it is known."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from callsteward.ari.events import Heard, Listened, decode
from callsteward.ari.marks import heard
from callsteward.config import Config
from callsteward.journal import compaction
from callsteward.journal.compaction import compact
from callsteward.record.call import CallRecord
from callsteward.recording.replay import ReplayCounts, replay
from tests.unit.calls.stream import Stream


@pytest.fixture(autouse=True)
def _no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "GRACE_MS", 0)


def compacted(frames: Sequence[bytes]) -> list[bytes]:
    return list(compact(lambda: frames, limit_bytes=1_000_000_000))


def marks(frames: Sequence[bytes]) -> list[Heard]:
    return [event for event in map(decode, frames) if isinstance(event, Heard)]


def records(frames: Sequence[bytes]) -> list[CallRecord]:
    return list(replay(frames, Config(), ReplayCounts(), lambda _number, _error: None))


def two_calls() -> tuple[list[bytes], list[bytes]]:
    """A client who talks with 101 and is gone; another one who talks with the same phone, and its end."""
    s = Stream()
    s.talk(number="79000000001", operator="102")
    client, phone = s.talk()
    s.speak(phone, 4)
    s.speak(client, 2)
    s.bye(client)
    client, _ = s.talk()
    s.wait(20)
    before = s.frames()
    s.bye(client)
    return before, s.frames()[len(before) :]


def test_the_first_word_of_each_endpoint_leaves_a_mark_where_its_frame_went() -> None:
    before, after = two_calls()
    journal = compacted(before)
    assert not [frame for frame in journal if b"ChannelTalking" in frame]
    assert [mark.endpoints for mark in marks(journal)] == [
        (Listened("PJSIP/101", heard=True),),
        (Listened("PJSIP/trunk", heard=True),),
    ]
    (record,) = [item for item in records([*journal, *after]) if item.operator == "101"]
    assert record in records([*before, *after])
    assert record.speech is not None
    assert (record.speech.operator_s, record.speech.client_s) == (0.0, 0.0)


def test_a_journal_compacted_again_says_it_still() -> None:
    before, _ = two_calls()
    once = compacted(before)
    assert compacted(once) == once


def test_of_the_marks_that_tell_all_the_first_and_the_last_stay() -> None:
    before, _ = two_calls()
    told = [heard([Listened("PJSIP/101", heard=True, quiet=number)], whole=True) for number in range(4)]
    journal = compacted([told[0], *before[:9], told[1], *before[9:], told[2], told[3]])
    assert [mark.endpoints for mark in marks(journal)] == [
        (Listened("PJSIP/101", heard=True),),
        (Listened("PJSIP/trunk", heard=True),),
        (Listened("PJSIP/101", heard=True, quiet=3),),
    ]
    assert json.loads(journal[1])["whole"] is True
    assert journal[-1] == told[3]


@pytest.mark.parametrize(
    ("channel", "endpoint"),
    [
        ("DAHDI/i1/79030000001-3", "DAHDI/i1"),
        ("PJSIP/79031234567-00000001", "PJSIP/79031234567"),
        ("Local/101@agents-00000000;1", None),
    ],
)
def test_a_mark_names_the_endpoint_and_no_caller(channel: str, endpoint: str | None) -> None:
    frame = json.dumps({"type": "ChannelTalkingStarted", "channel": {"id": "1.1", "name": channel}}).encode()
    gone = json.dumps({"type": "ChannelDestroyed", "channel": {"id": "1.1", "name": channel}}).encode()
    journal = compacted([frame, gone])
    assert [item.endpoint for mark in marks(journal) for item in mark.endpoints] == (
        [] if endpoint is None else [endpoint]
    )
