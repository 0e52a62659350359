"""The journal: the raw ARI frames of the calls in progress, one on a line.

A daemon that is killed forgets the calls it was following. Their frames are in this file by then, so the next
process replays them and goes on with the same calls. Records of ended calls are in the database; the journal
is emptied whenever no call is open, and compacted when it grows while some are.

Each method that writes may wait for the disk without limit: the daemon calls them in a thread (`disk.Disk`),
one at a time.

The frames hold all that Asterisk sent, full phone numbers included: only the file's owner may read it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import structlog

from callsteward.ari.line import line
from callsteward.ari.marks import given_up
from callsteward.ari.stamp import stamp
from callsteward.config import secret_files
from callsteward.exceptions import ExposedStoreError, StoreError
from callsteward.journal import compactor
from callsteward.journal.compaction import GRACE_MS
from callsteward.journal.disk import Syncer
from callsteward.store.database_file import refuse_open_folder

log = structlog.get_logger("callsteward.journal.journal")

# Bytes kept in memory while the disk refuses them (full, read-only), to be written once it accepts them.
UNWRITTEN_LIMIT = 8 * 1024 * 1024
# A smaller journal is not worth compacting; a larger one is compacted each time it has doubled.
COMPACT_FROM = 8 * 1024 * 1024
# Nor this soon again: compaction removes no call that ended within half of this time.
COMPACT_EVERY_S = 2 * GRACE_MS / 1000
# The limit after compacting: some 10,000 calls at once.
COMPACTED_LIMIT = 256 * 1024 * 1024
_CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Compaction:
    """A journal that is being compacted: the first `size` bytes of `source`, to be written to `target`.

    Both are open files. `target` is the file at `path`, which becomes the journal once it is adopted.
    """

    source: int
    target: int
    path: Path
    size: int
    cleared: int
    """How often the journal had been emptied when this began."""

    def drop(self) -> None:
        """Give up the new file."""
        os.close(self.source)
        os.close(self.target)
        self.path.unlink(missing_ok=True)


class Journal:
    """An append-only file of frames, locked by one process. `Journal(None)` keeps nothing.

    Raises StoreError if the file cannot be opened or another daemon holds it. Flushed frames survive a
    SIGKILL. With `fsync` a thread syncs them to the disk within 100 ms: they then survive a power cut.
    """

    def __init__(self, path: Path | None, *, fsync: bool = False) -> None:
        self._path = path
        self._syncer: Syncer | None = None
        self._compact_at = COMPACT_FROM
        self._pending: list[bytes] = []
        self._pending_size = 0
        # The first timestamp of frames that were given up, until a mark for them is in the file.
        self._given_up_since = ""
        self._file = -1
        self._size = 0
        self._left = 0
        self._cleared = 0
        # When it was empty last, or its compaction began.
        self._since_s = time.monotonic()
        self.torn = 0
        """Bytes of an unfinished last line that the earlier process left; they are cut off."""
        self.lost = 0
        """Frames given up because the disk refused them for too long."""
        if path is not None:
            self._file = _open_locked(path)
            self._size = self._left = self._whole_lines()
            if self._size:
                self._since_s = float("-inf")  # frames that an earlier process left may be old
            if fsync:
                self._syncer = Syncer(self._sync)

    @property
    def keeps(self) -> bool:
        """False for `Journal(None)`, and once it is closed."""
        return self._path is not None

    @property
    def size(self) -> int:
        """Bytes in the journal, those not flushed yet included."""
        return self._size + self._pending_size

    @property
    def written(self) -> int:
        """Bytes in the file."""
        return self._size

    def append(self, frame: bytes) -> None:
        """Add a frame; it is in the file after the next flush."""
        if self._path is None:
            return
        one = line(frame)
        self._pending.append(one)
        self._pending_size += len(one)

    def flush(self) -> None:
        """Hand what was appended to the operating system.

        Raises StoreError when the disk refuses it; the frames are kept, up to 8 MiB, for the next try. Beyond
        that they are given up, and a mark takes their place.
        """
        if self._pending:
            chunk = b"".join(self._pending)
            try:
                compactor.write(self._file, chunk)
            except OSError as error:
                self._take_back(error)
            self._size += len(chunk)
            self._forget_pending()
            if self._syncer is not None:
                self._syncer.wrote()

    def frames(self) -> Iterator[bytes]:
        """The frames that an earlier process left, without those appended since."""
        return compactor.frames_in(self._file, self._left) if self._left else iter(())

    def clear(self) -> None:
        """Empty the journal: no call is open."""
        self._forget_pending()
        self._left = 0
        if self._size == 0:
            return
        self._cleared += 1
        try:
            os.ftruncate(self._file, 0)
        except OSError as error:
            message = f"cannot empty the journal {self._path}: {error.strerror}"
            raise StoreError(message) from error
        self._size = 0
        self._compact_at = COMPACT_FROM
        self._since_s = time.monotonic()
        if self._syncer is not None:
            self._syncer.wrote()

    @property
    def grown(self) -> bool:
        """True if it is worth compacting."""
        return self._size >= self._compact_at and time.monotonic() - self._since_s >= COMPACT_EVERY_S

    def begin_compaction(self, size: int) -> Compaction:
        """The journal's first `size` bytes, and a new file for those of its frames that are still needed.

        Every record that these frames lead to must be stored. The journal is `grown` again only after it has
        grown by half. Raises StoreError if there is no room for a new file.
        """
        assert self._path is not None
        self._compact_at = self._size + max(COMPACT_FROM, self._size // 2)
        self._since_s = time.monotonic()
        new_path = self._path.with_name(self._path.name + ".new")
        source = new = -1
        try:
            # A file that a killed daemon left may still be written to: not the same file again.
            new_path.unlink(missing_ok=True)
            source = os.open(self._path, os.O_RDONLY)
            new = os.open(new_path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        except OSError as error:
            if source >= 0:
                os.close(source)
            message = f"cannot compact the journal {self._path}: {error.strerror}"
            raise StoreError(message) from error
        return Compaction(source, new, new_path, min(size, self._size), self._cleared)

    def emptied_since(self, compaction: Compaction) -> bool:
        """True if the bytes being compacted are gone by now."""
        return compaction.cleared != self._cleared

    def adopt(self, compaction: Compaction) -> int:
        """Put the new file, with the frames appended meanwhile, in the old one's place.

        Returns by how many bytes the journal shrank; 0 if it was emptied meanwhile. A crash leaves either the
        old or the new file. Raises StoreError and keeps the old journal if the new one cannot be written.
        """
        if self._path is None or self.emptied_since(compaction):
            compaction.drop()
            return 0
        new = compaction.target
        before = self._size
        try:
            # Locked before it gets the journal's name: there is no moment for a second daemon.
            fcntl.flock(new, fcntl.LOCK_EX | fcntl.LOCK_NB)
            at = compaction.size
            while at < before and (chunk := os.pread(self._file, min(_CHUNK, before - at), at)):
                compactor.write(new, chunk)
                at += len(chunk)
            os.fsync(new)
            compaction.path.replace(self._path)
        except OSError as error:
            compaction.drop()
            message = f"cannot compact the journal {self._path}: {error.strerror}"
            raise StoreError(message) from error
        os.close(compaction.source)
        os.close(self._file)
        self._file = new
        self._size = os.fstat(new).st_size
        self._left = 0
        self._compact_at = max(COMPACT_FROM, 2 * self._size)
        synced(self._path.parent)
        return before - self._size

    def close(self) -> None:
        """Flush and unlock. The journal is of no use afterwards."""
        if self._file < 0:
            return
        try:
            self.flush()
            if self._syncer is not None:
                self._syncer.close()
                os.fdatasync(self._file)
        finally:
            os.close(self._file)
            self._file = -1
            self._path = None

    def _sync(self) -> None:
        """In the syncer's thread: its own handle, since the file may be closed or replaced meanwhile."""
        try:
            handle = os.dup(self._file)
        except OSError:
            return  # closed just now, and synced by that
        try:
            os.fdatasync(handle)
        finally:
            os.close(handle)

    def _forget_pending(self) -> None:
        self._pending.clear()
        self._pending_size = 0
        self._given_up_since = ""

    def _give_up_pending(self) -> None:
        """Replace pending frames by a mark, so that a re-run knows what span is missing."""
        # A mark from the last time is no frame given up.
        lost = len(self._pending) - bool(self._given_up_since)
        self.lost += lost
        log.error("frames given up", action="journal_frames_lost", frames=lost)
        moments = [moment for _, moment in map(stamp, self._pending) if moment]
        since = self._given_up_since or next(iter(moments), "")
        self._forget_pending()
        if moments:
            self._given_up_since = since
            self.append(given_up(since, moments[-1]))

    def _take_back(self, error: OSError) -> NoReturn:
        """Cut off the half-written end, so that the next try does not continue in the middle of a line."""
        os.ftruncate(self._file, self._size)
        if self._pending_size > UNWRITTEN_LIMIT:
            self._give_up_pending()
        message = f"cannot write the journal {self._path}: {error.strerror}"
        raise StoreError(message) from error

    def _whole_lines(self) -> int:
        """Bytes up to the end of the last whole line; a torn one after it is cut off and reported."""
        size = os.fstat(self._file).st_size
        whole = size
        step = 64 * 1024
        while whole > 0:
            start = max(0, whole - step)
            newline = os.pread(self._file, whole - start, start).rfind(b"\n")
            if newline >= 0:
                whole = start + newline + 1
                break
            whole = start
        self.torn = size - whole
        if self.torn:
            log.warning("torn last line skipped", action="journal_torn", bytes=self.torn)
            os.ftruncate(self._file, whole)
        return whole


