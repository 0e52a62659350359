"""A cue from the test to a show that runs: a line on the show's stdin."""

from __future__ import annotations

import select
import sys

from tests.lab.errors import LabError
from tests.lab.scenarios import Stage


def until_cue(stage: Stage, limit_s: float) -> None:
    """Let the phones go on until `Playing.cue` is called. LabError if nobody does."""
    stage.exchange.until(lambda: bool(select.select([sys.stdin], [], [], 0)[0]), limit_s, "the test's cue")
    if not sys.stdin.readline():
        message = "the test ended without a cue"
        raise LabError(message)
