"""Named places at which a test kills the daemon, between a durable write and the act it allows.

They do nothing unless the environment names one: CALLSTEWARD_TEST_FAULT=after:offered, as the chaos tests
do. `points` lists them all. With CALLSTEWARD_TEST_FAULT_FILE the point counts only once that file is
there: a test arms it in the middle of a call.
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

# Frames into the journal, records into the store, the journal emptied, and what is asked of Asterisk.
ACTS = ("journal", "record", "clear", "originate", "admit", "hang_up", "ask", "forget")


def points(states: Iterable[str]) -> tuple[str, ...]:
    """Every point: before and after a ledger's row has one of these states, and before and after each act."""
    return tuple(f"{when}:{name}" for name in (*states, *ACTS) for when in ("before", "after"))


def reached(point: str) -> None:
    """Ends the process as a power cut would, where the environment asks for it at this point."""
    if _armed and _armed == point and (not _file or Path(_file).exists()):
        os.kill(os.getpid(), signal.SIGKILL)
