"""Cost per event while 10,000 calls are on, beside the cost while 10 are."""

from __future__ import annotations

import gc
import statistics
import time

from callsteward.ari import events
from callsteward.calls.tracker import Tracker
from callsteward.config import Config
from callsteward.daemon.core import spare_the_collector
from tests.bench.load import interleaved, recorded_calls
from tests.bench.memory import talking
from tests.bench.row import Row

FEW, MANY = 10, 10_000
MEASURED_CALLS = 2_000


def _with_live(count: int) -> Tracker:
    recorded = recorded_calls()
    tracker = Tracker(Config())
    for number in range(1_000_000, 1_000_000 + count):
        for line in talking(number, recorded):
            event = events.decode(line)
            if event is not None:
                tracker.handle(event)
    return tracker


def _cost(tracker: Tracker, stream: list[events.Event]) -> float:
    began = time.process_time()
    for event in stream:
        tracker.handle(event)
    return (time.process_time() - began) / len(stream)


def measure(rounds: int) -> Row:
    spare_the_collector()
    few, many, ratios = [], [], []
    small, large = _with_live(FEW), _with_live(MANY)
    for turn in range(rounds):
        # A channel id never comes again, so each round has ids of its own.
        frames = interleaved(MEASURED_CALLS, FEW, turn * MEASURED_CALLS)
        stream = [event for event in map(events.decode, frames) if event is not None]
        gc.collect()
        few.append(_cost(small, stream))
        many.append(_cost(large, stream))
        ratios.append(many[-1] / few[-1])
    ratio = statistics.median(ratios)
    return Row(
        f"cost per event at {MANY:,} live calls",
        f"{statistics.median(many) * 1e6:.1f} µs",
        f"{statistics.median(few) * 1e6:.1f} µs at {FEW}",
        f"{ratio:.2f}",
        "at most 1.30",
        ratio <= 1.3,
    )
