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

from callsteward.ari import events
from callsteward.ari.census import Census
from callsteward.ari.connection import open_link
from callsteward.ari.counters import Counters
from callsteward.ari.frames import FrameQueue
from callsteward.ari.link import OnChange, cancelled
from callsteward.ari.recorder import Recorder
from callsteward.ari.rest import HttpTransport, Rest, open_session
from callsteward.callback.decisions import Decisions
from callsteward.callback.do_not_call import DoNotCall
from callsteward.callback.execution import Execution
from callsteward.callback.guard import Guard
from callsteward.callback.ledger import Ledger
from callsteward.callback.policy import Policy
from callsteward.callback.states import CallbackMoved
from callsteward.calls.facts import Fact, LineNow, OperatorNow
from callsteward.calls.record import CallRecord
from callsteward.calls.tracker import Tracker
from callsteward.clock import EventClock
from callsteward.config import Config
from callsteward.exceptions import CallstewardError
from callsteward.pump import Judge, Listener, Pump
from callsteward.rating import service as rating
from callsteward.rating.service import Ratings
from callsteward.rating.states import ComplaintRaised, RatingMoved
from callsteward.store.journal import Journal
from callsteward.store.records import CallQuery, Store

log = structlog.get_logger(__name__)

# All together under the 5 s that a stop may take.
PUMP_STOP_S = 2.0
FEED_STOP_S = 1.5
LINK_STOP_S = 1.2

GAUGES_EVERY_S = 1.0

Published = Fact | CallbackMoved | RatingMoved | ComplaintRaised


class Output(Protocol):
    """The feed, as the daemon uses it."""

    async def run(self) -> None: ...

    def publish(self, fact: Published) -> None: ...

    def recall(self, records: Iterable[CallRecord]) -> None: ...

    def gauges(self, lines: list[LineNow], operators: list[OperatorNow], now_ms: int) -> None: ...

    def link(self, asterisk_connected: bool, detail: str) -> None: ...

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
    """Follows one PBX. `counters` tell how it goes; `feed` replaces the MQTT feed (tests, embedding)."""

    def __init__(
        self, config: Config, *, recorder: Recorder | None = None, feed: Output | None = None
    ) -> None:
        self._config = config
        self._recorder = recorder
        self._feed = feed
        self.boot_id = uuid.uuid4().hex
        self.counters = Counters()

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set, then stop within 5 s. Raises what stopped it where that was an error."""
        config = self._config
        feed = self._feed or self._open_feed()
        async with AsyncExitStack() as stack:
            # The journal's lock first: a second daemon must not touch the store.
            journal = Journal(journal_path(config))
            stack.callback(journal.close)
            store = await Store.open(config.store.url)
            stack.push_async_callback(store.close)
            session = await stack.enter_async_context(open_session(config.asterisk))
            frames = FrameQueue(self.counters)
            tracker = Tracker(config)
            census = Census()
            clock = EventClock()
            callbacks = _callbacks(config, store, session, tracker, clock, feed)
            ratings = rating.build(
                config,
                store,
                session,
                client_numbers=tracker.client_numbers,
                now_ms=_now_by(clock),
                publish=feed.publish,
            )
            pump = Pump(
                frames=frames,
                tracker=tracker,
                journal=journal,
                save=store.save,
                outlet=feed,
                census=census,
                clock=clock,
                counters=self.counters,
                recorder=self._recorder,
                judge=_judge(callbacks, ratings),
                listener=_listener(callbacks, ratings),
            )
            log.info("starting", action="daemon_start", boot_id=self.boot_id, site=config.site.name)
            await _recall(store, config, feed)
            spare_the_collector()
            if callbacks is not None:
                await callbacks.decisions.load()
            on_change = _on_change(feed, callbacks, ratings)
            gap_from = await pump.rerun()
            link = open_link(config, frames, census, session=session, on_change=on_change, gap_from=gap_from)
            tasks = {
                "feed": asyncio.create_task(feed.run(), name="feed"),
                "pump": asyncio.create_task(pump.run(), name="pump"),
                "gauges": asyncio.create_task(_gauges(pump, tracker, clock, feed), name="gauges"),
                "ari": asyncio.create_task(link.run(), name="ari"),
            }
            if callbacks is not None:
                tasks["callbacks"] = asyncio.create_task(callbacks.execution.run(), name="callbacks")
            if ratings is not None:
                tasks["ratings"] = asyncio.create_task(ratings.run(), name="ratings")
            try:
                await _until_stop(stop, list(tasks.values()))
            finally:
                await _wind_down(tasks, pump, feed)
                log.info("stopped", action="daemon_stop", counters=self._summary())

    def _open_feed(self) -> Output:
        if not self._config.mqtt.enabled:
            return NoFeed()
        from callsteward.feed.mqtt import Feed

        return Feed(self._config, boot_id=self.boot_id)

    def _summary(self) -> dict[str, object]:
        counters = self.counters
        return {
            "frames": counters.frames,
            "events": counters.events,
            "unknown": dict(counters.unknown),
            "malformed": counters.malformed,
            "tracker_errors": counters.tracker_errors,
            "connects": counters.connects,
            "max_depth": counters.max_depth,
        }


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
) -> _Callbacks | None:
    """What decides on callbacks and carries them out; None with `callback.enabled = false`."""
    if not config.callback.enabled:
        return None

    now_ms = _now_by(clock)
    ledger = Ledger(store.engine, config.site.name)
    policy = Policy(config)
    decisions = Decisions(
        guard=Guard(config),
        policy=policy,
        ledger=ledger,
        do_not_call=DoNotCall(store.engine),
        now_ms=now_ms,
    )
    execution = Execution(
        config,
        decisions=decisions,
        policy=policy,
        ledger=ledger,
        rest=Rest(HttpTransport(session, config.asterisk)),
        operators_now=tracker.operators_now,
        now_ms=now_ms,
        publish=feed.publish,
    )
    return _Callbacks(decisions, execution)


def _now_by(clock: EventClock) -> Callable[[], int]:
    """Asterisk's clock, ours before it is known."""

    def now_ms() -> int:
        now = clock.now_ms()
        return now if now is not None else time.time_ns() // 1_000_000

    return now_ms


