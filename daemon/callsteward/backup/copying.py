"""Copying an SQLite database whole, and telling a whole copy from anything else.

A copy is one SQLite file without a write-ahead log, for its owner alone. It appears under its name once it is
complete, checked and on the disk, or not at all.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import msgspec
from alembic.script import ScriptDirectory

from callsteward.exceptions import StoreError
from callsteward.journal.journal import synced
from callsteward.store.database_file import BUSY_TIMEOUT_MS
from callsteward.store.engine import MIGRATIONS, written_by_newer
from callsteward.store.tables import metadata
from callsteward.store.trouble import reason

COMPANIONS = ("-wal", "-shm", "-journal")
HEADER = b"SQLite format 3\0"
_PATIENCE_S = BUSY_TIMEOUT_MS / 1000
# No file is made beside it.
_AT_REST = "mode=ro&immutable=1"
# What every version of the schema has.
_OURS = frozenset({"alembic_version", "calls"})
_FOREIGN = "it is an SQLite database of another program: nothing of callsteward is in it"


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a copy. `newest_ms`: the arrival of its newest call, None without any."""

    size: int
    schema: str
    newest_ms: int | None
    sites: tuple[str, ...]


def copy(source: Path, target: Path, *, in_use: bool) -> Contents:
    """Copy a database into a file that is not there yet; returns the content of the copy.

    All of it is of one moment: the copy reads in one transaction, for which no writer waits. A database that
    is not `in_use` may lie where nobody can write. Raises StoreError, and leaves nothing behind then.
    """
    try:
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        message = f"cannot make {target}: {error.strerror}"
        raise StoreError(message) from error
    try:
        # Read and write: who only reads leaves the files beside the database that SQLite made for it.
        _copy_pages(source, _uri(source, "mode=rw" if in_use else _AT_REST), target)
        contents = checked(target)
        synced(target)
    except BaseException:
        for path in (target, *companions(target)):
            path.unlink(missing_ok=True)
        raise
    return contents


def _copy_pages(source: Path, uri: str, target: Path) -> None:
    try:
        with (
            contextlib.closing(sqlite3.connect(uri, uri=True, timeout=_PATIENCE_S)) as read,
            contextlib.closing(sqlite3.connect(target)) as written,
        ):
            # In one go: between two steps a writer would make it begin again, for ever beside a busy daemon.
            read.backup(written)
            # A copy of a database with a write-ahead log is one, too: alone it must be whole.
            written.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:
        message = f"cannot copy {source} to {target}: {reason(error)}"
        raise StoreError(message) from error


def checked(file: Path) -> Contents:
    """The content of a copy.

    Raises StoreError for a file that is no whole copy, or that this version cannot read.
    """
    try:
        with file.open("rb") as opened:
            header = opened.read(len(HEADER))
        size = file.stat().st_size
    except OSError as error:
        message = f"cannot read {file}: {error.strerror}"
        raise StoreError(message) from error
    if header != HEADER:
        message = f"{file} is not an SQLite database, and so no backup of callsteward"
        raise StoreError(message)
    log = file.with_name(f"{file.name}-wal")
    if log.exists() and log.stat().st_size:
        message = f"{file} has a write-ahead log beside it: it is a database in use, not a backup of one"
        raise StoreError(message)
    with _reading(file) as connection:
        (page_size,) = connection.execute("PRAGMA page_size").fetchone()
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        if size != page_size * pages:
            # SQLite takes what is missing of the last page for zeros.
            message = f"{file} is damaged: it has {size:,} bytes, and should have {page_size * pages:,}"
            raise StoreError(message)
        found = [str(text) for (text,) in connection.execute("PRAGMA integrity_check(3)")]
        if found != ["ok"]:
            message = f"{file} is damaged: {'; '.join(found).splitlines()[0]}"
            raise StoreError(message)
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        if not tables >= _OURS:
            message = f"{file}: {_FOREIGN}"
            raise StoreError(message)
        schema = _schema(connection, file)
        (newest_ms,) = connection.execute("SELECT max(at_ms) FROM calls").fetchone()
        return Contents(size=size, schema=schema, newest_ms=newest_ms, sites=_sites(connection, tables))


def _schema(connection: sqlite3.Connection, file: Path) -> str:
    found = sorted(str(name) for (name,) in connection.execute("SELECT version_num FROM alembic_version"))
    if not found:
        message = f"{file}: {_FOREIGN}"
        raise StoreError(message)
    if newer := written_by_newer(str(file), found, ScriptDirectory(str(MIGRATIONS))):
        message = f"{newer}: upgrade callsteward first"
        raise StoreError(message)
    return ", ".join(found)


def _sites(connection: sqlite3.Connection, tables: set[str]) -> tuple[str, ...]:
    """The sites in it. Over the index of each table's key, one look a site."""
    found: set[str] = set()
    for table in ("calls", "callbacks", "ratings"):
        if table not in tables or "site" not in metadata.tables[table].c:
            continue
        last = ""
        while True:
            # Of our own tables' names.
            query = f"SELECT min(site) FROM {table} WHERE site > ?"  # noqa: S608
            (site,) = connection.execute(query, (last,)).fetchone()
            if site is None:
                break
            found.add(site)
            last = site
    return tuple(sorted(found))


@contextlib.contextmanager
def _reading(file: Path) -> Iterator[sqlite3.Connection]:
    """A copy that nobody writes: so reading makes no file beside it, also in a folder that is read-only."""
    try:
        connection = sqlite3.connect(_uri(file, _AT_REST), uri=True)
        with contextlib.closing(connection):
            yield connection
    except (sqlite3.Error, UnicodeError) as error:
        message = f"{file} is damaged, or was cut off: {reason(error)}"
        raise StoreError(message) from error


def _uri(file: Path, how: str) -> str:
    return f"file:{quote(str(file.absolute()))}?{how}"


def companions(file: Path) -> list[Path]:
    """The files that SQLite may have beside a database."""
    return [file.with_name(file.name + suffix) for suffix in COMPANIONS]


def back_up(source: Path, target: Path, *, force: bool = False) -> Contents:
    """Copy a database that may be in use to `target`. `force`: a file that is there is replaced.

    Raises StoreError; `target` is then what it was.
    """
    if not source.is_file():
        message = f"there is no database at {source}: nothing to back up"
        raise StoreError(message)
    if not force and os.path.lexists(target):
        message = f"{target} is there already: name another file, or add --force to replace it"
        raise StoreError(message)
    if target.exists() and source.samefile(target):
        message = f"{target} is the database itself: name another file"
        raise StoreError(message)
    new = target.with_name(f"{target.name}.new")
    # What a backup that was killed left.
    for path in (new, *companions(new)):
        path.unlink(missing_ok=True)
    contents = copy(source, new, in_use=True)
    try:
        new.replace(target)
    except OSError as error:
        new.unlink(missing_ok=True)
        message = f"cannot make {target}: {error.strerror}"
        raise StoreError(message) from error
    synced(target.absolute().parent)
    return contents
