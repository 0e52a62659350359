"""The composition root: builds the daemon's parts, starts them, watches them, stops them."""

from __future__ import annotations

import asyncio
import gc
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import aiohttp
import structlog
from sqlalchemy.engine import make_url

from callsteward import logs
from callsteward.agi.site import open_agi
from callsteward.ari.census import Census
from callsteward.ari.connection import open_link
from callsteward.ari.counters import Counters
from callsteward.ari.events import Event
from callsteward.ari.frames import FrameQueue
from callsteward.ari.link import CERTAIN_AFTER_S, OnChange, cancelled
from callsteward.ari.recorder import Recorder
from callsteward.ari.rest import HttpTransport, Rest, open_session
from callsteward.callback.decisions import Decisions
from callsteward.callback.do_not_call import DoNotCall
from callsteward.callback.execution import Execution
from callsteward.callback.guard import Guard
from callsteward.callback.ledger import Ledger
from callsteward.callback.lost import LostCalls
from callsteward.callback.lost_watch import LostWatch
from callsteward.callback.policy import Policy
from callsteward.callback.states import CallbackMoved
from callsteward.callback.zones import ClientZones
from callsteward.calls.facts import Fact, LineNow, OperatorNow
from callsteward.calls.record import CallRecord
from callsteward.calls.tracker import Tracker
from callsteward.clock import EventClock
from callsteward.config import Config
from callsteward.doors import Doors, wanted
from callsteward.exceptions import CallstewardError
from callsteward.feed.delivery import Delivery
from callsteward.feed.durable import Durable
from callsteward.health import ConfigState, FeedState, Health
from callsteward.intervals.compose import Intervals
from callsteward.intervals.publisher import Open
from callsteward.intervals.row import IntervalExpired, IntervalRow
from callsteward.keeping import Keeping
from callsteward.metrics.counted import CountedFeed
from callsteward.metrics.health import Readings
from callsteward.metrics.scrape import Metrics
from callsteward.notify import Notify
from callsteward.progress import Progress
from callsteward.pump import Judge, Listener, Pump
from callsteward.rating import service as rating
from callsteward.rating.complaints import Complaints
from callsteward.rating.states import ComplaintRaised, RatingMoved
from callsteward.rating.tags import no_tags
from callsteward.reload import reloaded
from callsteward.store.journal import Journal
from callsteward.store.outbox import Outbox
from callsteward.store.records import CallQuery, Store
from callsteward.watch import Watched, watch

log = structlog.get_logger(__name__)

# All together under the 5 s that a stop may take.
PUMP_STOP_S = 1.5
FEED_STOP_S = 1.0
LINK_STOP_S = 1.2
STORE_STOP_S = 0.5

GAUGES_EVERY_S = 1.0

Published = Fact | CallbackMoved | RatingMoved | ComplaintRaised | IntervalRow | IntervalExpired


class Output(Protocol):
    """The feed, as the daemon uses it."""

    async def run(self) -> None: ...

    def publish(self, fact: Published) -> None: ...

    def recall(self, records: Iterable[CallRecord]) -> None: ...

    def gauges(self, lines: list[LineNow], operators: list[OperatorNow], now_ms: int) -> None: ...

    def link(self, asterisk_connected: bool, detail: str) -> None: ...

    def health(self, health: Health) -> None: ...

    def reconfigure(self, config: Config) -> None: ...

    def state(self) -> FeedState: ...

    async def drain(self, timeout_s: float) -> Any: ...


class NoFeed:
    """The feed of a daemon with `mqtt.enabled = false`: records go to the store alone."""

    async def run(self) -> None:
        await asyncio.Event().wait()

    def publish(self, fact: Published) -> None:
        pass

    def recall(self, records: Iterable[CallRecord]) -> None:
        pass

    def gauges(self, lines: list[LineNow], operators: list[OperatorNow], now_ms: int) -> None:
        pass

    def link(self, asterisk_connected: bool, detail: str) -> None:
        pass

    def health(self, health: Health) -> None:
        pass

    def reconfigure(self, config: Config) -> None:
        pass

    def state(self) -> FeedState:
        return FeedState()

    async def drain(self, timeout_s: float) -> None:
        pass


