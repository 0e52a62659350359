"""What a database refuses, in an admin's words: no statement, no driver's class, and what to do."""

from __future__ import annotations

import re
import sqlite3
from typing import Final

from callsteward.network.causes import cause

DAMAGED: Final = (
    "the file is damaged: stop the daemon and put back a copy, or save what can be read with"
    " `sqlite3 FILE .recover`"
)
# sqlite.org/rescode.html, primary codes.
_SQLITE: Final = {
    sqlite3.SQLITE_NOTADB: "the file is no SQLite database: name another one in store.url",
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
    "28000": "the server lets this user not in: compare store.url and pg_hba.conf",
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
_CLASS: Final = re.compile(r"^<class '[\w.]+'>: ")


def reason(error: BaseException) -> str:
    """What the database itself said, and what to do where that is known."""
    # The names of a damaged schema may have anything in them.
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
    if isinstance(original, OSError) or not isinstance(original, sqlite3.Error):
        what, mend = cause(error, "store")
        if what not in {str(error), type(error).__name__}:
            return f"{what}: {mend}" if mend else what
    return text or type(original).__name__
