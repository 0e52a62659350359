"""The composition root: builds the daemon's parts, starts them, watches them, stops them."""

from __future__ import annotations

import asyncio
import gc
import time
import uuid
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path

import structlog

from callsteward import features
from callsteward.agi.site import open_agi
from callsteward.ari.census import Census
from callsteward.ari.connection import open_keeper, open_link
from callsteward.ari.frames import FrameQueue
from callsteward.ari.link import CERTAIN_AFTER_S, OnChange
from callsteward.ari.recorder import Recorder
from callsteward.ari.rest import HttpTransport, Rest, open_session
from callsteward.calls.tracker import Tracker
from callsteward.clock import EventClock
from callsteward.config import Config
from callsteward.daemon import logs
from callsteward.daemon.doors import Doors, over_http, wanted
from callsteward.daemon.parts import (
    all_of,
    asterisk_now,
    each,
    in_turn,
    open_callbacks,
    open_forbidding,
    open_intervals,
)
from callsteward.daemon.reload import reloaded
from callsteward.daemon.stopping import closed, until_stop, wind_down
from callsteward.daemon.watch import Watched, health_of, watch
from callsteward.exceptions import CallstewardError
from callsteward.feed.delivery import Delivery
from callsteward.feed.output import NoFeed, Output
from callsteward.feed.tell import Tells
from callsteward.health import ConfigState, Counters, Readings
from callsteward.journal.journal import Journal
from callsteward.journal.keeping import Keeping
from callsteward.lost.calls import LostCalls
from callsteward.lost.watch import LostWatch
from callsteward.metrics.counted import CountedFeed
from callsteward.metrics.scrape import Metrics
from callsteward.network.openings import Openings
from callsteward.notify import Notify
from callsteward.rating import service as rating
from callsteward.rating.complaints import Complaints
from callsteward.rating.tags import no_tags
from callsteward.record.facts import LineNow, OperatorNow
from callsteward.status.compose import open_status
from callsteward.store.endpoints import HeardEndpoints
from callsteward.store.engine import shown
from callsteward.store.outbox import Outbox, nobody
from callsteward.store.records import CallQuery, Store
from callsteward.store.url import store_url
from callsteward.stream.deliveries import DeliveryCounts
from callsteward.stream.progress import Progress
from callsteward.stream.pump import Pump
from callsteward.stream.trunk_numbers import TrunkNumbers
from callsteward.web.server import HttpDoor

log = structlog.get_logger(__name__)

GAUGES_EVERY_S = 1.0


