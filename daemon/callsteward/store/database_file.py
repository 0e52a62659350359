"""The file of an SQLite database: its path, its owner, and who else could read it.

It holds clients' full numbers. So only its owner may read it from the first moment on, whatever the umask of
the program that makes it; its companions (-wal, -shm, -journal) get their mode from SQLite itself.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from pathlib import Path

from sqlalchemy import URL

from callsteward.config import secret_files
from callsteward.config.places import STATE
from callsteward.exceptions import ExposedStoreError, StoreError

# How long a writer waits for another one's transaction (`callsteward calls` beside the daemon, a backup).
BUSY_TIMEOUT_MS = 10_000
_COMPANIONS = ("-wal", "-shm", "-journal")


def file_of(url: URL) -> Path | None:
    """The file of an SQLite database, None for one in memory or on a server."""
    if url.get_backend_name() != "sqlite" or url.database in {None, "", ":memory:"}:
        return None
    return Path(str(url.database)).absolute()


def prepare(file: Path, *, create: bool) -> None:
    """Make sure that the database can be opened. A missing one is made, or refused if `create` is false.

    Raises StoreError, whose message says what to mend.
    """
    if not create and not file.exists():
        raise StoreError(_missing(file))
    _check_folder(file)
    if create:
        _make(file)
    _check_modes(file)
    if create:
        _use_write_ahead_log(file)


def _missing(file: Path) -> str:
    message = (
        f"there is no database at {file}: the daemon makes it when it first starts"
        " (callsteward run -c FILE, or systemctl start callsteward)"
    )
    for other in (Path.cwd() / file.name, STATE / file.name):
        if other != file and _is_file(other):
            return f"{message}. There is one at {other}: if that is it, write its full path into store.url"
    return message


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # in a folder that others may not look into
        return False


def _make(file: Path) -> None:
    """Make an empty database that only its owner can read."""
    # A link to the place for the file is not the file itself.
    file = Path(os.path.realpath(file))
    try:
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    except OSError as error:
        message = f"store.url: cannot make {file}: {error.strerror}"
        raise StoreError(message) from error
    try:
        owner = file.parent.stat()
        if os.geteuid() == 0 and owner.st_uid != 0:
            # Made by root by hand in a folder of the daemon's user, who could then not read it.
            os.fchown(handle, owner.st_uid, owner.st_gid)
    finally:
        os.close(handle)


def _check_modes(file: Path) -> None:
    """Refuse a database that everybody can read, like a configuration with secrets in it."""
    paths = [file, *(file.with_name(file.name + suffix) for suffix in _COMPANIONS)]
    found = [str(path) for path in paths if secret_files.exposed(_mode(path))]
    if found:
        message = (
            f"{' and '.join(found)}: clients' full numbers are in there and everybody can read them;"
            f" run: chmod o= {' '.join(found)}"
        )
        raise ExposedStoreError(message)


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return 0  # a companion file comes and goes


def _use_write_ahead_log(file: Path) -> None:
    """Switch the file to WAL for good: a reader does not stop the daemon from writing.

    The switch alone is refused at once if another process opens the same new file, busy timeout or not.
    """
    patience_ends = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        connection = sqlite3.connect(file, timeout=0)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            locked = error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
            if not locked or time.monotonic() > patience_ends:
                raise
        else:
            return
        finally:
            connection.close()
        time.sleep(0.02)


def refuse_open_folder(folder: Path) -> None:
    """Raise ExposedStoreError if everybody could put another database in place of ours."""
    mode = folder.stat().st_mode if folder.is_dir() else 0
    if mode & stat.S_IWOTH:
        mend = f"write a folder that is the daemon's alone into store.url, not {folder}"
        if not mode & stat.S_ISVTX:
            mend += f", or run: chmod o-w {folder}"
        message = f"store.url: everybody can put files into {folder}, also in place of the database: {mend}"
        raise ExposedStoreError(message)


def _check_folder(file: Path) -> None:
    """Say plainly what SQLite calls `unable to open database file`."""
    folder = file.parent
    if not folder.is_dir():
        message = (
            f"store.url: the folder {folder} does not exist: create it, owned by the user of callsteward"
        )
        raise StoreError(message)
    if file.is_dir():
        message = f"store.url: {file} is a folder; name a file in it, such as {file}/callsteward.db"
        raise StoreError(message)
    refuse_open_folder(folder)
    # SQLite puts its write-ahead log beside the file, so the folder must be writable too.
    for path in (folder, file):
        if path.exists() and not os.access(path, os.W_OK):
            message = (
                f"store.url: {path} is not writable by the user callsteward runs as (uid {os.geteuid()})"
            )
            raise StoreError(message)
