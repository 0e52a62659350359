"""Whole transactions in one go, for the work that every call brings.

A piece of work is a plain function that is given the database (`Sql`) and returns what it found. For SQLite
it runs in a thread that has a connection of its own: one change of thread there and one back for a whole
transaction, where a statement at a time would cost two for each. For PostgreSQL it runs on a connection of
the engine.

Work that nobody has to wait for is done `along` with the next transaction.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncEngine

from callsteward.network.worker import Worker
from callsteward.store.engine import alone, turn, writing
from callsteward.store.prepared import Bound, Prepared
from callsteward.store.sqlite import connected

T = TypeVar("T")
_NONE: Bound = {}
# How long a disposed engine waits for the end of a thread: a disk that hangs must not keep the process.
_END_S = 0.5


class Sql(Protocol):
    """The database inside a piece of work. Rows are sequences in the order of the statement's columns."""

    def rows(self, statement: Prepared, values: Bound = _NONE) -> Sequence[Sequence[Any]]:
        """The rows of one execution."""
        ...

    def count(self, statement: Prepared, values: Bound = _NONE) -> int:
        """How many rows one execution changed."""
        ...

    def each(self, statement: Prepared, values: Sequence[Bound]) -> Sequence[Sequence[Any]]:
        """Executed for each of these; all rows that came back."""
        ...

    def many(self, statement: Prepared, values: Sequence[Bound]) -> None:
        """Executed for each of these, of which no rows come back."""
        ...


Piece = Callable[[Sql], T]


class OfSqlAlchemy:
    """On a connection of the engine's."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def rows(self, statement: Prepared, values: Bound = _NONE) -> Sequence[Sequence[Any]]:
        return self._connection.execute(statement.statement, values).all()

    def count(self, statement: Prepared, values: Bound = _NONE) -> int:
        return self._connection.execute(statement.statement, values).rowcount

    def each(self, statement: Prepared, values: Sequence[Bound]) -> Sequence[Sequence[Any]]:
        return self._connection.execute(statement.statement, values).all()

    def many(self, statement: Prepared, values: Sequence[Bound]) -> None:
        self._connection.execute(statement.statement, values)


class _OfSqlite:
    """On sqlite3's own connection, in its thread."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, statement: Prepared, values: Bound = _NONE) -> Sequence[Sequence[Any]]:
        return self._connection.execute(*statement.for_sqlite(values)).fetchall()

    def count(self, statement: Prepared, values: Bound = _NONE) -> int:
        return self._connection.execute(*statement.for_sqlite(values)).rowcount

    def each(self, statement: Prepared, values: Sequence[Bound]) -> Sequence[Sequence[Any]]:
        return [row for one in values for row in self.rows(statement, one)]

    def many(self, statement: Prepared, values: Sequence[Bound]) -> None:
        text, _ = statement.for_sqlite(values[0])
        self._connection.executemany(text, [statement.for_sqlite(one)[1] for one in values])


class _Along(Generic[T]):
    """Work that waits for the next transaction."""

    __slots__ = ("settle", "work")

    def __init__(self, work: Piece[T], settle: Callable[[T], None]) -> None:
        self.work = work
        self.settle = settle


class _Thread:
    """A connection in a thread of its own; it is opened by the first work."""

    def __init__(self, name: str, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._connection: sqlite3.Connection | None = None
        self._worker = Worker(name, at_end=self._close)

    def do(
        self,
        work: Piece[T],
        *,
        writes: bool,
        after: Callable[[Any, BaseException | None], None] | None = None,
    ) -> asyncio.Future[T]:
        """The result of `work`, which once begun runs to its end. `after`: see `Worker.do`."""

        def piece() -> T:
            return self._written(work) if writes else work(_OfSqlite(self._opened()))

        return self._worker.do(piece, after=after)

    def end(self) -> None:
        """Close the connection and end, behind what was asked before."""
        self._worker.close(_END_S)

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _written(self, work: Piece[T]) -> T:
        connection = self._opened()
        # The write lock at once: see `engine.writing`.
        connection.execute("BEGIN IMMEDIATE")
        try:
            result = work(_OfSqlite(connection))
            connection.execute("COMMIT")
        except BaseException:
            self._roll_back(connection)
            raise
        return result

    def _roll_back(self, connection: sqlite3.Connection) -> None:
        # SQLite itself does where the disk is full or fails.
        if connection.in_transaction:
            try:
                connection.execute("ROLLBACK")
            except sqlite3.Error:
                # A connection that cannot is of no use any more.
                self._connection = None
                connection.close()


class _Direct:
    """One engine's threads, if it is SQLite's, and the work that waits for a transaction."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.along: list[_Along[Any]] = []
        self._threads: dict[str, _Thread] = {}
        # The engine itself is not to be held here.
        self._arguments = engine.dialect.create_connect_args(engine.url)
        event.listen(engine.sync_engine, "engine_disposed", self._end)

    def thread(self, name: str) -> _Thread:
        if name not in self._threads:
            arguments, options = self._arguments
            self._threads[name] = _Thread(f"store {name}", lambda: connected(*arguments, **options))
        return self._threads[name]

    def _end(self, _engine: object) -> None:
        while self._threads:
            self._threads.popitem()[1].end()


_all: WeakKeyDictionary[AsyncEngine, _Direct] = WeakKeyDictionary()


def _of(engine: AsyncEngine) -> _Direct:
    found = _all.get(engine)
    if found is None:
        found = _all[engine] = _Direct(engine)
    return found


async def read(engine: AsyncEngine, work: Piece[T]) -> T:
    """The result of `work`. Its statements need not see the same moment."""
    if engine.dialect.name == "sqlite":
        return await _of(engine).thread("reader").do(work, writes=False)
    async with engine.connect() as connection:
        return await connection.run_sync(lambda sync: work(OfSqlAlchemy(sync)))


async def write(engine: AsyncEngine, work: Piece[T]) -> T:
    """The result of `work`, in a transaction that writes: committed when this returns, or rolled back.

    Cancelled, it may be committed all the same. Raises RuntimeError inside another transaction (`writing`).
    """
    direct = _of(engine)
    taken: list[_Along[Any]] = []

    def together(sql: Sql) -> tuple[list[Any], T]:
        return [one.work(sql) for one in taken], work(sql)

    def done(found: tuple[list[Any], T]) -> None:
        for one, result in zip(taken, found[0], strict=True):
            one.settle(result)

    def failed() -> None:
        direct.along[:0] = taken

    def after(found: Any, error: BaseException | None) -> None:
        if error is None:
            done(found)
        else:
            failed()

    if engine.dialect.name == "sqlite":
        alone(engine)
        async with turn(engine):
            taken, direct.along = direct.along, []
            return (await direct.thread("writer").do(together, writes=True, after=after))[1]
    try:
        async with writing(engine) as connection:
            taken, direct.along = direct.along, []
            found = await connection.run_sync(lambda sync: together(OfSqlAlchemy(sync)))
    except BaseException:
        failed()
        raise
    done(found)
    return found[1]


def along(engine: AsyncEngine, work: Piece[T], settle: Callable[[T], None] = lambda _: None) -> None:
    """Have `work` done in the next transaction of `write`, ahead of that one's own.

    Where that fails it waits for the one after it. It may be done twice, and must come to the same then.
    `settle` gets what it returned, once that is on disk.
    """
    _of(engine).along.append(_Along(work, settle))


async def flush(engine: AsyncEngine) -> None:
    """Do the work now that still waits to be done along."""
    if _of(engine).along:
        await write(engine, lambda _: None)
