"""More arrives than the daemon gets through: what is packed, what goes first, and that it is said."""

import itertools
import json
import time

import pytest

from callsteward.ari import frames as frames_module
from callsteward.ari.events import KNOWN_TYPES, ChannelTalkingFinished, ChannelTalkingStarted, Shed, decode
from callsteward.ari.frames import FrameQueue
from callsteward.ari.packing import Frame, pack, unpack
from callsteward.ari.shedding import shed
from callsteward.calls.tracker import Tracker
from callsteward.config import Config
from callsteward.health import Counters
from callsteward.record.call import CallRecord
from callsteward.record.facts import CallEnded
from tests.bench.load import interleaved

SPEECH = {"ChannelTalkingStarted", "ChannelTalkingFinished"}


def test_nothing_goes_while_less_than_half_of_the_limit_waits():
    for kind in [*KNOWN_TYPES, "ChannelVarset", ""]:
        assert shed(kind, 0.49) is None


@pytest.mark.parametrize(
    ("fill", "gone"),
    [
        (0.5, {"ChannelVarset", "DeviceStateChanged"}),
        (0.74, {"ChannelVarset", "DeviceStateChanged"}),
        (0.75, {"ChannelVarset", "DeviceStateChanged", *SPEECH}),
        (1.0, {"ChannelVarset", "DeviceStateChanged", *SPEECH}),
    ],
)
def test_the_cheapest_go_first(fill, gone):
    assert {kind for kind in [*KNOWN_TYPES, "ChannelVarset", ""] if shed(kind, fill) is not None} == gone


def test_a_frame_without_a_type_is_kept_for_somebody_to_see():
    assert shed("", 0.99) is None


def at(second: int) -> str:
    return f"2026-11-22T02:00:{second:02d}.000+0000"


def event(kind: str, second: int, channel: str = "1.0", padding: int = 0) -> bytes:
    return json.dumps(
        {
            "type": kind,
            "timestamp": at(second),
            "channel": {"id": channel, "name": f"PJSIP/101-{channel}", "state": "x" * padding},
        }
    ).encode()


def filled(counters: Counters, share: float, limit: int = 100_000) -> FrameQueue:
    """A queue that is filled to this share."""
    frames = FrameQueue(counters, limit_bytes=limit)
    frames._pack_from = limit
    while frames.bytes_waiting < share * limit:
        frames.put(event("ChannelStateChange", 0, "9.9", padding=500))
    return frames


async def test_unused_event_types_are_left_out_without_a_mark():
    counters = Counters()
    frames = filled(counters, 0.5)
    depth = frames.depth
    frames.put(event("ChannelVarset", 1))
    assert frames.depth == depth
    assert counters.shed == {"unused": 1}


async def test_speech_left_out_is_noted_once_a_channel_where_the_first_would_have_stood(capsys):
    counters = Counters()
    frames = filled(counters, 0.75)
    depth = frames.depth
    for second in (1, 2, 3):
        frames.put(event("ChannelTalkingStarted", second, "1.0"))
        frames.put(event("ChannelTalkingFinished", second, "2.0"))
    frames.put(event("ChannelHold", 4, "1.0"))
    assert counters.shed == {"speech": 6}
    taken = [decode(frame.raw) for frame in frames.take(10_000)[depth:]]
    assert taken[:2] == [
        Shed(
            timestamp="2026-11-22T02:00:01.000+0000", channel_id="1.0", until="2026-11-22T02:00:03.000+0000"
        ),
        Shed(
            timestamp="2026-11-22T02:00:01.000+0000", channel_id="2.0", until="2026-11-22T02:00:03.000+0000"
        ),
    ]
    assert type(taken[2]).__name__ == "ChannelHold"
    assert len(taken) == 3
    assert frames.bytes_waiting == frames.depth == 0
    said = capsys.readouterr().out
    assert "ari_shedding" in said
    assert "speech=1" in said


async def test_all_goes_from_an_overflow_on_until_the_lists_are_asked_for():
    counters = Counters()
    frames = filled(counters, 0.9)
    last = event("ChannelHold", 7)
    frames.put(last)
    depth = frames.depth
    assert frames.ignore() == last
    assert frames.ignore() == last
    assert counters.overflows == 1
    assert frames.overflowed.is_set()
    frames.put(event("ChannelDestroyed", 8))
    assert counters.shed == {"all": 1}
    frames.take(10_000)
    # Worked off, but what was missed is not known yet.
    frames.put(event("ChannelDestroyed", 9))
    assert counters.shed == {"all": 2}
    frames.hold()
    assert not frames.overflowed.is_set()
    frames.put(event("ChannelDestroyed", 10))
    frames.release(b"snapshot")
    assert [frame.raw for frame in frames.take(10)] == [b"snapshot", event("ChannelDestroyed", 10)]
    assert depth


def test_packed_frames_come_out_as_they_went_in():
    frames = [Frame(b"%d" % number, number / 7) for number in range(1000)]
    packed = pack(frames)
    assert packed.count == 1000
    assert unpack(packed) == frames


async def test_a_long_backlog_takes_a_fifth_of_its_bytes_and_comes_out_in_order(monkeypatch):
    """Ten thousand real events behind a daemon that stands still; one in three is taken meanwhile."""
    monkeypatch.setattr(frames_module, "PACK_FROM_BYTES", 200_000)
    counters = Counters()
    frames = FrameQueue(counters)
    sent = list(itertools.islice(interleaved(400, 60), 10_000))
    got: list[bytes] = []
    worst = 0.0
    for number, raw in enumerate(sent):
        began = time.thread_time()
        frames.put(raw)
        worst = max(worst, time.thread_time() - began)
        if number % 3 == 0 and number > 6_000:
            got += [frame.raw for frame in frames.take(1)]
    waiting = frames.bytes_waiting
    assert frames.depth == len(sent) - len(got)
    assert waiting < 0.2 * sum(map(len, sent))
    while batch := frames.take(256):
        got += [frame.raw for frame in batch]
    assert got == sent
    assert (frames.bytes_waiting, frames.depth) == (0, 0)
    assert worst < 0.1  # what Asterisk waits for its reader


def test_a_call_whose_speech_was_left_out_says_so_and_another_does_not():
    tracker = Tracker(Config())
    records: list[CallRecord] = []
    dropped = ""
    for raw in interleaved(2, 1):
        decoded = decode(raw)
        assert decoded is not None
        if isinstance(decoded, ChannelTalkingStarted | ChannelTalkingFinished) and not records:
            if not dropped:
                dropped = decoded.timestamp
                mark = Shed(timestamp=dropped, channel_id=decoded.channel.id, until=dropped)
                tracker.handle(mark)
            continue
        records += [fact.record for fact in tracker.handle(decoded) if isinstance(fact, CallEnded)]
    first, second = records
    assert not first.complete
    assert first.unobserved[0].from_ == f"{dropped[:-5]}Z"
    assert second.complete


def test_a_mark_for_a_channel_nobody_knows_changes_nothing():
    tracker = Tracker(Config())
    assert not tracker.handle(Shed(timestamp=at(1), channel_id="1.0"))
    assert tracker.open_legs == 0