def journal_path(config: Config) -> Path | None:
    """Beside an SQLite database; in the working folder for a database elsewhere; none for one in memory."""
    url = make_url(config.store.url)
    if url.get_backend_name() != "sqlite":
        return Path(f"callsteward-{config.site.name}.journal")
    if not url.database or url.database == ":memory:":
        return None
    return Path(url.database).with_suffix(".journal")


class Daemon:
    """Follows one PBX. `counters` tell how it goes; `feed` replaces the MQTT feed (tests, embedding).

    `hang_up` is set (SIGHUP) to have the configuration read anew by `load`.
    """

    def __init__(
        self,
        config: Config,
        *,
        recorder: Recorder | None = None,
        feed: Output | None = None,
        load: Callable[[], Config] | None = None,
    ) -> None:
        self._config = config
        self._recorder = recorder
        self._feed = feed
        self.boot_id = uuid.uuid4().hex
        self.counters = Counters()
        self.hang_up = asyncio.Event()
        self._load = load
        self._notify = Notify()
        self._asterisk: tuple[bool, str] = (False, "not connected yet")
        self._linked_s = 0.0
        self._reloaded: tuple[ConfigState, str] = ("current", "")

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set, then stop within 5 s. Raises what stopped it where that was an error."""
        config = self._config
        durable = self._durable()
        async with AsyncExitStack() as stack:
            # The journal's lock first: a second daemon must not touch the store.
            journal = Journal(journal_path(config), fsync=True)
            keeping = Keeping(journal, self._recorder, self.counters)
            stack.push_async_callback(keeping.close)
            store = await Store.open(config.store.url, None if durable is None else durable.record)
            stack.push_async_callback(_closed, store)
            feed = self._feed or self._open_feed(store)
            session = await stack.enter_async_context(open_session(config.asterisk))
            frames = FrameQueue(self.counters)
            tracker = Tracker(config)
            census = Census()
            clock = EventClock()
            progress = Progress()
            metrics: Metrics | None = None
            if config.web.enabled:
                metrics = Metrics(
                    config,
                    Readings(
                        counters=self.counters,
                        asterisk_connected=lambda: self._asterisk[0],
                        feed=feed.state,
                        open_calls=lambda: tracker.open_calls,
                        event_lag_s=lambda: pump.lag_s,
                        frames_waiting=lambda: frames.depth,
                        journal_bytes=lambda: keeping.journal_bytes,
                        overtaken=lambda: 0 if intervals is None else intervals.overtaken,
                        tasks=lambda: len(asyncio.all_tasks()),
                    ),
                )
                feed = CountedFeed(feed, metrics.calls)
            callbacks = _callbacks(config, store, session, tracker, clock, feed, durable)
            intervals = _intervals(config, store, session, tracker, clock, frames, feed, durable)
            changed = asyncio.Event()
            lost = LostWatch(config, LostCalls(store.engine, config.site.name), changed=changed.set)
            doors = None
            if wanted(config):
                doors = Doors(
                    config,
                    store=store,
                    frames=frames,
                    rest=Rest(HttpTransport(session, config.asterisk)),
                    decisions=None if callbacks is None else callbacks.decisions,
                    now_ms=_asterisk_now(clock),
                    boot_id=self.boot_id,
                    announce=None if durable is None else durable.callback,
                    metrics=metrics,
                )
            ratings = rating.build(
                config,
                store,
                session,
                client_numbers=tracker.client_numbers,
                now_ms=_asterisk_now(clock),
                publish=feed.publish,
                tags_of=no_tags if doors is None else doors.tags_of,
                durable=durable,
            )
            if doors is not None and ratings is not None:
                doors.keep_complaints(
                    Complaints(store.engine, config.site.name), ratings.decisions.escalate_call
                )
            judge = None if callbacks is None else callbacks.decisions.judge
            if doors is not None:
                judge = doors.tagging.judge
            pump = Pump(
                frames=frames,
                tracker=tracker,
                keeping=keeping,
                save=store.save,
                outlet=feed,
                census=census,
                clock=clock,
                counters=self.counters,
                progress=progress,
                heard_s=self._heard_s,
                judge=_in_turn(
                    lost.judge,
                    judge,
                    # The callback is decided first: who is called back is not asked for a rating.
                    None if ratings is None else ratings.decisions.judge,
                ),
                listener=_all_of(
                    None if callbacks is None else callbacks.execution.hear,
                    None if intervals is None else intervals.watch.hear,
                    None if ratings is None else ratings.surveys.hear,
                ),
                changed=changed,
            )
            log.info("starting", action="daemon_start", boot_id=self.boot_id, site=config.site.name)
            await _recall(store, config, feed)
            spare_the_collector()
            listeners: list[OnChange] = [self._linked, feed.link]
            if callbacks is not None:
                await callbacks.decisions.load()
                execution = callbacks.execution
                listeners.append(lambda connected, _why: execution.link(connected))
            if intervals is not None:
                told = intervals.link
                listeners.append(lambda connected, _why: told(connected))
            if ratings is not None:
                surveys = ratings.surveys
                listeners.append(lambda connected, _why: surveys.link(connected))
            on_change = _each(listeners)
            gap_from = await pump.rerun()
            link = open_link(config, frames, census, session=session, on_change=on_change, gap_from=gap_from)
            tasks = {
                "feed": asyncio.create_task(feed.run(), name="feed"),
                "pump": asyncio.create_task(pump.run(), name="pump"),
                "gauges": asyncio.create_task(_gauges(changed, tracker, lost, clock, feed), name="gauges"),
                "lost": asyncio.create_task(lost.run(), name="lost"),
                "ari": asyncio.create_task(link.run(), name="ari"),
            }
            watched = Watched(
                counters=self.counters,
                frames=frames,
                keeping=keeping,
                progress=progress,
                asterisk=lambda: self._asterisk,
                config=lambda: self._reloaded,
                clock_set=pump.machine_clock_set,
            )
            tasks["watch"] = asyncio.create_task(watch(watched, feed, self._notify), name="watch")
            tasks["reload"] = asyncio.create_task(self._reloads(tracker, feed), name="reload")
            if config.agi.enabled:
                agi = open_agi(
                    config,
                    store.engine,
                    commands=None if doors is None else doors.commands,
                    ratings=None if ratings is None else ratings.decisions,
                )
                tasks["agi"] = asyncio.create_task(agi.run(), name="agi")
            if callbacks is not None:
                tasks["callbacks"] = asyncio.create_task(callbacks.execution.run(), name="callbacks")
            if intervals is not None:
                tasks["intervals"] = asyncio.create_task(intervals.publisher.run(), name="intervals")
            if doors is not None:
                tasks |= {name: asyncio.create_task(work, name=name) for name, work in doors.tasks().items()}
            if ratings is not None:
                tasks["ratings"] = asyncio.create_task(ratings.run(), name="ratings")
            self._notify.ready()
            try:
                await _until_stop(stop, list(tasks.values()))
            finally:
                self._notify.stopping()
                await _wind_down(tasks, pump, feed)
                log.info("stopped", action="daemon_stop", counters=self._summary())

    def _linked(self, connected: bool, detail: str) -> None:
        if connected and not self._asterisk[0]:
            self._linked_s = time.monotonic()
        self._asterisk = (connected, detail)

    def _heard_s(self) -> float | None:
        """Up to when Asterisk was certainly heard (time.monotonic()), None while it is not."""
        certain_s = time.monotonic() - CERTAIN_AFTER_S
        return certain_s if self._asterisk[0] and certain_s > self._linked_s else None

    async def _reloads(self, tracker: Tracker, feed: Output) -> None:
        """On each SIGHUP take over what can be taken over; a configuration that is wrong changes nothing."""
        while True:
            await self.hang_up.wait()
            self.hang_up.clear()
            if self._load is None:
                continue
            self._notify.reloading()
            try:
                new = await asyncio.to_thread(self._load)
            except CallstewardError as error:
                self.counters.reload_errors += 1
                self._reloaded = ("refused", str(error))
                log.error(  # noqa: TRY400
                    "the new configuration is refused: going on with the old one",
                    action="reload_refused",
                    error=str(error),
                )
            else:
                self._config, state, detail = reloaded(self._config, new)
                self.counters.reloads += 1
                self._reloaded = (state, detail)
                tracker.reconfigure(self._config)
                feed.reconfigure(self._config)
                logs.set_level(self._config.log)
                log.info("configuration read anew", action="reloaded", detail=detail)
            self._notify.ready()

    def _durable(self) -> Durable | None:
        """What fills the outbox; None where nothing would empty it."""
        return Durable(self._config) if self._config.mqtt.enabled and self._feed is None else None

    def _open_feed(self, store: Store) -> Output:
        config = self._config
        if not config.mqtt.enabled:
            return NoFeed()
        from callsteward.feed.mqtt import Feed

        outbox = Delivery(Outbox(store.engine, config.site.name), limit_bytes=config.mqtt.outbox_bytes)
        return Feed(config, boot_id=self.boot_id, outbox=outbox)

    def _summary(self) -> dict[str, object]:
        counters = self.counters
        return {
            "frames": counters.frames,
            "events": counters.events,
            "unknown": dict(counters.unknown),
            "malformed": counters.malformed,
            "tracker_errors": counters.tracker_errors,
            "connects": counters.connects,
            "disconnects": counters.disconnects,
            "shed": dict(counters.shed),
            "overflows": counters.overflows,
            "refused": counters.refused,
            "silences": counters.silences,
            "clock_steps": counters.clock_steps,
            "disk_stalls": counters.disk_stalls,
            "disk_errors": counters.disk_errors,
            "compactions": counters.compactions,
            "reloads": counters.reloads,
            "reload_errors": counters.reload_errors,
            "max_depth": counters.max_depth,
        }


def _asterisk_now(clock: EventClock) -> Callable[[], int]:
    def now_ms() -> int:
        now = clock.now_ms()
        return now if now is not None else time.time_ns() // 1_000_000

    return now_ms


class _Callbacks(NamedTuple):
    decisions: Decisions
    execution: Execution


def _callbacks(
    config: Config,
    store: Store,
    session: aiohttp.ClientSession,
    tracker: Tracker,
    clock: EventClock,
    feed: Output,
    durable: Durable | None,
) -> _Callbacks | None:
    """What decides on callbacks and carries them out; None with `callback.enabled = false`."""
    if not config.callback.enabled:
        return None

    now_ms = _asterisk_now(clock)
    ledger = Ledger(store.engine, config.site.name, None if durable is None else durable.callback)
    policy = Policy(config)
    zones = ClientZones(store.engine)
    decisions = Decisions(
        guard=Guard(config),
        policy=policy,
        ledger=ledger,
        do_not_call=DoNotCall(store.engine),
        zones=zones,
        now_ms=now_ms,
    )
    execution = Execution(
        config,
        decisions=decisions,
        policy=policy,
        ledger=ledger,
        zones=zones,
        rest=Rest(HttpTransport(session, config.asterisk)),
        operators_now=tracker.operators_now,
        now_ms=now_ms,
        publish=feed.publish,
    )
    return _Callbacks(decisions, execution)


def _in_turn(*judges: Judge | None) -> Judge:
    """One judge for those there are, in this order."""
    present = [judge for judge in judges if judge is not None]

    async def judge(facts: Sequence[Fact]) -> Sequence[Fact]:
        for one in present:
            facts = await one(facts)
        return facts

    return judge


def _intervals(
    config: Config,
    store: Store,
    session: aiohttp.ClientSession,
    tracker: Tracker,
    clock: EventClock,
    frames: FrameQueue,
    feed: Output,
    durable: Durable | None,
) -> Intervals | None:
    """What sums the intervals and publishes them; None with `intervals.enabled = false`."""
    if not config.intervals.enabled:
        return None
    return Intervals(
        config,
        store.engine,
        Rest(HttpTransport(session, config.asterisk)),
        now_ms=_asterisk_now(clock),
        still_open=lambda: Open(tracker.open_since_ms, frames.idle),
        publish=feed.publish,
        announce=None if durable is None else durable.interval,
    )


def _all_of(*listeners: Listener | None) -> Listener | None:
    """One listener for those there are; None where there are none, since it is asked for every event."""
    present = [listener for listener in listeners if listener is not None]
    if len(present) < 2:
        return present[0] if present else None

    def hear(event: Event) -> None:
        for listener in present:
            listener(event)

    return hear


def _each(listeners: Sequence[OnChange]) -> OnChange:
    def on_change(connected: bool, detail: str) -> None:
        for listener in listeners:
            listener(connected, detail)

    return on_change


async def _closed(store: Store) -> None:
    """Close the store, unless its disk hangs: then the connections end with the process."""
    try:
        async with asyncio.timeout(STORE_STOP_S):
            await store.close()
    except TimeoutError:
        log.error("stopping without the store, which hangs", action="store_hangs_at_stop")  # noqa: TRY400


async def _recall(store: Store, config: Config, feed: Output) -> None:
    """The calls of this day so far: today's counts go on where an earlier process left them."""
    midnight = datetime.now(config.site.zone).replace(hour=0, minute=0, second=0, microsecond=0)
    query = CallQuery(from_ms=int(midnight.timestamp() * 1000))
    # One by one: all of a busy day at once would be hundreds of megabytes, and the heap keeps them.
    async for record in store.calls(query):
        feed.recall((record,))


