"""Builds what publishes intervals, from the configuration and the daemon's parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callsteward.ari.link import devices
from callsteward.ari.rest import Rest
from callsteward.config import Config
from callsteward.intervals.publisher import Enqueue, Open, Publisher
from callsteward.intervals.row import IntervalExpired, IntervalRow
from callsteward.intervals.slot import Scheme
from callsteward.intervals.store import IntervalStore
from callsteward.intervals.watch import Watch
from callsteward.store.outbox import Announce, enqueue, nobody


class Intervals:
    """The publisher and what it watches, as the daemon uses them.

    `announce` makes the messages of rows, which go into the outbox in the transaction that writes their
    revisions down.
    """

    def __init__(
        self,
        config: Config,
        engine: AsyncEngine,
        rest: Rest,
        *,
        now_ms: Callable[[], int],
        still_open: Callable[[], Open],
        publish: Callable[[IntervalRow | IntervalExpired], None],
        announce: Announce = nobody,
    ) -> None:
        store = IntervalStore(engine, config.site.name)
        self._now_ms = now_ms
        self.overtaken = 0
        """Revisions that were not sent, since a newer one was made while they waited for the broker."""
        self.watch = Watch(store, rest, devices(config), keeps_events=config.asterisk.connect == "outbound")
        self.publisher = Publisher(
            scheme(config),
            store,
            self.watch,
            now_ms=now_ms,
            still_open=still_open,
            publish=publish,
            enqueue=self._enqueue(announce),
            expire_s=config.intervals.expire_hours * 3600,
        )

    def link(self, connected: bool) -> None:
        """The link to Asterisk was made, or lost."""
        self.watch.link(connected, self._now_ms())

    def _enqueue(self, announce: Announce) -> Enqueue:
        async def put(connection: AsyncConnection, rows: Sequence[IntervalRow], at_ms: int) -> None:
            messages = [message for row in rows for message in announce(row, at_ms)]
            self.overtaken += await enqueue(connection, messages)

        return put


def scheme(config: Config, minutes: int | None = None) -> Scheme:
    """Which rows there are; `minutes` other than the configured ones for a report."""
    return Scheme(
        site=config.site.name,
        minutes=minutes or config.intervals.minutes,
        thresholds_s=config.intervals.answer_within_s,
        lines=tuple(line.name for line in config.lines) or (config.default_line,),
        operators=tuple(config.operators),
    )
