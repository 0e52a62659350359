"""A steady stream of calls: the recorded ones over and over, at a rate per second, each shortened.

All times within a call are divided by HASTE, in its stamps as on the wire, so that the clock of the stream
is a true one and soon as many calls end as begin.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from callsteward.ari.events import epoch_ms, timestamp
from tests.bench.load import began_ms, recorded_calls

HASTE = 4
# The longest recording, shortened: by then the stream is steady.
RAMP_S = 12.0

# What differs between two copies of a call: channel ids, the ends of channel names and bridge ids, stamps.
_SLOT = re.compile(
    rb'"1\d{9}(?=\.\d+")'
    rb"|-[0-9a-f]{8}(?=[\";])"
    rb"|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    rb'|"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d{4}"'
)


@dataclass(frozen=True)
class Sent:
    """A frame: when it is due (seconds after the start of the stream), and its text."""

    due_s: float
    frame: str


class Recording:
    """One recorded call, taken apart once so that a copy of it costs little."""

    def __init__(self, frames: list[bytes]) -> None:
        self._began_ms = began_ms(frames)
        self._frames = [self._apart(frame) for frame in frames]

    def copy(self, number: int, start_ms: int, come_ms: int) -> Iterator[Sent]:
        """The call as number `number`, come `come_ms` after the stream's start at `start_ms`."""
        ids, tag = f"{number}", f"{number:08x}"
        base_ms = start_ms + come_ms
        latest_ms = 0
        for offset_ms, parts in self._frames:
            latest_ms = max(latest_ms, offset_ms)
            text = "".join(
                part
                if isinstance(part, str)
                else f'"{timestamp(base_ms + part)}"'
                if isinstance(part, int)
                else part[0] + (ids if part[1] else tag)
                for part in parts
            )
            yield Sent((come_ms + latest_ms) / 1000, text)

    def _apart(self, frame: bytes) -> tuple[int, list[str | int | tuple[str, bool]]]:
        """When the frame comes, and its parts: text, a moment, or text with the call's own mark after it."""
        parts: list[str | int | tuple[str, bool]] = []
        end = 0
        for found in _SLOT.finditer(frame):
            parts.append(frame[end : found.start()].decode())
            end = found.end()
            text = found.group().decode()
            moment = epoch_ms(text.strip('"'))
            parts.append((text, text.startswith('"')) if moment is None else self._offset(moment))
        parts.append(frame[end:].decode())
        return self._offset(began_ms([frame])), parts

    def _offset(self, moment_ms: int) -> int:
        return (moment_ms - self._began_ms) // HASTE


def stream(rate: int, seconds: float, start_ms: int) -> list[Sent]:
    """The frames of `rate` new calls a second for `seconds`, in the order they are due."""
    recordings = [Recording(frames) for frames in recorded_calls()]
    frames = [
        sent
        for number in range(int(rate * seconds))
        for sent in recordings[number % len(recordings)].copy(number, start_ms, number * 1000 // rate)
    ]
    # Stable: the frames of one call keep their order.
    frames.sort(key=lambda sent: sent.due_s)
    return frames
