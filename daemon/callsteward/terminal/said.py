"""Who runs a command, and when: what is kept of a deed beside the comment."""

from __future__ import annotations

import getpass
import time


def who() -> str:
    """The name of whoever runs the command, for the books."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "admin"


def now_ms() -> int:
    """This machine's time in milliseconds since 1970."""
    return time.time_ns() // 1_000_000
