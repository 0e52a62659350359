"""How the daemon does: what status, systemd and the log are told each second."""

import asyncio
import ctypes
from collections.abc import Callable

import pytest

from callsteward import heap
from callsteward.ari.frames import FrameQueue
from callsteward.clock import WallClock
from callsteward.daemon import watchdog
from callsteward.daemon.watchdog import Watched, health_of, in_a_line, watch
from callsteward.health import Counters, Health
from callsteward.journal.journal import Journal
from callsteward.journal.keeping import Keeping
from callsteward.notify import Notify
from callsteward.stream.progress import WORK_LIMIT_S, Progress


class Systemd(Notify):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__("")
        self.said: list[str] = []

    def _send(self, text: str, *_files: int) -> None:
        self.said.append(text)


class Feed:
    def __init__(self) -> None:
        self.healths: list[Health] = []

    def health(self, health: Health) -> None:
        self.healths.append(health)


def watched(progress: Progress | None = None) -> Watched:
    counters = Counters()
    return Watched(
        counters,
        FrameQueue(counters),
        Keeping(Journal(None), None, counters),
        progress or Progress(),
        lambda: (True, ""),
        lambda: ("current", ""),
    )


async def looked(
    what: Watched, clock: WallClock | None = None, clock_set: Callable[[], None] = lambda: None
) -> tuple[Feed, Systemd]:
    feed, systemd = Feed(), Systemd()
    task = asyncio.create_task(watch(what, feed, systemd, clock_set=clock_set, clock=clock))
    while len(feed.healths) < 3:  # noqa: ASYNC110
        await asyncio.sleep(0.005)
    task.cancel()
    return feed, systemd


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(watchdog, "EVERY_S", 0.01)


async def test_all_is_well():
    feed, systemd = await looked(watched())
    assert feed.healths[-1] == Health()
    assert systemd.said[:2] == ["STATUS=connected to Asterisk", "WATCHDOG=1"]
    assert systemd.said.count("WATCHDOG=1") >= 3


async def test_a_stuck_pump_is_reported_once_and_gets_no_watchdog_ping(capsys):
    now_s = 0.0
    progress = Progress(lambda: now_s)
    progress.working()
    now_s = WORK_LIMIT_S + 1
    _, systemd = await looked(watched(progress))
    assert "WATCHDOG=1" not in systemd.said
    assert capsys.readouterr().out.count("works at one batch") == 1


async def test_a_clock_that_is_set_is_counted_and_logged(capsys):
    wall = [1000.0]
    clock = WallClock(lambda: wall[0], lambda: 5.0)
    told: list[bool] = []
    what = watched()

    def clock_set() -> None:
        told.append(True)

    wall[0] += 3600
    await looked(what, clock, clock_set)
    wall[0] -= 7200
    feed, _ = await looked(what, clock, clock_set)
    assert what.counters.clock_steps == len(told) == 2
    assert feed.healths[-1].clock_steps == 2
    said = capsys.readouterr().out
    assert "step_s=3600.0" in said
    assert "step_s=-7200.0" in said


def test_a_clock_that_ntp_slews_is_not_set():
    wall, monotonic = [1000.0], [5.0]
    clock = WallClock(lambda: wall[0], lambda: monotonic[0])
    for _ in range(100):
        wall[0] += 1.0005
        monotonic[0] += 1.0
        assert clock.step_s() == 0


async def test_each_trouble_has_its_field():
    what = watched()._replace(
        asterisk=lambda: (False, "no answer"),
        config=lambda: ("refused", "no such key"),
        parts=lambda: "[web]: cannot listen",
    )
    what.counters.shed["speech"] = 3
    what.counters.shed["unused"] = 4
    what.counters.refused = 2
    what.counters.silences = 1
    what.frames.put(b"frame")
    what.keeping.trouble = "No space left on device"
    health = health_of(what)
    assert health == Health(
        frames_waiting=1,
        frames_shed=7,
        refused=2,
        silences=1,
        disk="refuses",
        disk_detail="No space left on device",
        config="refused",
        config_detail="no such key",
        parts="waiting",
        parts_detail="[web]: cannot listen",
    )
    assert in_a_line(what, health) == (
        "no link to Asterisk: no answer; the disk refuses; no such key; [web]: cannot listen;"
        " 7 events left out"
    )
    assert Health(frames_waiting=5).news == Health().news
    assert health.news != Health().news


async def test_a_disk_that_hangs_is_seen(monkeypatch):
    what = watched()
    monkeypatch.setattr(Keeping, "stalled_s", property(lambda _: 2.0))
    assert health_of(what).disk == "hangs"


async def test_a_store_that_hangs_is_counted_and_said_once(capsys):
    now_s = 0.0
    progress = Progress(lambda: now_s)
    what = watched(progress)
    with progress.waiting("store"):
        now_s = 2.0
        feed, _ = await looked(what)
    assert feed.healths[-1].disk == "hangs"
    assert "database" in feed.healths[-1].disk_detail
    assert what.counters.disk_stalls == 1
    assert capsys.readouterr().out.count("disk_stalled") == 1
    feed, _ = await looked(what)
    assert feed.healths[-1].disk == "working"


async def test_free_memory_is_given_back_now_and_then(monkeypatch):
    trims: list[None] = []
    monkeypatch.setattr(heap, "trim", lambda: trims.append(None))
    await looked(watched())
    assert trims == []
    monkeypatch.setattr(watchdog, "TRIM_EVERY_S", 0.0)
    await looked(watched())
    assert trims


def test_without_glibc_nothing_is_given_back(monkeypatch):
    heap.trim()
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())
    heap.trim()
