"""What a process takes: memory, descriptors, threads, once a second."""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Sequence
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


def slope_mib_a_minute(samples: Sequence[Sample]) -> float:
    """How fast memory grows, by least squares."""
    return (
        60
        * statistics.linear_regression([one.at_s for one in samples], [one.rss_mib for one in samples]).slope
    )
