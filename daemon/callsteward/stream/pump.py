"""The pump: frames in, through journal, tracker and store, facts out.

Its order makes a kill harmless. A frame is in the journal before the tracker sees it, a record is in the
store before it is published, and a call's frames leave the journal only after that. After a kill at any point
the next daemon re-runs the journal, and publishes from it just the records that the store did not have.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import structlog

from callsteward.ari import events
from callsteward.ari.census import Census
from callsteward.ari.clock_marks import Batch, ClockMarks
from callsteward.ari.frames import Frame, FrameQueue
from callsteward.ari.marks import (
    ADVANCED,
    CLOCK_SET,
    CLOSED_GRACEFULLY,
    NO_EVENTS,
    advanced,
    closed_gracefully,
    moved,
    seen,
)
from callsteward.ari.recent import Recent
from callsteward.ari.stamp import stamp
from callsteward.calls.tracker import Tracker
from callsteward.clock import EventClock, WallClock
from callsteward.exceptions import MalformedEventError
from callsteward.health import Counters
from callsteward.journal.keeping import Keeping
from callsteward.record.facts import Fact
from callsteward.stream.held import HeldBack
from callsteward.stream.listening import KeepHeard, Listening
from callsteward.stream.progress import Progress
from callsteward.stream.telling import FactOutlet, Judge, Save, Telling

log = structlog.get_logger(__name__)

# About 10 ms of work: the socket's reader gets its turn well within Asterisk's 100 ms.
BATCH = 256

# No batch begins sooner than this after the one before. On a busy PBX the fixed cost of a batch (a write of
# the journal, one of the store, each waited for) is more than the cost of its frames.
GATHER_S = 0.01

# An event stamped before a limit may still be on its way when the limit is reached.
LAG_MS = 30

# Marks that the daemon itself puts into the stream: their stamps are its own.
_NOT_ASTERISKS = (events.Snapshot, events.TagCommanded)

# How often a quiet journal notes that events could still be received: if the daemon is killed, the unobserved
# span is known to this precision.
HEARD_EVERY_S = 5.0

# Once a record has waited this long for the other daemon of the site, the journal keeps what led to it.
HELD_LONG_S = 20.0

Listener = Callable[[events.Event], None]


class Rerun(NamedTuple):
    """The content of a journal: the last event's timestamp, and the last events.

    `closed_gracefully`: the process that wrote it closed its link gracefully, so nothing was lost.
    """

    last: str
    recent: Recent
    closed_gracefully: bool


class Pump:
    """Takes frames off the queue until `finish`.

    `kept` gets the position in Asterisk's connection (`Frame.position`) up to which everything is in the
    journal. `held`: what is found is held back there until `act`, since another daemon of the site acts.
    """

    def __init__(
        self,
        *,
        frames: FrameQueue,
        tracker: Tracker,
        keeping: Keeping,
        save: Save,
        outlet: FactOutlet,
        census: Census,
        clock: EventClock,
        counters: Counters,
        progress: Progress | None = None,
        heard_s: Callable[[], float | None] = lambda: None,
        judge: Judge | None = None,
        listener: Listener | None = None,
        changed: asyncio.Event | None = None,
        machine: WallClock | None = None,
        kept: Callable[[int], None] | None = None,
        listening: Listening | None = None,
        keep_heard: KeepHeard | None = None,
        held: HeldBack | None = None,
    ) -> None:
        self._frames = frames
        self._tracker = tracker
        self._keeping = keeping
        self._listening = listening or Listening(tracker)
        self._keep_heard = keep_heard
        self._census = census
        self._clock = clock
        self._counters = counters
        self._progress = progress or Progress()
        self._telling = Telling(save=save, outlet=outlet, judge=judge, progress=self._progress, held=held)
        self._heard_s = heard_s
        self._heard_ms = 0
        self._listener = listener
        self._kept = kept
        self._clock_marks = ClockMarks(counters, machine or WallClock(), lambda: tracker.open_calls)
        self._asked_to_act = False
        self._acts = asyncio.Event()
        self._finishing = False
        self._closed_gracefully = False
        self.changed = changed or asyncio.Event()
        """Set when something has happened that the gauges may show."""

    async def rerun(self, listened: Sequence[events.Listened] = ()) -> Rerun:
        """Take up the calls that an earlier process left in the journal.

        `listened`: the endpoints that are heard, by the store. A journal begins with its own mark about that.
        """
        for raw in self._listening.known_before(listened):
            self._keeping.record_left(raw)
            self._handled(raw)
        facts: list[Fact] = []
        last = ""
        recent = Recent()
        ended_well = False
        count = 0
        for raw in self._keeping.left():
            count += 1
            kind, moment = stamp(raw)
            if kind != ADVANCED:  # which does not say whether events were received
                last = moment or last
            if kind == CLOCK_SET:
                last = moved(raw, last)
            if kind == ADVANCED:
                now = events.epoch_ms(moment)
                facts += self._tracker.advance(now) if now is not None else ()
            ended_well = kind == CLOSED_GRACEFULLY
            if kind in NO_EVENTS:
                continue
            recent.add(raw)
            self._keeping.record_left(raw)
            facts += self._handled(raw)
            if count % BATCH == 0:
                await self._telling.deliver_rerun(facts)
                facts.clear()
                await asyncio.sleep(0)
        await self._telling.deliver_rerun(facts)
        await self._heard_anew()
        await self._tidy()
        if count:
            log.info(
                "took up the journal",
                action="journal_rerun",
                frames=count,
                open_calls=self._tracker.open_calls,
                last=last,
            )
        return Rerun(last, recent, ended_well)

    async def run(self) -> None:
        """Work until `finish` is called and nothing waits any more."""
        began_s = 0.0
        while True:
            if self._asked_to_act and self._telling.held is not None:
                self._progress.working()
                await self._begin_to_act(self._telling.held)
            self._progress.idle()
            # No more frames come then, and taking the last ones has undone the waking.
            arrived = self._finishing or await self._frames.wait(self._idle_s())
            self._progress.working()
            early_s = began_s + GATHER_S - time.monotonic()
            if arrived and early_s > 0 and not self._finishing and self._frames.depth < BATCH:
                await asyncio.sleep(early_s)
            began_s = time.monotonic()
            batch = self._frames.take(BATCH)
            if batch:
                if len(batch) < BATCH and not self._finishing:
                    self._frames.pacing.rest(GATHER_S)
                await self._work([(frame.raw, frame.received_s) for frame in batch], _position(batch))
                await self._frames.done(len(batch))
                # Neither of the two above need have yielded to other tasks.
                await asyncio.sleep(0)
            elif self._finishing:
                if self._closed_gracefully and self._keeping.journal_bytes:
                    await self._keeping.mark(closed_gracefully())
                return
            elif not arrived:
                await self._time_passed()
                await self._heard()

    async def act(self) -> None:
        """Act on what was held back, as on a journal that is run again, and then on all that comes.

        Returns once that is stored.
        """
        self._asked_to_act = True
        self._frames.wake()
        await self._acts.wait()

    async def _begin_to_act(self, held: HeldBack) -> None:
        self._telling.held = None
        if self._listener is not None:
            for event in held.heard():
                self._listener(event)
        facts = held.facts()
        for start in range(0, len(facts), BATCH):
            await self._telling.deliver_rerun(facts[start : start + BATCH])
            await asyncio.sleep(0)
        await self._heard_anew()
        await self._tidy()
        self._acts.set()

    def finish(self, *, closed_gracefully: bool = False) -> None:
        """Make `run` return once the queue is empty; after a graceful close the journal notes that."""
        self._finishing = self._telling.finishing = True
        self._closed_gracefully = closed_gracefully
        self._frames.wake()

    async def _work(self, batch: Batch, position: int = 0) -> None:
        self._progress.lag_s = max(0.0, time.monotonic() - batch[0][1])
        batch = self._clock_marks.put(batch)
        # So that a re-run gives the same: by then the store may know more than is known now.
        head = self._listening.mark() if self._keeping.journal_begins else None
        with self._progress.waiting("disk"):
            written = await self._keeping.keep([raw for raw, _ in batch], head)
        if written and self._kept is not None:
            self._kept(position)
        facts: list[Fact] = []
        for raw, received_s in batch:
            facts += self._handled(raw, received_s)
        self.changed.set()
        await self._telling.deliver(facts)
        await self._heard_anew()
        await self._tidy()

    def machine_clock_set(self) -> None:
        """The machine's clock was set: without open calls, no time is believed until the next event."""
        if not self._tracker.open_legs:
            self._clock.forget()
            self._clock_marks.forget()

    def _handled(self, raw: bytes, received_s: float | None = None) -> Sequence[Fact]:
        """The facts of one frame. Whatever is wrong with it, the next one gets its turn."""
        counters = self._counters
        try:
            event = events.decode(raw)
        except MalformedEventError as error:
            if counters.count_malformed():
                log.warning(
                    "malformed frame", action="event_malformed", error=str(error), count=counters.malformed
                )
            return []
        if event is None:
            kind, moment = stamp(raw)
            counters.count_unknown(kind)
            self._observe(moment, received_s)
            return []
        if isinstance(event, events.ClockSet) and received_s is not None:
            self._clock.move(event.by_ms)
            self._heard_ms += event.by_ms
        counters.events += 1
        self._observe(event.timestamp, received_s, exact=not isinstance(event, _NOT_ASTERISKS))
        self._census.observe(event)
        facts: Sequence[Fact] = ()
        try:
            facts = self._tracker.handle(event)
        except Exception:
            counters.tracker_errors += 1
            log.exception(
                "the tracker failed on an event: please report it with a recording",
                action="tracker_error",
                event_type=type(event).__name__,
                count=counters.tracker_errors,
            )
        if self._telling.held is not None:
            self._telling.held.hear(event)
        elif self._listener is not None:
            self._listener(event)
        return facts

    def _observe(self, moment: str, received_s: float | None, *, exact: bool = True) -> None:
        """Set the clock by a frame; the stamp of a Snapshot is not Asterisk's to the millisecond."""
        if received_s is None:
            return
        ms = events.epoch_ms(moment)
        if ms is None:
            return
        self._heard_ms = ms
        if exact:
            self._clock.observe(ms, received_s)
        else:
            self._clock.guess(ms, received_s)

    def _idle_s(self) -> float | None:
        """Seconds until the next limit runs out or the next mark is due, None without a call."""
        most = HEARD_EVERY_S if self._tracker.open_legs else None
        deadline = self._tracker.next_deadline_ms
        when = None if deadline is None else self._clock.monotonic_s(deadline + LAG_MS)
        if when is None:
            return most
        left = max(0.001, when - time.monotonic())
        return left if most is None else min(left, most)

    async def _heard(self) -> None:
        """While calls are on without events: mark up to when events could certainly be received."""
        heard_s = self._heard_s()
        if heard_s is None or not self._tracker.open_legs:
            return
        now = self._clock.now_ms(heard_s)
        if now is not None and now - self._heard_ms >= HEARD_EVERY_S * 1000:
            self._heard_ms = now
            with self._progress.waiting("disk"):
                await self._keeping.mark(seen(now))

    async def _time_passed(self) -> None:
        now = self._clock.now_ms()
        deadline = self._tracker.next_deadline_ms
        if now is None or deadline is None or deadline + LAG_MS > now:
            return
        facts = list(self._tracker.advance(now - LAG_MS))
        # So that a re-run makes it at the same point and not a second time.
        with self._progress.waiting("disk"):
            await self._keeping.mark(advanced(now - LAG_MS))
        self.changed.set()
        await self._telling.deliver(facts)
        await self._heard_anew()
        await self._tidy()

    async def _heard_anew(self) -> None:
        """Store which endpoints are heard, before the frames that showed it are removed."""
        keep = self._keep_heard
        if self._telling.held is None and keep is not None and (anew := self._listening.anew()):
            await self._telling.patiently(lambda: keep(anew), len(anew))

    async def _tidy(self) -> None:
        calls_on = bool(self._tracker.open_legs or self._census.alive)
        if self._telling.held is not None and (waits_s := self._telling.held.waits_s):
            if waits_s > HELD_LONG_S:
                return
            calls_on = True
        with self._progress.waiting("disk"):
            await self._keeping.tidy(calls_on=calls_on)


def _position(batch: Sequence[Frame]) -> int:
    """The position up to which the connection was read with these frames; our own marks have none."""
    return next((frame.position for frame in reversed(batch) if frame.position), 0)
