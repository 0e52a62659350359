"""The queue between the socket and everything else.

Asterisk cuts a reader that does not drain (100 ms), so the reader's whole work is `put`. Decoding,
tracking and storing take frames from the other end, in batches, in another task.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass

from callsteward.ari.counters import Counters

DEFAULT_LIMIT_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Frame:
    """One event exactly as it came, and when: `received_s` is time.monotonic()."""

    raw: bytes
    received_s: float


class FrameQueue:
    """Frames in order of arrival, bounded in bytes.

    Between `hold` and `release` arriving frames are kept back, so that a Snapshot can be put before
    all that arrived while its lists were read.
    """

    def __init__(self, counters: Counters, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self.counters = counters
        self._limit_bytes = limit_bytes
        self._frames: deque[Frame] = deque()
        self._held: deque[Frame] | None = None
        self._bytes = 0
        self._taken = 0
        self._put = 0
        self._arrived = asyncio.Event()
        self._progress = asyncio.Condition()

    def put(self, raw: bytes | str) -> None:
        """Append a frame as of now."""
        if isinstance(raw, str):
            raw = raw.encode()
        self.counters.frames += 1
        self._bytes += len(raw)
        frame = Frame(raw, time.monotonic())
        if self._held is not None:
            self._held.append(frame)
        else:
            self._append(frame)

    def hold(self) -> None:
        """Keep back what arrives from now on."""
        if self._held is None:
            self._held = deque()

    def release(self, first: bytes | None = None) -> None:
        """Let go what was kept back, after `first` where one is given."""
        held, self._held = self._held, None
        if first is not None:
            self._bytes += len(first)
            self._append(Frame(first, time.monotonic()))
        for frame in held or ():
            self._append(frame)

    def _append(self, frame: Frame) -> None:
        self._frames.append(frame)
        self._put += 1
        self.counters.max_depth = max(self.counters.max_depth, len(self._frames))
        self._arrived.set()

    def take(self, limit: int) -> list[Frame]:
        """Up to `limit` frames that are there now. Call `done` when they are dealt with."""
        frames = self._frames
        batch = [frames.popleft() for _ in range(min(limit, len(frames)))]
        self._bytes -= sum(len(frame.raw) for frame in batch)
        if not frames:
            self._arrived.clear()
        return batch

    async def done(self, count: int) -> None:
        """`count` more of the frames taken are dealt with."""
        self._taken += count
        async with self._progress:
            self._progress.notify_all()

    async def wait(self, timeout_s: float | None) -> bool:
        """True as soon as there is a frame, False after the timeout."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._arrived.wait()
        except TimeoutError:
            return False
        return True

    async def settled(self) -> None:
        """Return once everything put before this call is dealt with."""
        goal = self._put
        async with self._progress:
            await self._progress.wait_for(lambda: self._taken >= goal)

    def wake(self) -> None:
        """Let `wait` return although no frame has come: the daemon stops."""
        self._arrived.set()

    @property
    def idle(self) -> bool:
        """Whether everything that came is dealt with."""
        return self._taken >= self._put and not self._held

    @property
    def depth(self) -> int:
        """Frames waiting."""
        return len(self._frames) + len(self._held or ())

    @property
    def full(self) -> bool:
        """Too many bytes wait: the reader must stop."""
        return self._bytes > self._limit_bytes
