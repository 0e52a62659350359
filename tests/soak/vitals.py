"""The resources of a process: memory, descriptors, threads; the objects that it holds without work."""

from __future__ import annotations

import os
import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICK = os.sysconf("SC_CLK_TCK")
MIB = 1024 * 1024
EVERY_S = 1.0


@dataclass(frozen=True)
class Sample:
    """`at_s` by the monotonic clock; `cpu_s` since the process began."""

    at_s: float
    rss_mib: float
    descriptors: int
    threads: int
    cpu_s: float


def sample(pid: int) -> Sample:
    """A process at this moment. Raises OSError where it is gone."""
    folder = Path("/proc") / str(pid)
    rss = int((folder / "statm").read_text().split()[1]) * _PAGE
    # The name in parentheses may hold spaces.
    stat = (folder / "stat").read_text().rpartition(")")[2].split()
    return Sample(
        time.monotonic(),
        rss / MIB,
        len(list((folder / "fd").iterdir())),
        int(stat[17]),
        (int(stat[11]) + int(stat[12])) / _TICK,
    )


class Watch:
    """Samples of a process while it runs. Use as a context manager."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="vitals", daemon=True)
        self.samples: list[Sample] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(EVERY_S):
            try:
                self.samples.append(sample(self._pid))
            except OSError:
                return


@dataclass(frozen=True)
class Held:
    """The objects that a daemon without a call holds.

    `tasks`: asyncio's, by its own count. `descriptors`: all but the database's, whose connections (five at
    most stay open in SQLAlchemy's pool) are made when several are wanted at once, be it in the last minute.
    """

    tasks: int
    descriptors: int

    def no_more_than(self, other: Held) -> bool:
        """True if nothing has been added."""
        return self.tasks <= other.tasks and self.descriptors <= other.descriptors


class Metrics:
    """The daemon's /metrics."""

    def __init__(self, port: int, token: str) -> None:
        self._request = urllib.request.Request(
            f"http://127.0.0.1:{port}/metrics",
            headers={"Authorization": f"Bearer {token}", "Connection": "close"},
        )

    def read(self, name: str) -> float:
        """One number. Raises OSError where nobody answers, KeyError where it is not among them."""
        with urllib.request.urlopen(self._request, timeout=10) as answer:
            for line in answer.read().decode().splitlines():
                key, _, value = line.partition(" ")
                if key == name:
                    return float(value)
        raise KeyError(name)


def held(pid: int, metrics: Metrics) -> Held:
    """The objects that a process holds at this moment."""
    tasks = int(metrics.read("callsteward_asyncio_tasks"))
    return Held(tasks, sum(".db" not in target for target in _targets(pid)))


def least(hold: Callable[[], Held], for_s: float) -> Held:
    """The fewest objects that it holds within `for_s` seconds: those of a moment's work are left out."""
    until = time.monotonic() + for_s
    found = [hold()]
    while time.monotonic() < until:
        time.sleep(0.2)
        found.append(hold())
    return Held(min(one.tasks for one in found), min(one.descriptors for one in found))


def _targets(pid: int) -> list[str]:
    found = []
    for entry in (Path("/proc") / str(pid) / "fd").iterdir():
        try:
            found.append(entry.readlink().name)
        except FileNotFoundError:
            continue  # closed just now
    return found
