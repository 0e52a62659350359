"""The queue between the socket and everything else.

Asterisk cuts a reader that does not drain (100 ms), so the reader does nothing but `put`. Decoding, tracking
and storing take frames from the other end, in batches, in another task. If that task stands still (a disk
that hangs), waiting frames are packed; if it does so for long, the cheapest frames are left out (`shedding`).
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Iterator

import msgspec
import structlog

from callsteward.ari.events import Shed
from callsteward.ari.pacing import Pacing
from callsteward.ari.packing import PACK_FRAMES, Frame, Packed, pack, unpack
from callsteward.ari.shedding import USELESS_FROM, ShedKind, shed
from callsteward.exceptions import NOT_JSON
from callsteward.health import Counters

log = structlog.get_logger(__name__)

__all__ = ["DEFAULT_LIMIT_BYTES", "Frame", "FrameQueue"]

# Packed bytes: ten minutes of 100 calls a second.
DEFAULT_LIMIT_BYTES = 96 * 1024 * 1024
# From this many waiting bytes on, frames are packed: a second's backlog is not worth the work.
PACK_FROM_BYTES = 8 * 1024 * 1024
LOG_EVERY_S = 10.0


class _Channel(msgspec.Struct):
    id: str = ""


class _Head(msgspec.Struct):
    type: str = ""
    timestamp: str = ""
    channel: _Channel | None = None


_heads = msgspec.json.Decoder(_Head)


class _Notice:
    """A placeholder for speech of a channel that was left out, until it is taken."""

    __slots__ = ("channel_id", "received_s", "since", "until")

    def __init__(self, channel_id: str, since: str, received_s: float) -> None:
        self.channel_id = channel_id
        self.since = self.until = since
        self.received_s = received_s

    def frame(self) -> Frame:
        mark = Shed(timestamp=self.since, channel_id=self.channel_id, until=self.until)
        return Frame(msgspec.json.encode(mark), self.received_s)


class FrameQueue:
    """Frames in order of arrival, bounded in bytes.

    Between `hold` and `release` arriving frames are kept back, so that a Snapshot can be put before the
    frames that arrived while its lists were read.
    """

    def __init__(self, counters: Counters, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self.counters = counters
        self._limit_bytes = limit_bytes
        self._shed_from = int(limit_bytes * USELESS_FROM)
        self._pack_from = min(PACK_FROM_BYTES, limit_bytes // 4)
        # In this order: frames taken next, packed frames, frames about to be packed.
        self._frames: deque[Frame | _Notice] = deque()
        self._packed: deque[Packed] = deque()
        self._tail: list[Frame | _Notice] = []
        self._held: deque[Frame] | None = None
        self._notices: dict[str, _Notice] = {}
        self._count = 0
        self._bytes = 0
        self._taken = 0
        self._put = 0
        self._deaf = False
        self._last_raw = b""
        self._logged_s = 0.0
        self._arrived = asyncio.Event()
        self._progress = asyncio.Condition()
        # How many wait for it.
        self._settling = 0
        self.pacing = Pacing()
        """The rests of the socket that events come from."""
        self.overflowed = asyncio.Event()
        """Set while all frames are left out (`ignore`)."""

    def put(self, raw: bytes | str, position: int = 0) -> None:
        """Append a frame as of now, or leave it out if too much waits."""
        if isinstance(raw, str):
            raw = raw.encode()
        self.counters.frames += 1
        if (self._bytes >= self._shed_from or self._deaf) and self._sheds(raw):
            return
        self._bytes += len(raw)
        self._last_raw = raw
        frame = Frame(raw, time.monotonic(), position)
        if self._held is not None:
            self._held.append(frame)
        else:
            self._append(frame)

    def hold(self) -> None:
        """Keep back frames that arrive from now on."""
        self._deaf = False
        self.overflowed.clear()
        if self._held is None:
            self._held = deque()

    def release(self, first: bytes | None = None) -> None:
        """Release the frames that were kept back, after `first` if one is given."""
        held, self._held = self._held, None
        if first is not None:
            self._bytes += len(first)
            self._append(Frame(first, time.monotonic()))
        for frame in held or ():
            self._append(frame)

    def ignore(self) -> bytes:
        """Leave every frame out until `hold`; returns the last frame that was taken in before."""
        if not self._deaf:
            self._deaf = True
            self.counters.overflows += 1
            self.overflowed.set()
        return self._last_raw

    def _sheds(self, raw: bytes) -> bool:
        if self._deaf:
            self._say(ShedKind.ALL)
            return True
        try:
            head = _heads.decode(raw)
        except NOT_JSON:
            return False
        what = shed(head.type, self._bytes / self._limit_bytes)
        if what is None:
            return False
        self._say(what)
        if what is ShedKind.SPEECH and head.channel is not None and self._held is None:
            self._note(head.channel.id, head.timestamp)
        return True

    def _note(self, channel_id: str, stamp: str) -> None:
        notice = self._notices.get(channel_id)
        if notice is None:
            notice = self._notices[channel_id] = _Notice(channel_id, stamp, time.monotonic())
            self._append(notice)
        else:
            notice.until = stamp

    def _say(self, what: ShedKind) -> None:
        counters = self.counters
        counters.shed[what.value] += 1
        now_s = time.monotonic()
        if now_s - self._logged_s >= LOG_EVERY_S:
            self._logged_s = now_s
            log.warning(
                "too many events wait: the cheapest are left out",
                action="ari_shedding",
                waiting=self._count,
                megabytes=round(self._bytes / 1e6, 1),
                **counters.shed,
            )

    def _append(self, frame: Frame | _Notice) -> None:
        if not self._packed and not self._tail and self._bytes <= self._pack_from:
            self._frames.append(frame)
        else:
            self._tail.append(frame)
            if len(self._tail) >= PACK_FRAMES:
                self._pack()
        self._put += 1
        self._count += 1
        self.counters.max_depth = max(self.counters.max_depth, self._count)
        self._arrived.set()

    def _pack(self) -> None:
        frames = [self._rendered(item) for item in self._tail]
        self._tail.clear()
        packed = pack(frames)
        self._packed.append(packed)
        self._bytes += len(packed.blob) - sum(len(frame.raw) for frame in frames)

    def _rendered(self, item: Frame | _Notice) -> Frame:
        if isinstance(item, Frame):
            return item
        self._notices.pop(item.channel_id, None)
        frame = item.frame()
        self._bytes += len(frame.raw)
        return frame

    def _next(self) -> Iterator[Frame]:
        while True:
            if not self._frames:
                if self._packed:
                    packed = self._packed.popleft()
                    frames = unpack(packed)
                    self._bytes += sum(len(frame.raw) for frame in frames) - len(packed.blob)
                    self._frames.extend(frames)
                elif self._tail:
                    self._frames.extend(self._tail)
                    self._tail.clear()
                else:
                    return
            yield self._rendered(self._frames.popleft())

    def take(self, limit: int) -> list[Frame]:
        """Up to `limit` of the waiting frames. Call `done` when they are dealt with."""
        batch = list(itertools.islice(self._next(), limit))
        self._bytes -= sum(len(frame.raw) for frame in batch)
        self._count -= len(batch)
        if not self._count:
            self._arrived.clear()
        return batch

    async def done(self, count: int) -> None:
        """This many more of the frames taken are dealt with."""
        self._taken += count
        if self._settling:
            async with self._progress:
                self._progress.notify_all()

    async def wait(self, timeout_s: float | None) -> bool:
        """True once there is a frame, False after the timeout."""
        if self._arrived.is_set():
            return True
        try:
            async with asyncio.timeout(timeout_s):
                await self._arrived.wait()
        except TimeoutError:
            return False
        return True

    async def settled(self) -> None:
        """Return once every frame put before this call is dealt with."""
        goal = self._put
        self._settling += 1
        try:
            async with self._progress:
                await self._progress.wait_for(lambda: self._taken >= goal)
        finally:
            self._settling -= 1

    def wake(self) -> None:
        """Let `wait` return although no frame has come: the daemon stops."""
        self._arrived.set()

    @property
    def idle(self) -> bool:
        """True if every frame that came is dealt with."""
        return self._taken >= self._put and not self._held

    @property
    def depth(self) -> int:
        """How many frames wait."""
        return self._count + len(self._held or ())

    @property
    def bytes_waiting(self) -> int:
        """Bytes of the waiting frames, as they are kept."""
        return self._bytes

    @property
    def full(self) -> bool:
        """True if too many bytes wait: no more frames are taken in."""
        return self._bytes > self._limit_bytes
