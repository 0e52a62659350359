"""Frames for the benchmarks: the recorded real calls, as often as wanted, each copy with ids of its own.

What the daemon asks Asterisk to leave out is left out here too, so a frame is one it would really get.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from callsteward.ari.link import UNNEEDED_EVENTS

CAPTURES = Path(__file__).parents[1] / "replay" / "captures"
_CHANNEL_ID = re.compile(rb'"(1\d{9})\.(\d+)"')
_CHANNEL_NAME = re.compile(rb"-([0-9a-f]{8})(?=[\";])")
_BRIDGE_ID = re.compile(rb"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})")


def wanted(line: bytes) -> bool:
    """Whether the daemon's event filter and subscriptions let a recorded frame through."""
    left_out = (*UNNEEDED_EVENTS, "DeviceStateChanged")
    return not any(f'"type":"{kind}"'.encode() in line for kind in left_out)


def recorded_calls() -> list[list[bytes]]:
    """The frames of each capture."""
    return [
        [line for line in path.read_bytes().splitlines() if wanted(line)]
        for path in sorted(CAPTURES.glob("*.jsonl"))
    ]


def copy_of(call: list[bytes], number: int) -> list[bytes]:
    """The same call as another one: channel ids, channel names and bridge ids are its own."""
    tag = b"%08x" % number
    copied = []
    for line in call:
        changed = _CHANNEL_ID.sub(rb'"\g<1>%d.\2"' % number, line)
        changed = _CHANNEL_NAME.sub(rb"-\g<1>" + tag, changed)
        copied.append(_BRIDGE_ID.sub(rb"\g<1>" + tag, changed))
    return copied


def interleaved(calls: int, at_once: int) -> Iterator[bytes]:
    """The frames of many calls, `at_once` of them on at any time, one frame of each in turn."""
    recorded = recorded_calls()
    numbers = iter(range(calls))

    def begin() -> list[bytes] | None:
        number = next(numbers, None)
        return None if number is None else copy_of(recorded[number % len(recorded)], number)[::-1]

    on = [call for call in (begin() for _ in range(at_once)) if call is not None]
    while on:
        still = []
        for call in on:
            yield call.pop()
            if call:
                still.append(call)
            elif (following := begin()) is not None:
                still.append(following)
        on = still