def _judge(callbacks: _Callbacks | None, ratings: Ratings | None) -> Judge | None:
    """The callback is decided first: who is called back is not asked for a rating."""
    if ratings is None:
        return None if callbacks is None else callbacks.decisions.judge

    async def judge(facts: Sequence[Fact]) -> Sequence[Fact]:
        if callbacks is not None:
            facts = await callbacks.decisions.judge(facts)
        return await ratings.decisions.judge(facts)

    return judge


def _listener(callbacks: _Callbacks | None, ratings: Ratings | None) -> Listener | None:
    hears = [callbacks.execution.hear] if callbacks is not None else []
    if ratings is not None:
        hears.append(ratings.surveys.hear)
    if not hears:
        return None

    def hear(event: events.Event) -> None:
        for each in hears:
            each(event)

    return hear


def _on_change(feed: Output, callbacks: _Callbacks | None, ratings: Ratings | None) -> OnChange:
    def on_change(connected: bool, detail: str) -> None:
        feed.link(connected, detail)
        if callbacks is not None:
            callbacks.execution.link(connected)
        if ratings is not None:
            ratings.surveys.link(connected)

    return on_change


async def _recall(store: Store, config: Config, feed: Output) -> None:
    """The calls of this day so far: today's counts go on where an earlier process left them."""
    midnight = datetime.now(config.site.zone).replace(hour=0, minute=0, second=0, microsecond=0)
    query = CallQuery(from_ms=int(midnight.timestamp() * 1000))
    feed.recall([record async for record in store.calls(query)])


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


async def _gauges(pump: Pump, tracker: Tracker, clock: EventClock, feed: Output) -> None:
    """Hand the gauges over on change, at most once a second."""
    before: tuple[list[LineNow], list[OperatorNow]] | None = None
    while True:
        now = (tracker.lines_now(), tracker.operators_now())
        if now != before:
            before = now
            now_ms = clock.now_ms()
            feed.gauges(*now, now_ms if now_ms is not None else time.time_ns() // 1_000_000)
        await asyncio.sleep(GAUGES_EVERY_S)
        await pump.changed.wait()
        pump.changed.clear()
