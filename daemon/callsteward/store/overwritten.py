"""Rows deleted from an SQLite file are gone from its pages, too, not only out of reach.

SQLite leaves the bytes of a deleted row where they were until the page is used again, and the write-ahead log
has older copies of pages. (PostgreSQL has its own: autovacuum, and the server's log.)
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator

from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncEngine

from callsteward.store.database_file import BUSY_TIMEOUT_MS, file_of
from callsteward.store.url import store_url


@contextlib.contextmanager
def overwriting(engine: AsyncEngine) -> Iterator[None]:
    """Within it, bytes that are deleted are written over with zeros.

    The pragma secure_delete of sqlite.org/pragma.html.
    """
    if engine.dialect.name != "sqlite":
        yield
        return

    def begun(connection: Connection) -> None:
        connection.exec_driver_sql("PRAGMA secure_delete = ON")

    event.listen(engine.sync_engine, "begin", begun)
    try:
        yield
    finally:
        event.remove(engine.sync_engine, "begin", begun)


def empty_log(url: str) -> None:
    """Bring the write-ahead log into the file, and empty it.

    While somebody reads, the log stays; it is written over in the daemon's course.
    """
    file = file_of(store_url(url))
    if file is None:
        return
    with (
        contextlib.closing(sqlite3.connect(file, timeout=BUSY_TIMEOUT_MS / 1000)) as connection,
        contextlib.suppress(sqlite3.OperationalError),
    ):
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
