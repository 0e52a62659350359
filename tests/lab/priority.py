"""The lab's PBX, phones and clocks run before whatever else this machine computes.

They are the instruments that a record is measured with: a phone that waits for a processor behind another
test's JSON is late with its answer, and says nothing of callsteward. Measured on two cores that five other
test runs kept busy: a process that wakes every 5 ms is late by 75 ms at worst, as much with the highest
priority of the usual kind (Linux weighs it within a session only), and by 2 ms with a real-time policy. They
need little of the processors, and the kernel keeps a twentieth for all others.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def go_first(pid: int = 0) -> None:
    """Put a process first, and the threads and processes it starts from now on. 0: this thread.

    Where that is not allowed (it is root's) the lab goes on as any other process.
    """
    for thread in _threads(pid):
        _schedule(thread, os.SCHED_RR, 1)


def go_with_others(pid: int) -> None:
    """Put a process back that one which goes first has started: while it loads it only computes."""
    for thread in _threads(pid):
        _schedule(thread, os.SCHED_OTHER, 0)


def _threads(pid: int) -> list[int]:
    return [int(thread.name) for thread in Path(f"/proc/{pid}/task").iterdir()] if pid else [0]


def _schedule(thread: int, policy: int, priority: int) -> None:
    # One may have ended meanwhile.
    with suppress(PermissionError, ProcessLookupError):
        os.sched_setscheduler(thread, policy, os.sched_param(priority))
