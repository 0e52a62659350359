"""Named places at which a test kills the daemon, between a durable write and the act it allows.

They do nothing unless the environment names one: CALLSTEWARD_TEST_FAULT=after:offered, as the chaos tests
do. `points()` lists them all. With CALLSTEWARD_TEST_FAULT_FILE the point counts only once that file is
there: a test arms it in the middle of a call.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from callsteward.callback.states import State

VARIABLE = "CALLSTEWARD_TEST_FAULT"
FILE_VARIABLE = "CALLSTEWARD_TEST_FAULT_FILE"
_armed = os.environ.get(VARIABLE, "")
_file = os.environ.get(FILE_VARIABLE, "")

# Beside the ledger's steps: frames into the journal, records into the store, the journal emptied, and what is
# asked of Asterisk.
_OTHERS = ("journal", "record", "clear", "originate", "admit", "hang_up", "ask", "forget")


def points() -> tuple[str, ...]:
    """Every point: before and after each durable write, and before and after each act."""
    names = (*(state.value for state in State), *_OTHERS)
    return tuple(f"{when}:{name}" for name in names for when in ("before", "after"))


def reached(point: str) -> None:
    """Ends the process as a power cut would, where the environment asks for it at this point."""
    if _armed and _armed == point and (not _file or Path(_file).exists()):
        os.kill(os.getpid(), signal.SIGKILL)
