"""A database's errors in an admin's words, with what to do: no statement, no driver's class."""

from __future__ import annotations

import re
import sqlite3
from types import TracebackType
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from callsteward.network.causes import cause

DAMAGED: Final = (
    "the file is damaged: stop the daemon and put back a copy, or save what can be read with"
    " `sqlite3 FILE .recover`"
)
NOT_UNDERSTOOD: Final = (
    "the server answered what is not PostgreSQL's protocol: what listens there, or stands between?"
)
_ENDED: Final = (
    "the server ended the connection in the middle: wait a moment, and see its log where that goes on"
)
# sqlite.org/rescode.html, primary codes.
_SQLITE: Final = {
    sqlite3.SQLITE_NOTADB: "the file is not an SQLite database: name another one in store.url",
    sqlite3.SQLITE_CORRUPT: DAMAGED,
    sqlite3.SQLITE_FULL: "the disk is full: make room",
    sqlite3.SQLITE_READONLY: "the file cannot be written: let the user callsteward runs as write to it",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened: let the user callsteward runs as read and write it",
    sqlite3.SQLITE_BUSY: "another program holds it locked: end what else has it open",
    sqlite3.SQLITE_IOERR: "the disk reports an error: see the system's log",
}
# postgresql.org/docs/current/errcodes-appendix.html
_POSTGRESQL: Final = {
    "28P01": "the server refused the user or password: compare store.url with it",
    "28000": "the server does not let this user in: compare store.url and pg_hba.conf",
    "3D000": "there is no such database on the server: make it with createdb",
    "42501": "the user may not do that there: GRANT ALL ON SCHEMA public TO the user of store.url",
    "25006": "the server is read-only: name the primary in store.url",
    "53100": "the server's disk is full: make room there",
    "53300": "the server has no connection left: raise its max_connections",
    "55000": "the server lets nobody into this database: is it being restored or removed? ALTER DATABASE"
    " … ALLOW_CONNECTIONS true opens it",
    "57P01": "the server was shut down: wait a moment",
    "57P03": "the server is starting up or shutting down: wait a moment",
}
# asyncpg's texts for it, whatever it was doing: of several classes, some without a code.
_CUT: Final = re.compile(r"connection (was|is) closed|another operation .* is in progress")
_DRIVERS: Final = frozenset({"asyncpg", "aiosqlite", "sqlite3"})
_CLASS: Final = re.compile(r"^<class '[\w.]+'>: ")


def of_database(error: BaseException) -> bool:
    """True if a database, or what stands between it and callsteward, raised it, and not a mistake of ours.

    SQLAlchemy wraps what a driver raises in a statement, but not all of what it raises while a connection is
    made: a server that shuts down at that moment is met by asyncpg's own errors, and by Python's where its
    answer is not what the driver counts on.
    """
    if isinstance(error, SQLAlchemyError | OSError | UnicodeError):
        return True
    return of_driver(type(error)) or _raised_in(error.__traceback__) in _DRIVERS


def of_driver(kind: type[BaseException]) -> bool:
    """True if a class of errors is a driver's: by name, since asyncpg need not be installed."""
    return any(_package(one.__module__) in _DRIVERS for one in kind.__mro__)


def _raised_in(trace: TracebackType | None) -> str:
    """The package of the code that raised an error."""
    if trace is None:
        return ""
    while trace.tb_next is not None:
        trace = trace.tb_next
    return _package(str(trace.tb_frame.f_globals.get("__name__", "")))


def _package(module: str) -> str:
    return module.partition(".")[0]


def reason(error: BaseException) -> str:
    """The database's own message, and what to do if that is known."""
    # The names of a damaged schema may hold any bytes.
    return "".join(letter if letter.isprintable() else " " for letter in _reason(error))


def _reason(error: BaseException) -> str:
    if isinstance(error, UnicodeError):
        return DAMAGED
    original = getattr(error, "orig", None)
    original = error if original is None else original
    code = getattr(original, "sqlite_errorcode", None)
    if isinstance(code, int) and (known := _SQLITE.get(code & 0xFF)):
        return f"{known} ({original})"
    state = getattr(original, "sqlstate", None)
    text = _CLASS.sub("", str(original)).partition("\n")[0]
    if isinstance(state, str) and (known := _POSTGRESQL.get(state)):
        return f"{known} ({text})"
    if _CUT.search(text):
        return f"{_ENDED} ({text})"
    by_itself = not isinstance(error, OSError) and not of_driver(type(error))
    if by_itself and _raised_in(error.__traceback__) == "asyncpg":
        return f"{NOT_UNDERSTOOD} ({text})"
    if isinstance(original, OSError) or not isinstance(original, sqlite3.Error):
        what, mend = cause(error, "store")
        if what not in {str(error), type(error).__name__}:
            return f"{what}: {mend}" if mend else what
    return text or type(original).__name__