def journal_path(config: Config) -> Path | None:
    """Beside an SQLite database; in the data folder for a database elsewhere; none for one in memory."""
    url = store_url(config.store.url)
    if url.get_backend_name() != "sqlite":
        name = Path(f"callsteward-{config.site.name}.journal")
        path = config.store.folder / name
        # What an earlier version left in the working folder has the calls in progress.
        return name.absolute() if name.exists() and not path.exists() else path
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
        tells = features.tells(config)
        announce = tells.outgoing if config.mqtt.enabled and self._feed is None else nobody
        async with AsyncExitStack() as stack:
            # The journal's lock first: a second daemon must not touch the store.
            journal = Journal(journal_path(config), fsync=True)
            keeping = Keeping(journal, self._recorder, self.counters)
            stack.push_async_callback(keeping.close)
            store = await Store.open(config.store.url, announce)
            stack.push_async_callback(closed, store)
            log.info("opened the store", action="store_opened", store=shown(config.store.url))
            if config.store.warning:
                log.warning(config.store.warning, action="store_in_working_folder")
            endpoints = HeardEndpoints(store.engine, config.site.name)
            feed = self._feed or self._open_feed(store, tells)
            session = await stack.enter_async_context(open_session(config.asterisk))
            frames = FrameQueue(self.counters)
            tracker = Tracker(config)
            census = Census()
            clock = EventClock()
            progress = Progress()
            keeper = open_keeper(config, self._notify)
            if keeper is not None:
                stack.callback(keeper.close)
            readings = Readings(
                counters=self.counters,
                asterisk=lambda: self._asterisk,
                feed=feed.state,
                open_calls=lambda: tracker.open_calls,
                event_lag_s=lambda: pump.lag_s,
                frames_waiting=lambda: frames.depth,
                journal_bytes=lambda: keeping.journal_bytes,
                overtaken=lambda: 0 if intervals is None else intervals.overtaken,
                tasks=lambda: len(asyncio.all_tasks()),
            )
            metrics: Metrics | None = None
            if config.web.enabled and config.web.metrics:
                metrics = Metrics(config, readings)
                feed = CountedFeed(feed, metrics.calls)
            callbacks = open_callbacks(config, store, session, tracker, clock, feed, announce)
            intervals = open_intervals(config, store, session, tracker, clock, frames, feed, announce)
            changed = asyncio.Event()
            lost = LostWatch(config, LostCalls(store.engine, config.site.name), changed=changed.set)
            openings = Openings()
            decisions = None if callbacks is None else callbacks.decisions
            forbidding = open_forbidding(config, store, decisions, clock, feed, announce)
            doors = None
            if wanted(config):
                doors = Doors(
                    config,
                    store=store,
                    frames=frames,
                    rest=Rest(HttpTransport(session, config.asterisk)),
                    decisions=decisions,
                    forbidding=forbidding,
                    now_ms=asterisk_now(clock),
                    boot_id=self.boot_id,
                    announce=announce,
                )
            ratings = rating.build(
                config,
                store,
                session,
                client_numbers=tracker.client_numbers,
                now_ms=asterisk_now(clock),
                publish=feed.publish,
                tags_of=no_tags if doors is None else doors.tags_of,
                announce=announce,
            )
            if doors is not None and ratings is not None:
                doors.keep_complaints(
                    Complaints(store.engine, config.site.name), ratings.decisions.escalation.of_call
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
                judge=in_turn(
                    lost.judge,
                    judge,
                    # The callback is decided first: who is called back is not asked for a rating.
                    None if ratings is None else ratings.decisions.judge,
                ),
                listener=all_of(
                    None if callbacks is None else callbacks.execution.hear,
                    None if intervals is None else intervals.watch.hear,
                    None if ratings is None else ratings.surveys.hear,
                ),
                changed=changed,
                kept=None if keeper is None else keeper.done,
                keep_heard=endpoints.keep,
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
            on_change = each(listeners)
            left = await pump.rerun([item.listened for item in await endpoints.known()])
            kinds = DeliveryCounts(tracker, TrunkNumbers(store.engine, config.site.name))
            kinds.forget()
            link = open_link(
                config,
                frames,
                census,
                session=session,
                on_change=on_change,
                keeper=keeper,
                gap_from=left.last,
                recent=left.recent,
                handed_over=left.handed_over,
            )
            tasks = {
                "feed": asyncio.create_task(feed.run(), name="feed"),
                "pump": asyncio.create_task(pump.run(), name="pump"),
                "gauges": asyncio.create_task(_gauges(changed, tracker, lost, clock, feed), name="gauges"),
                "lost": asyncio.create_task(lost.run(), name="lost"),
                "kinds": asyncio.create_task(kinds.run(), name="kinds"),
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
                parts=lambda: openings.detail,
            )
            socket = open_status(config, readings, lambda: health_of(watched), store.engine, self.boot_id)
            if socket is not None:
                tasks["status"] = asyncio.create_task(socket.run(), name="status")
            tasks["watch"] = asyncio.create_task(watch(watched, feed, self._notify), name="watch")
            tasks["reload"] = asyncio.create_task(self._reloads(tracker, feed), name="reload")
            if config.agi.enabled:
                agi = open_agi(
                    config,
                    store.engine,
                    forbidding=forbidding,
                    commands=None if doors is None else doors.commands,
                    ratings=None if ratings is None else ratings.decisions,
                )
                tasks["agi"] = asyncio.create_task(openings.keep_open("agi", agi.run), name="agi")
            if callbacks is not None:
                tasks["callbacks"] = asyncio.create_task(callbacks.execution.run(), name="callbacks")
            if intervals is not None:
                tasks["intervals"] = asyncio.create_task(intervals.publisher.run(), name="intervals")
            if doors is not None:
                tasks |= {name: asyncio.create_task(work, name=name) for name, work in doors.tasks().items()}
            if config.web.enabled:
                http = HttpDoor(
                    config, doors.commands if doors is not None and over_http(config) else None, metrics
                )
                tasks["web"] = asyncio.create_task(openings.keep_open("web", http.run), name="web")
            if ratings is not None:
                tasks["ratings"] = asyncio.create_task(ratings.run(), name="ratings")
            self._notify.ready()
            try:
                await until_stop(stop, list(tasks.values()))
            finally:
                self._notify.stopping()
                await wind_down(tasks, link, pump, feed)
                await kinds.last()
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

    def _open_feed(self, store: Store, tells: Tells) -> Output:
        config = self._config
        if not config.mqtt.enabled:
            return NoFeed()
        from callsteward.feed.mqtt import Feed

        outbox = Delivery(Outbox(store.engine, config.site.name), limit_bytes=config.mqtt.outbox_bytes)
        return Feed(config, boot_id=self.boot_id, tells=tells, outbox=outbox)

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


async def _gauges(
    changed: asyncio.Event, tracker: Tracker, lost: LostWatch, clock: EventClock, feed: Output
) -> None:
    """Hand the gauges over on change, at most once a second."""
    before: tuple[list[LineNow], list[OperatorNow]] | None = None
    now_ms = asterisk_now(clock)
    while True:
        now = (lost.on(tracker.lines_now()), tracker.operators_now())
        if now != before:
            before = now
            feed.gauges(*now, now_ms())
        await asyncio.sleep(GAUGES_EVERY_S)
        await changed.wait()
        changed.clear()
