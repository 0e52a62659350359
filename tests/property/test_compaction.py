"""A journal compacted anywhere, however often, leads to the very records that the whole one leads to."""

from __future__ import annotations

import asyncio
import functools
import json
import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
import structlog
from hypothesis import example, given, settings
from hypothesis import strategies as st

from callsteward.ari import events
from callsteward.ari.census import Census
from callsteward.ari.frames import FrameQueue
from callsteward.ari.marks import advanced, given_up, interrupted, snapshot_frame
from callsteward.calls.tracker import Tracker
from callsteward.clock import EventClock
from callsteward.config import Config, RatingSettings, Tags
from callsteward.health import Counters
from callsteward.journal import compaction
from callsteward.journal.compaction import compact
from callsteward.journal.keeping import Keeping
from callsteward.record.call import CallRecord, encode
from callsteward.record.facts import CallEnded, Fact
from callsteward.stream import pump as pump_module
from callsteward.stream.listening import Listening
from callsteward.stream.pump import Pump
from tests.bench.load import copy_of, interleaved
from tests.replay.streams import CAPTURES, STREAMS

ALL = [*CAPTURES, *STREAMS]
NAMED = {path.stem: path for path in ALL}
CONFIG = Config()
LISTENS = Config(tags=Tags(enabled=True), rating=RatingSettings(enabled=True))
# Codes dialled on a phone, a client who comes to the rating, what is nobody's.
SAID: list[tuple[str, dict[str, str]]] = [
    ("callsteward-tag", {"tag": "ticket", "value": "T1"}),
    ("callsteward-tag", {"tag": "dropped"}),
    ("callsteward", {"state": "rating"}),
    ("other", {}),
]
NO_LIMIT = 1 << 40


class _Left:
    """A journal that an earlier process left, held in memory."""

    size = 0
    stalled_s = 0.0

    def __init__(self, frames: Sequence[bytes]) -> None:
        self._frames = frames

    def left(self) -> Iterator[bytes]:
        return iter(self._frames)

    def record_left(self, raw: bytes) -> None:
        pass

    async def tidy(self, *, calls_on: bool) -> None:
        pass


class _Nowhere:
    def publish(self, fact: Fact) -> None:
        pass


def rerun(frames: Sequence[bytes], config: Config = CONFIG) -> tuple[list[CallRecord], Tracker, str]:
    """A journal run again by the daemon's own code: records, the tracker as it goes on, the last stamp."""
    tracker = Tracker(config)
    saved: list[CallRecord] = []

    async def save(records: Sequence[CallRecord]) -> list[CallRecord]:
        saved.extend(records)
        return list(records)

    async def follow() -> str:
        counters = Counters()
        pump = Pump(
            frames=FrameQueue(counters),
            tracker=tracker,
            keeping=cast("Keeping", _Left(frames)),
            save=save,
            outlet=_Nowhere(),
            census=Census(),
            clock=EventClock(),
            counters=counters,
        )
        left = await pump.rerun()
        assert counters.tracker_errors == 0
        return left.last

    last = asyncio.run(follow())
    return saved, tracker, last


def compacted(frames: Sequence[bytes], limit_bytes: int = NO_LIMIT) -> list[bytes]:
    return list(compact(lambda: frames, limit_bytes=limit_bytes))


def ended(tracker: Tracker, frames: Iterable[bytes]) -> list[bytes]:
    """The records of what follows the re-run, to the end of the stream."""
    facts: list[Any] = []
    for frame in frames:
        event = events.decode(frame)
        if event is not None:
            facts += tracker.handle(event)
    facts += tracker.finish()
    return [encode(fact.record) for fact in facts if isinstance(fact, CallEnded)]


def check(
    before: Sequence[bytes], after: Sequence[bytes], *, cuts: Sequence[int] = (), config: Config = CONFIG
) -> int:
    """Compact `before` at each of `cuts` and at its end; returns how many bytes went."""
    journal: list[bytes] = []
    done = 0
    for cut in sorted({*cuts, len(before)}):
        journal += before[done:cut]
        # As the daemon does.
        journal += Listening(rerun(journal, config)[1]).before_compacting()
        journal = compacted(journal)
        done = cut
    whole_records, whole, whole_last = rerun(before, config)
    left_records, left, left_last = rerun(journal, config)
    on = [encode(record) for record in whole_records]
    kept = [encode(record) for record in left_records]
    # Of the calls that had ended some may be left; those are the same, in the same order.
    rest = iter(on)
    assert all(record in rest for record in kept)
    assert left.open_calls == whole.open_calls
    assert left.open_legs == whole.open_legs
    assert left_last == whole_last
    assert left.next_deadline_ms == whole.next_deadline_ms
    assert set(left.listened()) == set(whole.listened())
    # Recordings of different hours are mixed: what a code could no longer mean it cannot mean again.
    stamps = (events.epoch_ms(json.loads(frame).get("timestamp", "")) or 0 for frame in before)
    since = max(stamps, default=0) - config.tags.wrap_up_s * 1000
    assert {call for call in whole.left_calls() if call.at_ms >= since} <= set(left.left_calls())
    assert ended(left, after) == ended(whole, after)
    return sum(map(len, before)) - sum(map(len, journal))


