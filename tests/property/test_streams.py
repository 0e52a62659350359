"""Whatever happens to a stream on its way, the tracker survives, leaks no call, and ends empty."""

from __future__ import annotations

import functools
import random
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callsteward.ari import events
from callsteward.calls.tracker import Tracker
from callsteward.config import Config
from callsteward.record.call import CallRecord, encode
from callsteward.record.facts import Alert, CallEnded
from tests.replay.streams import CAPTURES, STREAMS

ALL = [*CAPTURES, *STREAMS]
CONFIG = Config()


@functools.cache
def stream(path: Path) -> tuple[events.Event, ...]:
    decoded = (events.decode(line) for line in path.read_bytes().splitlines())
    return tuple(event for event in decoded if event is not None)


def follow(tracker: Tracker, stream: Iterable[events.Event]) -> list[CallRecord]:
    return [fact.record for event in stream for fact in tracker.handle(event) if isinstance(fact, CallEnded)]


def finish(tracker: Tracker) -> list[CallRecord]:
    records = [fact.record for fact in tracker.finish() if isinstance(fact, CallEnded)]
    assert tracker.open_calls == 0
    assert tracker.open_legs == 0
    assert tracker.next_deadline_ms is None
    return records


def check_records(records: list[CallRecord]) -> None:
    """Check rules that hold for any record, however little of its call was observed."""
    assert len({record.call_id for record in records}) == len(records)
    for record in records:
        encode(record)
        for duration in (
            record.wait_s,
            record.answer_latency_s,
            record.talk_s,
            record.hold_s,
            record.duration_s,
            *(hold.duration_s for hold in record.holds),
            *(silence.duration_s for silence in record.silences or ()),
        ):
            assert duration is None or duration >= 0
        assert record.complete == (record.unobserved == ())


@pytest.mark.parametrize("path", ALL, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_suffix_ends_with_no_open_call(path: Path) -> None:
    whole = stream(path)
    complete = {record.call_id for record in follow(Tracker(CONFIG), whole) if record.complete}
    for start in range(1, len(whole)):
        tracker = Tracker(CONFIG)
        records = follow(tracker, whole[start:])
        assert tracker.open_legs == 0, f"from event {start} on"
        assert finish(tracker) == []
        check_records(records)
        created = {event.channel.id for event in whole[start:] if isinstance(event, events.ChannelCreated)}
        for record in records:
            # Only a call whose first channel was seen to begin may say that it was seen whole.
            assert not record.complete or (record.call_id in complete and record.call_id in created)


@pytest.mark.parametrize("path", ALL, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_prefix_gives_each_open_call_an_incomplete_record(path: Path) -> None:
    whole = stream(path)
    for end in range(len(whole)):
        tracker = Tracker(CONFIG)
        records = follow(tracker, whole[:end])
        on = tracker.open_calls
        last = finish(tracker)
        assert len(last) <= on
        check_records(records + last)
        for record in last:
            assert not record.complete or record.ended_at is not None


def gone(damaged: Iterable[events.Event]) -> set[str]:
    return {event.channel.id for event in damaged if isinstance(event, events.ChannelDestroyed)}


@pytest.mark.parametrize("path", ALL, ids=lambda path: f"{path.parent.name}/{path.stem}")
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), damages=st.integers(1, 12))
def test_lost_doubled_and_swapped_events_leak_no_call(path: Path, seed: int, damages: int) -> None:
    damaged = list(stream(path))
    dice = random.Random(seed)
    for _ in range(damages):
        here, there = dice.randrange(len(damaged)), dice.randrange(len(damaged))
        damage = dice.randrange(3)
        if damage == 0:
            damaged[here], damaged[there] = damaged[there], damaged[here]
        elif damage == 1:
            damaged.insert(there, damaged[here])
        elif len(damaged) > 1:
            del damaged[here]
    tracker = Tracker(CONFIG)
    records = follow(tracker, damaged)
    channels = {event.channel.id for event in stream(path) if isinstance(event, events.ChannelCreated)}
    # A channel whose end was lost cannot be known to be gone; every other one is.
    assert tracker.open_legs <= len(channels - gone(damaged))
    check_records(records)
    # Asterisk's own list says it all: nothing is left.
    nothing = events.Snapshot(timestamp=events.timestamp(tracker.last_event_ms or 0))
    records += follow(tracker, [nothing])
    assert tracker.open_legs == 0
    assert finish(tracker) == []
    check_records(records)


@settings(max_examples=60, deadline=None)
@given(
    cuts=st.lists(st.tuples(st.sampled_from(ALL), st.integers(0, 40), st.integers(0, 200)), max_size=6),
    seed=st.integers(0, 2**32),
)
def test_streams_mixed_into_each_other_leak_no_call(cuts: list[tuple[Path, int, int]], seed: int) -> None:
    """Ids of different recordings can meet; each part keeps its own order."""
    parts = [list(stream(path)[start : start + length]) for path, start, length in cuts]
    dice = random.Random(seed)
    tracker = Tracker(CONFIG)
    while parts := [part for part in parts if part]:
        follow(tracker, [dice.choice(parts).pop(0)])
    finish(tracker)


@pytest.mark.parametrize("path", ALL, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_alerts_come_once_and_at_the_same_moment_however_often_time_is_told(path: Path) -> None:
    """Live, time passes between events; in a replay it jumps. The facts are the same."""
    whole = stream(path)

    def alerts(step_ms: int | None) -> list[Alert]:
        tracker, found = Tracker(CONFIG), []
        now: int | None = None
        for event in whole:
            ms = events.epoch_ms(event.timestamp)
            assert ms is not None
            while step_ms is not None and now is not None and now + step_ms < ms:
                now += step_ms
                found += [fact for fact in tracker.advance(now) if isinstance(fact, Alert)]
            now = max(ms, now or 0)
            found += [fact for fact in tracker.handle(event) if isinstance(fact, Alert)]
        return found

    jumping = alerts(None)
    assert alerts(10) == jumping
    keys = [(alert.call_id, alert.rule, alert.operator, alert.since_ms) for alert in jumping]
    assert len(set(keys)) == len(keys)