# A person who may put a link there must not choose the file that root writes to.
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW


def _not_opened(path: Path, error: OSError) -> str:
    folder = path.parent
    if error.errno in {errno.EISDIR, errno.ENXIO}:
        mend = "it is not a file: remove it"
    elif error.errno == errno.ELOOP:
        mend = "it is a link, and whoever made it chooses the file that is written to: remove it"
    elif not folder.is_dir():
        mend = f"the folder {folder} does not exist: create it, owned by the user of callsteward"
        if os.path.lexists(folder):
            mend = f"{folder} is not a folder"
        mend += ", or correct store.url"
    else:
        mend = (
            f"{error.strerror}; let the user callsteward runs as (uid {os.geteuid()}) write in {folder},"
            " or correct store.url"
        )
    return f"cannot open the journal {path}: {mend}"


def _open_locked(path: Path) -> int:
    refuse_open_folder(path.parent)
    while True:
        try:
            file = os.open(path, _FLAGS, 0o600)
        except OSError as error:
            raise StoreError(_not_opened(path, error)) from error
        mode = os.fstat(file).st_mode
        if not stat.S_ISREG(mode):
            os.close(file)
            raise StoreError(_not_opened(path, OSError(errno.ENXIO, "")))
        if secret_files.exposed(mode):
            os.close(file)
            message = (
                f"{path}: the journal holds callers' full numbers and everybody can read it;"
                f" run: chmod o= {path}"
            )
            raise ExposedStoreError(message)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(file)
            message = f"the journal {path} is in use: another callsteward runs with it; stop that one first"
            raise StoreError(message) from error
        # The holder may have compacted it (renamed a new file to this name) between our open and our lock.
        if path.exists() and path.stat().st_ino == os.fstat(file).st_ino:
            return file
        os.close(file)


def synced(path: Path) -> None:
    """Make the bytes of a file, or the names in a folder, survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
