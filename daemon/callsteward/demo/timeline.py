"""The shipped captures, overlaid as if their calls came in now."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from importlib import resources

from callsteward.ari.events import epoch_ms, timestamp
from callsteward.ari.stamp import stamp

# Each call starts this long after the one before: nine calls within half a minute, several at a time.
STAGGER_MS = 700
# The longest first.
CAPTURES = (
    "hold2",
    "blind",
    "freepbx_local",
    "queue_second",
    "netdrop",
    "client_bye",
    "outbound",
    "queue_abandon",
    "early_greeting",
)
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d{4}")


def frames(start_ms: int | None = None) -> list[str]:
    """All captures' events in order of their new times; the first one at `start_ms`, or now."""
    start = time.time_ns() // 1_000_000 if start_ms is None else start_ms
    laid = [
        item
        for index, name in enumerate(CAPTURES)
        for item in _moved(_capture(name), start + index * STAGGER_MS)
    ]
    # Stable: events of one call keep their order where their stamps are inverted by a millisecond.
    laid.sort(key=lambda item: item[0])
    return [frame for _, frame in laid]


def _capture(name: str) -> list[str]:
    file = resources.files("callsteward.demo") / "captures" / f"{name}.jsonl"
    return file.read_text(encoding="utf-8").splitlines()


def _moved(capture: list[str], start_ms: int) -> Iterator[tuple[int, str]]:
    """A capture's frames with every time in them moved, each with the latest moment so far."""
    shift = start_ms - (epoch_ms(stamp(capture[0])[1]) or 0)

    def move(found: re.Match[str]) -> str:
        return timestamp((epoch_ms(found[0]) or 0) + shift)

    latest = 0
    for frame in capture:
        moved = _STAMP.sub(move, frame)
        latest = max(latest, epoch_ms(stamp(moved)[1]) or 0)
        yield latest, moved
