"""aiosqlite's connection, adapted to cancelled tasks and a busy daemon."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Self

import aiosqlite

from callsteward.store.database_file import BUSY_TIMEOUT_MS
from callsteward.store.trouble import DAMAGED

# A connection's page cache. SQLite's own 2 MiB for each fill over minutes without use: another connection's
# commit empties them, and the operating system has the pages anyway (as fast with 256 KiB, measured).
PAGE_CACHE_KIB = 512
# As in aiosqlite.connect; nothing here iterates over a cursor.
_ROWS_AT_A_TIME = 64


class SqliteCursor:
    """A cursor that visits the connection's thread once for each statement.

    aiosqlite's own asks its thread for the cursor, the statement, the rows and the end one by one. Each visit
    is two changes of thread, which in a busy daemon cost more than SQLite's own work.
    """

    def __init__(self, connection: SqliteConnection) -> None:
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
            # Ended here, in the thread: ending a statement waits for the one in progress, fsync and all.
            cursor = self._connection.raw.cursor()
            try:
                statement(cursor)
                self.description = cursor.description
                self._rows = deque(cursor.fetchall() if cursor.description is not None else ())
                self.rowcount, self.lastrowid = cursor.rowcount, cursor.lastrowid
            except UnicodeError as error:
                # A damaged file: SQLite's message holds a name of the schema, which is no valid text any
                # more.
                raise sqlite3.DatabaseError(DAMAGED) from error
            finally:
                cursor.close()

        await self._connection.work(work)
        return self


class SqliteConnection(aiosqlite.Connection):
    """A connection that is stopped only once, and asks its thread for as little as it can.

    If a task is cancelled twice in the middle of a statement, SQLAlchemy closes its connection and then stops
    it. aiosqlite puts the second stop after the end of its thread, where nobody handles it, and waits for it
    for ever: `asyncio.run`, which cancels the remaining tasks and waits, then never returns.
    """

    _stopped = False
    _asked = 0
    _done = 0

    @property
    def raw(self) -> sqlite3.Connection:
        """sqlite3's own connection, for the thread. Raises ValueError once it is closed."""
        return self._conn

    async def work(self, piece: Callable[[], None]) -> None:
        """Have the thread do some work, in the order asked. A task cancelled meanwhile does not stop it."""

        def counted() -> None:
            try:
                piece()
            finally:
                self._done += 1

        self._asked += 1
        await self._execute(counted)  # type: ignore[no-untyped-call]

    def cursor(self) -> SqliteCursor:  # type: ignore[override]
        return SqliteCursor(self)

    async def rollback(self) -> None:
        # A pool rolls back every connection that it gets back, and most have been committed. Work of a
        # cancelled task may still be pending: then only the thread knows.
        if self._asked != self._done or self.in_transaction:
            await super().rollback()

    def stop(self) -> asyncio.Future[Any] | None:
        """Have the thread close the connection and end; returns its future, None if stopped before."""
        if self._stopped:
            return None
        self._stopped = True
        return super().stop()


def settle_in(connection: Any) -> None:
    """Make a new connection ready; it has a cursor like sqlite3's."""
    # sqlite3 opens transactions by its own rules, none around DDL; None leaves them to us.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    # NORMAL, usual with the write-ahead log, may lose the last commits when the power goes.
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute(f"PRAGMA cache_size = -{PAGE_CACHE_KIB}")
    cursor.close()


def connected(*arguments: Any, **options: Any) -> sqlite3.Connection:
    """A connection for the thread that asks for it, with the arguments of `sqlite3`."""
    made: sqlite3.Connection = sqlite3.connect(*arguments, **options)
    try:
        settle_in(made)
    except BaseException:
        made.close()
        raise
    return made


def opened(*arguments: Any, **options: Any) -> SqliteConnection:
    """A connection to be awaited, like that of `aiosqlite.connect`, with the arguments of `sqlite3`."""

    def connector() -> sqlite3.Connection:
        made: sqlite3.Connection = sqlite3.connect(*arguments, **options)
        return made

    connection = SqliteConnection(connector, _ROWS_AT_A_TIME)
    # As SQLAlchemy does for its own: a disk that hangs must not keep the process from ending.
    connection._thread.daemon = True  # noqa: SLF001
    return connection
