"""Memory per live call at 10,000 of them, all in the middle of their talk."""

from __future__ import annotations

import gc
import tracemalloc

from callsteward.ari import events
from callsteward.calls.tracker import Tracker
from callsteward.config import Config
from tests.bench.load import copy_of, recorded_calls
from tests.bench.row import Row

LIVE_CALLS = 10_000
LIMIT_BYTES = 8 * 1024


def talking(number: int, recorded: list[list[bytes]]) -> list[bytes]:
    """A copy of a call up to just before somebody hangs up (or the client gives up)."""
    call = recorded[number % len(recorded)]
    end = next(index for index, line in enumerate(call) if b'"type":"ChannelHangupRequest"' in line)
    return copy_of(call[:end], number)


def measure() -> Row:
    recorded = recorded_calls()
    tracker = Tracker(Config())
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(LIVE_CALLS):
        for line in talking(number, recorded):
            event = events.decode(line)
            if event is not None:
                tracker.handle(event)
    gc.collect()
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert tracker.open_calls == LIVE_CALLS
    per_call = used / LIVE_CALLS
    return Row(
        f"memory per live call at {LIVE_CALLS:,}",
        f"{per_call / 1024:.1f} KiB",
        f"{LIMIT_BYTES / 1024:.0f} KiB",
        f"{per_call / LIMIT_BYTES:.2f}",
        "at most 1.00",
        per_call <= LIMIT_BYTES,
    )
