"""The composition root: builds the daemon's parts, starts them, watches them, stops them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import datetime

import structlog
from aiohttp import ClientSession

from callsteward import features as all_features
from callsteward.ari.connection import open_keeper
from callsteward.ari.link import OnChange
from callsteward.ari.recorder import Recorder
from callsteward.ari.rest import HttpTransport, Rest, open_session
from callsteward.clock import steady_ms
from callsteward.config import Config
from callsteward.daemon.acting import ActingTransport
from callsteward.daemon.core import Core, spare_the_collector
from callsteward.daemon.duty import Own, Works, duty_of
from callsteward.daemon.linked import Linked
from callsteward.daemon.outlet import Outlet
from callsteward.daemon.reload import Reloads
from callsteward.daemon.stopping import Tasks, closed
from callsteward.daemon.watchdog import watch
from callsteward.feed.delivery import Delivery
from callsteward.feed.output import NoFeed, Output
from callsteward.feed.tell import Tells
from callsteward.health import Counters, Readings
from callsteward.notify import Notify
from callsteward.outgoing.may import May
from callsteward.part import Feature, Parts, Site
from callsteward.store.engine import shown
from callsteward.store.message import Announce, nobody
from callsteward.store.outbox import Outbox
from callsteward.store.records import CallQuery, Store
from callsteward.stream.deliveries import DeliveryCounts
from callsteward.stream.trunk_numbers import TrunkNumberCounts

log = structlog.get_logger(__name__)


class Daemon:
    """Follows one PBX. `counters` tell how it goes; `feed` replaces the MQTT feed (tests, embedding).

    `hang_up` is set (SIGHUP) to have the configuration read anew by `load`. `features`: those of the package,
    and a program's own.
    """

    def __init__(
        self,
        config: Config,
        *,
        recorder: Recorder | None = None,
        feed: Output | None = None,
        load: Callable[[], Config] | None = None,
        features: Sequence[Feature] = all_features.FEATURES,
    ) -> None:
        self._config = config
        self._recorder = recorder
        self._feed = feed
        self._load = load
        self._features = features
        self.boot_id = uuid.uuid4().hex
        self.counters = Counters()
        self.hang_up = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set, then stop within 5 s. Raises what stopped it where that was an error."""
        config, counters, notify = self._config, self.counters, Notify()
        tells = all_features.tells(config, self._features)
        announce = tells.outgoing if config.mqtt.enabled and not self._feed else nobody
        async with AsyncExitStack() as stack:
            # The journal's lock first: a second daemon must not touch the store.
            core = Core(config, self._recorder, counters)
            stack.push_async_callback(core.keeping.close)
            # A second daemon of the site on another machine must not either, unless it stands by.
            duty = duty_of(config, self.boot_id, core.clock.asterisk_ms)
            stack.push_async_callback(duty.claim.close)
            await duty.identify(config)
            compress = config.store.compresses
            store = await Store.open(config.store.url, announce, claim=duty.claim, compress=compress)
            stack.push_async_callback(closed, store)
            await duty.join()
            _say_where(config)
            session = await stack.enter_async_context(open_session(config.asterisk))
            keeper = open_keeper(config, notify)
            stack.callback(keeper.close)
            feed = self._feed or _open_feed(config, store, tells, self.boot_id, duty.may_act)
            parts, linked = Parts(stand_by=duty.stands_by), Linked()
            outlet = Outlet(feed, parts)
            reloads = Reloads(config, self._load, self.hang_up, counters=counters, notify=notify)
            watched = core.watched(linked, reloads, duty.health)
            readings = core.readings(watched, feed)
            site = self._site(core, store, session, outlet, announce, readings, duty.may_act)
            parts.open(self._features, site)
            pump = core.pump(store, outlet, parts, linked, keeper, duty.held)
            log.info("starting", action="daemon_start", boot_id=self.boot_id, site=config.site.name)
            await _recall(store, config, feed, told=duty.recalled)
            spare_the_collector()
            await duty.resume(parts)
            left = await pump.rerun(await core.listened(store))
            kinds = DeliveryCounts(core.tracker, TrunkNumberCounts(store.engine, config.site.name))
            kinds.forget()
            link = core.link(session, _each([linked.change, feed.link, parts.link, duty.link]), keeper, left)
            taking = [part.reconfigure for part in parts.having("reconfigure")]
            tasks = Tasks(parts)
            tasks.start(
                pump=pump.run(),
                claim=duty.claim.keep(),
                link=link.run(),
                watch=watch(watched, feed, notify, clock_set=pump.machine_clock_set),
                reload=reloads.run([core.tracker.reconfigure, feed.reconfigure, *taking]),
            )
            own = Own(feed=feed.run, gauges=lambda: outlet.gauges(core.tracker, site.now_ms), kinds=kinds.run)
            works = Works(site, tasks, own, pump, feed, kinds, linked, notify.ready)
            try:
                await duty.act(works, stop)
            finally:
                notify.stopping()
                await tasks.wind_down(link, pump, feed, duty.hand_over)
                if duty.may_act():
                    await kinds.last()
                log.info("stopped", action="daemon_stop", counters=counters.summary())

    def _site(
        self,
        core: Core,
        store: Store,
        session: ClientSession,
        outlet: Outlet,
        announce: Announce,
        readings: Readings,
        may_act: Callable[[], bool],
    ) -> Site:
        config, now_ms = self._config, core.clock.asterisk_ms
        return Site(
            config=config,
            boot_id=self.boot_id,
            store=store,
            session=session,
            rest=Rest(ActingTransport(HttpTransport(session, config.asterisk), may_act)),
            tracker=core.tracker,
            frames=core.frames,
            now_ms=now_ms,
            steady_ms=steady_ms,
            publish=outlet.publish,
            announce=announce,
            may=May.of(config, store.engine),
            forbidding=all_features.forbidding(
                store.engine,
                config.site.name,
                now_ms=now_ms,
                announce=announce,
                told=outlet.publish,
                features=self._features,
            ),
            counters=self.counters,
            readings=readings,
            openings=core.openings,
            changed=outlet.changed.set,
            parts=outlet.parts,
            may_act=may_act,
        )


def _say_where(config: Config) -> None:
    log.info("opened the store", action="store_opened", store=shown(config.store.url))
    if config.store.warning:
        log.warning(config.store.warning, action="store_in_working_folder")


def _open_feed(
    config: Config, store: Store, tells: Tells, boot_id: str, may_act: Callable[[], bool]
) -> Output:
    if not config.mqtt.enabled:
        return NoFeed()
    from callsteward.feed.mqtt import Feed

    outbox = Delivery(Outbox(store.engine, config.site.name), limit_bytes=config.mqtt.outbox_bytes)
    return Feed(config, boot_id=boot_id, tells=tells, outbox=outbox, may_act=may_act)


def _each(listeners: Sequence[OnChange]) -> OnChange:
    def on_change(connected: bool, detail: str) -> None:
        for listener in listeners:
            listener(connected, detail)

    return on_change


async def _recall(
    store: Store, config: Config, feed: Output, told: Callable[[str], None] | None = None
) -> None:
    """The calls of this day so far: today's counts go on where an earlier process left them.

    `told` gets the call of each.
    """
    midnight = datetime.now(config.site.zone).replace(hour=0, minute=0, second=0, microsecond=0)
    query = CallQuery(site=config.site.name, from_ms=int(midnight.timestamp() * 1000))
    # One by one: all of a busy day at once would be hundreds of megabytes, and the heap keeps them.
    async for record in store.calls(query):
        feed.recall((record,))
        if told is not None:
            told(record.call_id)
