"""aiosqlite's connection as a cancelled task and a busy daemon need it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Self

import aiosqlite

from callsteward.store.trouble import DAMAGED

# As aiosqlite.connect has it; nothing here iterates over a cursor.
_ROWS_AT_A_TIME = 64


class Cursor:
    """A cursor whose every statement is one visit to the connection's thread.

    aiosqlite's own asks its thread for the cursor, the statement, the rows and the end one by one. Each
    visit is two changes of thread, which in a busy daemon cost more than what SQLite has to do.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows: deque[Any] = deque()
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None
        self.arraysize = 1

    async def __aenter__(self) -> Self:
        return self

    async def execute(self, statement: str, parameters: Iterable[Any] = ()) -> Self:
        return await self._do(lambda cursor: cursor.execute(statement, tuple(parameters)))

    async def executemany(self, statement: str, rows: Iterable[Iterable[Any]]) -> Self:
        return await self._do(lambda cursor: cursor.executemany(statement, [tuple(row) for row in rows]))

    async def fetchone(self) -> Any:
        return self._rows.popleft() if self._rows else None

    async def fetchmany(self, size: int | None = None) -> list[Any]:
        return [
            self._rows.popleft()
            for _ in range(min(len(self._rows), self.arraysize if size is None else size))
        ]

    async def fetchall(self) -> list[Any]:
        rows = list(self._rows)
        self._rows.clear()
        return rows

    async def close(self) -> None:
        self._rows.clear()

    async def _do(self, statement: Callable[[sqlite3.Cursor], object]) -> Self:
        def work() -> None:
            # Ended here, in the thread: to end a statement waits for the one that is in work, fsync and all.
            cursor = self._connection.raw.cursor()
            try:
                statement(cursor)
                self.description = cursor.description
                self._rows = deque(cursor.fetchall() if cursor.description is not None else ())
                self.rowcount, self.lastrowid = cursor.rowcount, cursor.lastrowid
            except UnicodeError as error:
                # A damaged file: SQLite's message has a name of the schema in it, which is no text any more.
                raise sqlite3.DatabaseError(DAMAGED) from error
            finally:
                cursor.close()

        await self._connection.work(work)
        return self


class Connection(aiosqlite.Connection):
    """A connection that is stopped once, and asks its thread for as little as it can.

    A task that is cancelled twice in the middle of a statement has SQLAlchemy close its connection and then
    stop it. aiosqlite puts the second stop behind the end of its thread, where nobody works it off, and waits
    for it for ever: `asyncio.run`, which cancels what is left and waits, then never returns.
    """

    _stopped = False
    _asked = 0
    _done = 0

    @property
    def raw(self) -> sqlite3.Connection:
        """sqlite3's own, for the thread. Raises ValueError once it is closed."""
        return self._conn

    async def work(self, piece: Callable[[], None]) -> None:
        """Have the thread do it, in the order asked; a task that is cancelled meanwhile does not stop it."""

        def counted() -> None:
            try:
                piece()
            finally:
                self._done += 1

        self._asked += 1
        await self._execute(counted)  # type: ignore[no-untyped-call]

    def cursor(self) -> Cursor:  # type: ignore[override]
        return Cursor(self)

    async def rollback(self) -> None:
        # A pool rolls back whatever comes back to it, and most has been committed. What a cancelled task
        # asked for may still be to come: then it is the thread that knows.
        if self._asked != self._done or self.in_transaction:
            await super().rollback()

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
