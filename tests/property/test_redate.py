"""Asterisk's clock set in the middle of anything: the same facts, dated by the new clock, spans unchanged."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callsteward.ari import events
from callsteward.ari.marks import clock_set
from callsteward.calls.tracker import Tracker
from callsteward.config import Config, RatingSettings, Tags
from callsteward.record.facts import Fact
from tests.bench.load import copy_of
from tests.property.test_compaction import check, lines, mixed, spoken_in, with_breaks
from tests.replay.streams import CAPTURES, STREAMS

ALL = [*CAPTURES, *STREAMS]
HOUR = 3_600_000
CONFIG = Config(tags=Tags(enabled=True, wrap_up_s=3600), rating=RatingSettings(enabled=True))
_ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(\+0000|Z)")


def shifted(text: str, by_ms: int) -> str:
    """The same with every moment moved."""

    def move(found: re.Match[str]) -> str:
        ms = events.epoch_ms(found[0])
        assert ms is not None
        return events.timestamp(ms + by_ms).removesuffix("+0000") + found[1]

    return _ISO.sub(move, text)


def seen(frames: Iterable[bytes]) -> set[str]:
    """The ids of everything that is named."""
    return {found for frame in frames for found in re.findall(r'"id":"([^"]+)"', frame.decode())}


def moved(frame: bytes, by_ms: int, known: set[str]) -> bytes:
    """An event after the clock was set; a channel that was there before has the old time of its beginning."""

    def walk(value: Any) -> Any:
        if isinstance(value, list):
            return [walk(item) for item in value]
        if not isinstance(value, dict):
            return value
        body = {key: walk(item) for key, item in value.items()}
        if "creationtime" in body and body.get("id") not in known:
            body["creationtime"] = shifted(body["creationtime"], by_ms)
        return body

    body = walk(json.loads(frame))
    for name in ("timestamp", "gap_from", "lost", "booted", "until", "since"):
        if name in body:
            body[name] = shifted(body[name], by_ms)
    return json.dumps(body, separators=(",", ":")).encode()


def told(facts: Iterable[Fact], by_ms: int = 0) -> list[str]:
    """Facts as text, their moments moved."""
    found = []
    for fact in facts:
        body: dict[str, Any] = msgspec.to_builtins(fact)
        for name in ("at_ms", "since_ms"):
            if isinstance(body.get(name), int):
                body[name] += by_ms
        found.append(shifted(f"{type(fact).__name__} {json.dumps(body)}", by_ms))
    return found


def follow(tracker: Tracker, frames: Iterable[bytes]) -> list[Fact]:
    facts: list[Fact] = []
    for frame in frames:
        event = events.decode(frame)
        if event is not None:
            facts += tracker.handle(event)
    return facts


def hold_against(whole: Sequence[bytes], cut: int, by_ms: int) -> None:
    """The clock set by this much before frame `cut`."""
    undisturbed, tracker = Tracker(CONFIG), Tracker(CONFIG)
    before = follow(undisturbed, whole[:cut])
    assert told(follow(tracker, whole[:cut])) == told(before)
    known = seen(whole[:cut])
    after = [*follow(undisturbed, whole[cut:]), *undisturbed.finish()]
    set_frames = [moved(frame, by_ms, known) for frame in whole[cut:]]
    found = [*follow(tracker, [clock_set(by_ms), *set_frames]), *tracker.finish()]
    assert told(found) == told(after, by_ms)


@pytest.mark.parametrize("path", ALL, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_clock_set_after_any_event_changes_only_the_dates_of_facts(path: Path) -> None:
    whole = lines(path)
    for number, cut in enumerate(range(0, len(whole) + 1, max(1, len(whole) // 12))):
        hold_against(whole, cut, HOUR if number % 2 else -HOUR)


@settings(max_examples=40, deadline=None)
@given(
    path=st.sampled_from(ALL),
    seed=st.integers(0, 1 << 32),
    cut=st.integers(0, 1 << 20),
    by_ms=st.integers(-2 * HOUR, 2 * HOUR),
)
def test_calls_in_doubt_are_dated_anew_as_well(path: Path, seed: int, cut: int, by_ms: int) -> None:
    """A connection broke off before or after the clock was set; what that may cost is told by the new one."""
    whole = with_breaks(lines(path), random.Random(seed), most_lost=0)
    hold_against(whole, cut % (len(whole) + 1), by_ms)


@settings(max_examples=40, deadline=None)
@given(
    parts=st.lists(st.sampled_from(ALL), min_size=2, max_size=4),
    seed=st.integers(0, 1 << 32),
    by_ms=st.integers(-2 * HOUR, 2 * HOUR),
    cuts=st.lists(st.integers(0, 1 << 20), max_size=3),
)
def test_a_journal_with_a_clock_that_was_set_can_be_compacted(
    parts: list[Path], seed: int, by_ms: int, cuts: list[int]
) -> None:
    """Many calls at once, some over; what the compacted journal leads to is what the whole one leads to."""
    dice = random.Random(seed)
    copies = [copy_of(list(lines(path)), number) for number, path in enumerate(parts)]
    whole = mixed([[*spoken_in(copy, dice)] for copy in copies], 0, dice)
    place = dice.randrange(len(whole))
    known = seen(whole[:place])
    whole = [*whole[:place], clock_set(by_ms), *(moved(frame, by_ms, known) for frame in whole[place:])]
    end = dice.randrange(len(whole) + 1)
    check(whole[:end], whole[end:], cuts=[cut % (end + 1) for cut in cuts], config=CONFIG)
