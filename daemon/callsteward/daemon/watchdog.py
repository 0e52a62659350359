"""Once a second: how the daemon does, to the feed and to systemd, which restarts one that is stuck."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

import structlog

from callsteward import heap
from callsteward.ari.frames import FrameQueue
from callsteward.clock import WallClock
from callsteward.health import ConfigState, Counters, DiskState, Health
from callsteward.journal.keeping import STALL_S, Keeping
from callsteward.notify import Notify
from callsteward.stream.progress import Progress

log = structlog.get_logger(__name__)

EVERY_S = 1.0
TRIM_EVERY_S = 60.0


class Hears(Protocol):
    def health(self, health: Health) -> None: ...


class Watched(NamedTuple):
    """The sources of the health, looked at each second."""

    counters: Counters
    frames: FrameQueue
    keeping: Keeping
    progress: Progress
    asterisk: Callable[[], tuple[bool, str]]
    """Whether Asterisk is connected, and why not."""
    config: Callable[[], tuple[ConfigState, str]]
    """The state of the configuration that SIGHUP read, and its detail."""
    parts: Callable[[], str] = str
    """Which optional parts wait for a port and why; empty while none does."""
    paired: Callable[[Health], Health] = lambda health: health
    """Adds to a health what is known of the other daemon of the site."""


def health_of(watched: Watched) -> Health:
    """The health at this moment."""
    counters, keeping = watched.counters, watched.keeping
    disk: DiskState = "working"
    detail = ""
    if keeping.stalled_s > STALL_S:
        disk, detail = "hangs", "a write to the journal does not end: calls are heard, and wait"
    elif _store_hangs(watched.progress):
        disk, detail = "hangs", "a write to the database does not end: calls are heard, and wait"
    elif keeping.trouble:
        disk, detail = "refuses", keeping.trouble
    config, config_detail = watched.config()
    waiting = watched.parts()
    health = Health(
        frames_waiting=watched.frames.depth,
        frames_shed=sum(counters.shed.values()),
        overflows=counters.overflows,
        disconnects=counters.disconnects,
        refused=counters.refused,
        silences=counters.silences,
        malformed=counters.malformed,
        tracker_errors=counters.tracker_errors,
        clock_steps=counters.clock_steps,
        disk=disk,
        disk_detail=detail,
        config=config,
        config_detail=config_detail,
        parts="waiting" if waiting else "open",
        parts_detail=waiting,
    )
    return watched.paired(health)


def _store_hangs(progress: Progress) -> bool:
    return progress.waits_for == "store" and progress.since_s > STALL_S


def in_a_line(watched: Watched, health: Health) -> str:
    """For `systemctl status`."""
    connected, why = watched.asterisk()
    parts = ["connected to Asterisk" if connected else f"no link to Asterisk: {why}"]
    if health.role != "alone":
        parts.insert(0, f"{health.role.replace('_', ' ')} as {health.instance}")
        if health.standby != "ready":
            parts.append(f"no standby: {health.standby_detail}" if health.role == "acts" else "not ready")
    if health.disk != "working":
        parts.append(f"the disk {health.disk}")
    if health.config != "current":
        parts.append(health.config_detail)
    if health.parts_detail:
        parts.append(health.parts_detail)
    if health.frames_shed:
        parts.append(f"{health.frames_shed} events left out")
    return "; ".join(parts)


async def watch(
    watched: Watched,
    feed: Hears,
    notify: Notify,
    *,
    clock_set: Callable[[], None],
    clock: WallClock | None = None,
) -> None:
    """Look until cancelled; `clock_set` is called where the machine's clock was set."""
    clock = clock or WallClock()
    said = ""
    hung = False
    trimmed_s = time.monotonic()
    while True:
        hangs = _store_hangs(watched.progress)
        if hangs and not hung:
            watched.counters.disk_stalls += 1
            log.error("the store hangs: calls are heard and wait", action="disk_stalled")
        elif hung and not hangs:
            log.warning("the store works again", action="disk_resumed")
        hung = hangs
        step_s = clock.step_s()
        if step_s:
            watched.counters.clock_steps += 1
            clock_set()
            log.warning(
                "the machine's clock was set",
                action="clock_step",
                step_s=round(step_s, 3),
            )
        health = health_of(watched)
        feed.health(health)
        notify.status(in_a_line(watched, health))
        stuck = watched.progress.stuck(watched.frames.depth)
        if not stuck:
            notify.alive()
        elif not said:
            log.error("no progress: systemd's watchdog will restart the daemon", action="stuck", why=stuck)
        said = stuck
        if time.monotonic() - trimmed_s >= TRIM_EVERY_S:
            trimmed_s = time.monotonic()
            await asyncio.to_thread(heap.trim)
        await asyncio.sleep(EVERY_S)
