"""Named points at which a test kills the daemon, between a durable write and the act it allows.

They do nothing unless the environment names one: CALLSTEWARD_TEST_FAULT=after:offered, as the chaos tests do.
`points` lists them all. With CALLSTEWARD_TEST_FAULT_FILE a point counts only once that file exists: a test
arms it in the middle of a call.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from pathlib import Path

VARIABLE = "CALLSTEWARD_TEST_FAULT"
FILE_VARIABLE = "CALLSTEWARD_TEST_FAULT_FILE"
_armed = os.environ.get(VARIABLE, "")
_file = os.environ.get(FILE_VARIABLE, "")

# Frames into the journal, records into the store, the journal emptied, and requests to Asterisk.
ACTS = ("journal", "record", "clear", "originate", "admit", "hang_up", "ask", "forget")


def points(states: Iterable[str]) -> tuple[str, ...]:
    """Every point: before and after a ledger's row gets one of these states, and around each act."""
    return tuple(f"{when}:{name}" for name in (*states, *ACTS) for when in ("before", "after"))


def reached(point: str) -> None:
    """End the process as a power cut would, if the environment names this point."""
    if _armed and _armed == point and (not _file or Path(_file).exists()):
        os.kill(os.getpid(), signal.SIGKILL)