def mixed(streams: list[list[bytes]], damages: int, dice: random.Random) -> list[bytes]:
    """The streams as one, each begun after the one before, with this many events lost or late."""
    whole: list[bytes] = []
    while streams := [stream for stream in streams if stream]:
        # Mostly from the first: so calls end while others go on.
        whole.append(streams[min(int(dice.expovariate(1.5)), len(streams) - 1)].pop(0))
    for _ in range(damages):
        here, there = dice.randrange(len(whole)), dice.randrange(len(whole))
        frame = whole.pop(here)
        if dice.random() < 0.6:
            whole.insert(min(there, here + 30), frame)
    return whole


def spoken_in(frames: Iterable[bytes], dice: random.Random) -> Iterator[bytes]:
    """The same with a UserEvent() of a channel after one event out of twelve."""
    for frame in frames:
        yield frame
        event = json.loads(frame)
        if "channel" not in event or dice.random() > 1 / 12:
            continue
        name, fields = dice.choice(SAID)
        said = {"type": "ChannelUserevent", "eventname": name, "userevent": fields}
        yield json.dumps(said | {key: event[key] for key in ("timestamp", "channel")}).encode()


def with_breaks(frames: Sequence[bytes], dice: random.Random, most_lost: int = 3) -> list[bytes]:
    """The same over a connection that broke some times, at times with what was on its way."""
    whole = list(frames)
    for _ in range(dice.randrange(1, 4)):
        at = dice.randrange(1, len(whole))
        lost = dice.randrange(most_lost + 1)
        stamps = [json.loads(frame).get("timestamp") for frame in (whole[at - 1], *whole[at + lost :][:1])]
        if all(stamps) and len(stamps) == 2:
            # What the disk did not take is gone for certain.
            whole[at : at + lost] = [dice.choice((interrupted, given_up))(stamps[0], stamps[1])]
    return whole


@functools.cache
def lines(path: Path) -> tuple[bytes, ...]:
    return tuple(path.read_bytes().splitlines())


@functools.cache
def load() -> tuple[bytes, ...]:
    return tuple(interleaved(60, 6))


@pytest.fixture(autouse=True, scope="module")
def no_grace() -> Iterator[None]:
    """Everything that may go goes at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compaction, "GRACE_MS", 0)
        patch.setattr(pump_module, "log", structlog.wrap_logger(None, processors=[_drop]))
        yield


def _drop(_logger: Any, _method: str, _event: Any) -> Any:
    raise structlog.DropEvent


@pytest.mark.parametrize("path", ALL, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_compacted_after_any_event_the_calls_in_progress_end_the_same(path: Path) -> None:
    whole = lines(path)
    for cut in range(0, len(whole) + 1, max(1, len(whole) // 20)):
        check(whole[:cut], whole[cut:])


@settings(max_examples=40, deadline=None)
@given(
    end=st.integers(0, 1 << 20),
    cuts=st.lists(st.integers(0, 1 << 20), max_size=4),
    seed=st.integers(0, 1 << 32),
)
def test_many_calls_at_once_compacted_at_random_moments(end: int, cuts: list[int], seed: int) -> None:
    whole = list(load())
    end %= len(whole) + 1
    dice = random.Random(seed)
    for _ in range(dice.randrange(4)):
        # Marks of time that passed, as the daemon writes them.
        at = dice.randrange(end + 1)
        stamp = events.decode(whole[min(at, len(whole) - 1)])
        ms = events.epoch_ms(stamp.timestamp) if stamp is not None else None
        if ms is not None:
            whole.insert(at, advanced(ms))
    check(whole[:end], whole[end:], cuts=[cut % (end + 1) for cut in cuts])


@settings(max_examples=40, deadline=None)
@given(
    parts=st.lists(st.sampled_from(ALL), min_size=2, max_size=5),
    seed=st.integers(0, 1 << 32),
    damages=st.integers(0, 8),
)
# The last that the tracker heeds before the end is of a call that is over, and so goes.
@example(parts=[NAMED["blonde"], NAMED["queue_no_members_abandon"]], seed=208014, damages=7)
def test_mixed_and_damaged_streams(parts: list[Path], seed: int, damages: int) -> None:
    """Copies of recordings under ids of their own, one begun after the other, with events lost or late."""
    dice = random.Random(seed)
    whole = mixed([copy_of(list(lines(path)), number) for number, path in enumerate(parts)], damages, dice)
    end = dice.randrange(len(whole) + 1)
    check(whole[:end], whole[end:], cuts=[dice.randrange(end + 1) for _ in range(3)])


@settings(max_examples=60, deadline=None)
@given(
    parts=st.lists(st.sampled_from(ALL), min_size=2, max_size=5),
    seed=st.integers(0, 1 << 32),
    damages=st.integers(0, 4),
)
def test_mixed_streams_over_a_connection_that_broke(parts: list[Path], seed: int, damages: int) -> None:
    """The calls that were on are in doubt, each for itself: whether the others' frames are kept or not."""
    dice = random.Random(seed)
    copies = [copy_of(list(lines(path)), number) for number, path in enumerate(parts)]
    whole = with_breaks(mixed(copies, damages, dice), dice)
    end = dice.randrange(len(whole) + 1)
    check(whole[:end], whole[end:], cuts=[dice.randrange(end + 1) for _ in range(3)])


