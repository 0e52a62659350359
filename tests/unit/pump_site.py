"""A pump with its journal, fed by hand: for tests of what it makes of frames, and of a journal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from callsteward.ari.census import Census
from callsteward.ari.events import Event, timestamp
from callsteward.ari.frames import FrameQueue
from callsteward.calls.tracker import Tracker
from callsteward.clock import EventClock, WallClock
from callsteward.health import Counters
from callsteward.journal.journal import Journal
from callsteward.journal.keeping import Keeping
from callsteward.record.call import CallRecord
from callsteward.record.facts import CallEnded, Fact
from callsteward.stream.held import HeldBack
from callsteward.stream.pump import Pump
from tests.unit.calls.stream import NOON, Stream, config


class Site:
    """A pump with a journal, fed by hand. Its monotonic clock shows 1000 at noon; `wall_s`: the machine's."""

    def __init__(self, path: Path, held: HeldBack | None = None) -> None:
        self.wall_s = 0.0
        self.saved: list[str] = []
        self.heard: list[Event] = []
        self.facts: list[Fact] = []
        self.journal = Journal(path)
        self.counters = Counters()
        self.clock = EventClock()
        self.tracker = Tracker(config())
        self.frames = FrameQueue(self.counters)
        self.keeping = Keeping(self.journal, None, self.counters)
        self.pump = Pump(
            frames=self.frames,
            tracker=self.tracker,
            keeping=self.keeping,
            save=self._save,
            outlet=self,
            census=Census(),
            clock=self.clock,
            counters=self.counters,
            machine=WallClock(lambda: self.wall_s, lambda: 0.0),
            listener=self.heard.append,
            held=held,
        )

    def publish(self, fact: Fact) -> None:
        self.facts.append(fact)

    async def _save(self, records: Sequence[CallRecord]) -> list[CallRecord]:
        self.saved += [record.call_id for record in records]
        return list(records)

    async def close(self) -> None:
        """Leave the journal to the next one, and the thread that writes it to nobody."""
        await self.keeping.close()

    @property
    def records(self) -> list[CallRecord]:
        return [fact.record for fact in self.facts if isinstance(fact, CallEnded)]

    async def arrive(self, stream: Stream, by_ms: int = 0, *, at_once: int = 1) -> None:
        """The stream's events so far, as they are stamped by an Asterisk whose clock was set by `by_ms`."""
        batch = []
        for ms, frame in stream._frames:
            moved = Stream()
            moved._frames = [(ms + by_ms, frame | {"timestamp": timestamp(ms + by_ms)})]
            batch.append((moved.frames()[0], 1000 + (ms - NOON) / 1000))
        stream.unseen()
        for start in range(0, len(batch), at_once):
            await self.pump._work(batch[start : start + at_once])
