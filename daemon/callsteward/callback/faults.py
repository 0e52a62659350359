"""Named places at which a test kills the daemon, between a durable write and the act it allows.

They do nothing unless the environment names one: CALLSTEWARD_TEST_FAULT=after:offered, as the chaos tests
do. `points()` lists them all.
"""

from __future__ import annotations

import os
import signal

from callsteward.callback.states import State

VARIABLE = "CALLSTEWARD_TEST_FAULT"
_armed = os.environ.get(VARIABLE, "")


def points() -> tuple[str, ...]:
    """Every point: before and after each transition's write, and around the originate."""
    moves = [f"{when}:{state.value}" for state in State for when in ("before", "after")]
    return (*moves, "before:originate", "after:originate")


def reached(point: str) -> None:
    """Ends the process as a power cut would, where the environment asks for it at this point."""
    if _armed and _armed == point:
        os.kill(os.getpid(), signal.SIGKILL)
