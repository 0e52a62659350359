"""aiosqlite's connection as a cancelled task needs it."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Any

import aiosqlite

# As aiosqlite.connect has it; nothing here iterates over a cursor.
_ROWS_AT_A_TIME = 64


class Connection(aiosqlite.Connection):
    """A connection that is stopped once.

    A task that is cancelled twice in the middle of a statement has SQLAlchemy close its connection and then
    stop it. aiosqlite puts the second stop behind the end of its thread, where nobody works it off, and waits
    for it for ever: `asyncio.run`, which cancels what is left and waits, then never returns.
    """

    _stopped = False

    def stop(self) -> asyncio.Future[Any] | None:
        """Have the thread close the connection and end; a future of that, None where it was told before."""
        if self._stopped:
            return None
        self._stopped = True
        return super().stop()


def opened(*arguments: Any, **options: Any) -> Connection:
    """A connection still to be awaited, as `aiosqlite.connect` gives it; takes what `sqlite3` does."""

    def connector() -> sqlite3.Connection:
        made: sqlite3.Connection = sqlite3.connect(*arguments, **options)
        return made

    connection = Connection(connector, _ROWS_AT_A_TIME)
    # As SQLAlchemy does it for its own: a disk that hangs must not keep the process from ending.
    connection._thread.daemon = True  # noqa: SLF001
    return connection
