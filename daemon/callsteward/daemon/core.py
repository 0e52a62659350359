"""The way of the events through the daemon, put together: what every daemon has, whatever its features."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from pathlib import Path

import aiohttp

from callsteward.ari.census import Census
from callsteward.ari.connection import open_link
from callsteward.ari.events import Listened
from callsteward.ari.frames import FrameQueue
from callsteward.ari.keeper import Keeper, NoKeeper
from callsteward.ari.link import Link, OnChange
from callsteward.ari.recorder import Recorder
from callsteward.calls.tracker import Tracker
from callsteward.clock import EventClock
from callsteward.config import Config
from callsteward.daemon.linked import Linked
from callsteward.daemon.outlet import Outlet
from callsteward.daemon.reload import Reloads
from callsteward.daemon.watchdog import Watched, health_of
from callsteward.feed.output import Output
from callsteward.health import Counters, Health, Readings
from callsteward.journal.journal import Journal
from callsteward.journal.keeping import Keeping
from callsteward.network.openings import Openings
from callsteward.part import Parts
from callsteward.store.endpoints import HeardEndpoints
from callsteward.store.records import Store
from callsteward.store.url import store_url
from callsteward.stream.held import HeldBack
from callsteward.stream.listening import Listening
from callsteward.stream.progress import Progress
from callsteward.stream.pump import Pump, Rerun


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


class Core:
    """Queue, journal, tracker and clock of one daemon. Raises JournalError where another has the journal."""

    def __init__(self, config: Config, recorder: Recorder | None, counters: Counters) -> None:
        self._config = config
        self._counters = counters
        self.tracker = Tracker(config)
        self.frames = FrameQueue(counters)
        self.clock = EventClock()
        self.openings = Openings()
        self._census = Census()
        self._listening = Listening(self.tracker)
        self._progress = Progress()
        journal = Journal(journal_path(config), fsync=True)
        self.keeping = Keeping(journal, recorder, counters, self._listening.before_compacting)

    def watched(self, linked: Linked, reloads: Reloads, paired: Callable[[Health], Health]) -> Watched:
        """The sources of the daemon's health. `paired` adds what is known of a site's two daemons."""
        return Watched(
            counters=self._counters,
            frames=self.frames,
            keeping=self.keeping,
            progress=self._progress,
            asterisk=linked.state,
            config=reloads.state,
            parts=lambda: self.openings.detail,
            paired=paired,
        )

    def readings(self, watched: Watched, feed: Output) -> Readings:
        """How the daemon does, for whoever shows it."""
        return Readings(
            counters=self._counters,
            asterisk=watched.asterisk,
            feed=feed.state,
            open_calls=lambda: self.tracker.open_calls,
            event_lag_s=lambda: self._progress.lag_s,
            frames_waiting=lambda: self.frames.depth,
            journal_bytes=lambda: self.keeping.journal_bytes,
            tasks=lambda: len(asyncio.all_tasks()),
            health=lambda: health_of(watched),
        )

    def pump(
        self,
        store: Store,
        outlet: Outlet,
        parts: Parts,
        linked: Linked,
        keeper: Keeper | NoKeeper,
        held: HeldBack | None,
    ) -> Pump:
        """The pump, connected to all that frames go through. `held`: of a daemon that stands by at first."""
        return Pump(
            frames=self.frames,
            tracker=self.tracker,
            keeping=self.keeping,
            save=store.save,
            outlet=outlet,
            census=self._census,
            clock=self.clock,
            counters=self._counters,
            progress=self._progress,
            heard_s=linked.heard_s,
            judge=parts.judge(),
            listener=parts.hear(),
            changed=outlet.changed,
            kept=keeper.done,
            listening=self._listening,
            keep_heard=self._endpoints(store).keep,
            held=held,
        )

    def _endpoints(self, store: Store) -> HeardEndpoints:
        return HeardEndpoints(store.engine, self._config.site.name)

    async def listened(self, store: Store) -> list[Listened]:
        """Which endpoints were heard, as the store has it. Raises StoreError."""
        return [item.listened for item in await self._endpoints(store).known()]

    def link(
        self, session: aiohttp.ClientSession, on_change: OnChange, keeper: Keeper | NoKeeper, left: Rerun
    ) -> Link:
        """The connection to Asterisk, which goes on where an earlier process left."""
        return open_link(
            self._config,
            self.frames,
            self._census,
            session=session,
            on_change=on_change,
            keeper=keeper,
            gap_from=left.last,
            recent=left.recent,
            closed_gracefully=left.closed_gracefully,
        )


def spare_the_collector() -> None:
    """Let the garbage collector pass over what stays for good, and look less often.

    Calls free themselves when they end; a collection over 10,000 open ones takes longer than Asterisk
    waits for its reader (100 ms).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