def spare_the_collector() -> None:
    """Let the garbage collector pass over what stays for good, and look less often.

    Calls free themselves when they end; a collection over 10,000 open ones takes longer than Asterisk
    waits for its reader (100 ms).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


async def _until_stop(stop: asyncio.Event, tasks: list[asyncio.Task[None]]) -> None:
    """Return on `stop`; raise where one of the tasks ended, for none of them ends by itself."""
    stopping = asyncio.create_task(stop.wait(), name="stop")
    try:
        await asyncio.wait({*tasks, stopping}, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                task.result()
                message = f"the task {task.get_name()!r} ended by itself: please report it"
                raise CallstewardError(message)
    finally:
        await cancelled(stopping)


async def _wind_down(tasks: dict[str, asyncio.Task[None]], pump: Pump, feed: Output) -> None:
    """Stop in the order the data goes, so that what has arrived still goes out."""
    if "ratings" in tasks:
        # First of all: clients in the menu are sent on to be thanked.
        await cancelled(tasks["ratings"])
    tasks["ari"].cancel()
    await asyncio.wait({tasks["ari"]}, timeout=LINK_STOP_S)
    pump.finish()
    await asyncio.wait({tasks["pump"]}, timeout=PUMP_STOP_S)
    if "callbacks" in tasks:
        await cancelled(tasks["callbacks"])
    if not tasks["feed"].done():
        await feed.drain(FEED_STOP_S)
    for task in tasks.values():
        await cancelled(task)


async def _gauges(
    changed: asyncio.Event, tracker: Tracker, lost: LostWatch, clock: EventClock, feed: Output
) -> None:
    """Hand the gauges over on change, at most once a second."""
    before: tuple[list[LineNow], list[OperatorNow]] | None = None
    while True:
        now = (lost.on(tracker.lines_now()), tracker.operators_now())
        if now != before:
            before = now
            now_ms = clock.now_ms()
            feed.gauges(*now, now_ms if now_ms is not None else time.time_ns() // 1_000_000)
        await asyncio.sleep(GAUGES_EVERY_S)
        await changed.wait()
        changed.clear()
