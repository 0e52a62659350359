"""Intervals in the daemon: who is there is watched, rows are summed, kept and published."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from callsteward.ari.events import Event
from callsteward.ari.link import devices
from callsteward.intervals.catching_up import REST, CatchingUp
from callsteward.intervals.keeping import SumsKeeper
from callsteward.intervals.observed import Observed
from callsteward.intervals.publisher import Open, Publisher
from callsteward.intervals.row import IntervalRow
from callsteward.intervals.scheme import scheme
from callsteward.intervals.store import IntervalStore
from callsteward.part import Part, Site
from callsteward.store.outbox import enqueue


class IntervalsPart(Part):
    def __init__(self, site: Site) -> None:
        config = site.config
        store = IntervalStore(site.store.engine, site.name)
        self._site = site
        keeps = config.asterisk.connect == "outbound"
        self._observed = Observed(store, site.rest, devices(config), keeps_events=keeps)
        self._publisher = Publisher(
            scheme(config),
            store,
            self._observed,
            now_ms=site.now_ms,
            still_open=lambda: Open(site.tracker.open_since_ms, site.frames.idle),
            publish=site.publish,
            enqueue=self._enqueue,
            expire_s=config.intervals.expire_hours * 3600,
        )

        keeper = SumsKeeper(site.store.engine, site.name, rest=REST)
        self._catching_up = CatchingUp(keeper, site.now_ms)

    def hear(self, event: Event) -> None:
        self._observed.hear(event)

    def take_over(self, since_ms: int) -> None:
        self._observed.take_over(since_ms)

    def link(self, connected: bool, why: str) -> None:
        del why
        self._observed.link(connected, self._site.now_ms())

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._publisher.run())
            tasks.create_task(self._catching_up.run())

    async def _enqueue(self, connection: AsyncConnection, rows: Sequence[IntervalRow], at_ms: int) -> None:
        messages = [message for row in rows for message in self._site.announce(row, at_ms)]
        self._site.counters.overtaken_intervals += await enqueue(connection, messages)