@settings(max_examples=40, deadline=None)
@given(
    parts=st.lists(st.sampled_from(ALL), min_size=2, max_size=5),
    seed=st.integers(0, 1 << 32),
    damages=st.integers(0, 8),
    config=st.sampled_from([CONFIG, LISTENS]),
)
# Codes dialled on a phone that is in another call, too; nothing is lost or late.
@example(parts=[NAMED["blind_noanswer_return"], NAMED["blind"]], seed=397, damages=0, config=LISTENS)
def test_mixed_streams_in_which_the_dialplan_says_things(
    parts: list[Path], seed: int, damages: int, config: Config
) -> None:
    """As above; each that is said may be of any channel at any time, and nobody need listen."""
    dice = random.Random(seed)
    copies = [copy_of(list(lines(path)), number) for number, path in enumerate(parts)]
    whole = mixed([[*spoken_in(copy, dice)] for copy in copies], damages, dice)
    end = dice.randrange(len(whole) + 1)
    cuts = [dice.randrange(end + 1) for _ in range(3)]
    check(whole[:end], whole[end:], cuts=cuts, config=config)


@settings(max_examples=30, deadline=None)
@given(gap_at=st.integers(0, 1 << 20), length=st.integers(1, 80), end=st.integers(0, 1 << 20))
# Limits that run out in the gap: a journal compacted right behind the snapshot ends none of them.
@example(gap_at=46, length=44, end=1)
@example(gap_at=104, length=79, end=1)
def test_a_gap_and_its_snapshot(gap_at: int, length: int, end: int) -> None:
    """Events missed in between, then Asterisk's own list: the spans nobody saw are the same, too."""
    whole = list(load())
    gap_at %= len(whole) - 1
    missed = whole[gap_at : gap_at + length]
    census = {}
    stamp = ""
    for frame in whole[: gap_at + len(missed)]:
        event = events.decode(frame)
        if isinstance(event, events.ChannelCreated):
            census[event.channel.id] = event.channel
        elif isinstance(event, events.ChannelDestroyed):
            census.pop(event.channel.id, None)
        if event is not None:
            stamp = event.timestamp
    before = events.decode(whole[max(0, gap_at - 1)])
    found = events.Snapshot(
        timestamp=stamp,
        channels=tuple(census.values()),
        gap_from=before.timestamp if before is not None else "",
    )
    whole[gap_at : gap_at + length] = [snapshot_frame(found)]
    end = gap_at + end % (len(whole) - gap_at)
    check(whole[:end], whole[end:], cuts=[gap_at, gap_at + 1] if gap_at < end else [])


def test_the_frames_of_calls_that_are_over_go() -> None:
    whole = load()
    removed = check(whole, [])
    assert removed > 0.95 * sum(map(len, whole))


def test_a_journal_over_the_limit_loses_the_oldest_of_its_longest_thread_and_its_call_says_so() -> None:
    hold = list(lines(next(path for path in STREAMS if path.stem == "dial_hold_twice")))
    whole = hold[: len(hold) * 3 // 4]
    limit = sum(map(len, compacted(whole))) // 2
    left = compacted(whole, limit)
    assert sum(map(len, left)) < 1.3 * limit  # the marks come on top
    (record,) = ended(rerun(left)[1], hold[len(whole) :])
    assert b'"complete":false' in record
    assert b'"complete":true' in ended(rerun(whole)[1], hold[len(whole) :])[0]


def test_ended_channels_are_remembered_so_that_a_late_event_opens_no_call() -> None:
    stream = list(lines(next(path for path in CAPTURES if path.stem == "client_bye")))
    late = next(line for line in stream if b'"ChannelStateChange"' in line)
    left = compacted(stream)
    _, tracker, _ = rerun([*left, late])
    assert tracker.open_legs == 0
