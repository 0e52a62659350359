"""Frames for the benchmarks: the recorded real calls, as often as wanted, each copy with ids of its own.

What the daemon asks Asterisk to leave out is left out here too, so a frame is one it would really get.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator
from pathlib import Path

from callsteward.ari.events import epoch_ms, timestamp
from callsteward.ari.link import UNNEEDED_EVENTS

CAPTURES = Path(__file__).parents[1] / "replay" / "captures"
_CHANNEL_ID = re.compile(rb'"(1\d{9})\.(\d+)"')
_CHANNEL_NAME = re.compile(rb"-([0-9a-f]{8})(?=[\";])")
_STAMP = re.compile(rb'"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d{4})"')
_MEAN_CALL_MS = 16_000
# More channels than any recording has.
_SERIALS = 256
_BRIDGE_ID = re.compile(rb"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})")


def wanted(line: bytes) -> bool:
    """True if the daemon's event filter and subscriptions let a recorded frame through."""
    left_out = (*UNNEEDED_EVENTS, "DeviceStateChanged")
    return not any(f'"type":"{kind}"'.encode() in line for kind in left_out)


def recorded_calls() -> list[list[bytes]]:
    """The frames of each capture."""
    return [
        [line for line in path.read_bytes().splitlines() if wanted(line)]
        for path in sorted(CAPTURES.glob("*.jsonl"))
    ]


def began_ms(call: list[bytes]) -> int:
    """When a recorded call's first frame was stamped."""
    found = _STAMP.search(call[0])
    moment = None if found is None else epoch_ms(found.group(1).decode())
    if moment is None:
        message = "a recorded frame without a timestamp"
        raise ValueError(message)
    return moment


def copy_of(call: list[bytes], number: int, shift_ms: int = 0) -> list[bytes]:
    """The same call as another one: channel ids, names and bridge ids are its own, all stamps shifted."""
    tag = b"%08x" % number

    def shifted(match: re.Match[bytes]) -> bytes:
        moment = epoch_ms(match.group(1).decode())
        assert moment is not None
        return b'"' + timestamp(moment + shift_ms).encode() + b'"'

    def named(match: re.Match[bytes]) -> bytes:
        # Eight hexadecimal digits, as chan_pjsip's and a Local channel's serials have.
        return b"-%08x" % (number * _SERIALS + int(match.group(1), 16) % _SERIALS)

    copied = []
    for line in call:
        changed = _CHANNEL_ID.sub(rb'"\g<1>%d.\2"' % number, line)
        changed = _CHANNEL_NAME.sub(named, changed)
        changed = _BRIDGE_ID.sub(rb"\g<1>" + tag, changed)
        copied.append(_STAMP.sub(shifted, changed))
    return copied


def interleaved(calls: int, at_once: int, first_number: int = 0) -> Iterator[bytes]:
    """The frames of many calls in the order of their stamps, about `at_once` of them on at any time."""
    recorded = recorded_calls()
    every_ms = _MEAN_CALL_MS // at_once
    first = began_ms(recorded[0])

    def stamped(number: int) -> Iterator[tuple[int, int, bytes]]:
        call = recorded[number % len(recorded)]
        copied = copy_of(call, first_number + number, first + number * every_ms - began_ms(call))
        for line in copied:
            yield began_ms([line]), number, line

    waiting = iter(range(calls))
    on: list[tuple[int, int, bytes, Iterator[tuple[int, int, bytes]]]] = []
    following = next(waiting, None)
    while on or following is not None:
        while following is not None and (not on or on[0][0] >= first + following * every_ms):
            frames = stamped(following)
            heapq.heappush(on, (*next(frames), frames))
            following = next(waiting, None)
        _, _, line, frames = heapq.heappop(on)
        yield line
        upcoming = next(frames, None)
        if upcoming is not None:
            heapq.heappush(on, (*upcoming, frames))
