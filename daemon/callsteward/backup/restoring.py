"""Putting a backup in the database's place, while no daemon runs.

What was open at the backup's moment is ended: what became of it since nobody knows, and a client must not be
called a second time. The journal that is there belongs to another database, and is put aside with it.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from callsteward import features
from callsteward.backup.copying import HEADER, Contents, checked, companions, copy
from callsteward.config import Config
from callsteward.daemon.core import journal_path
from callsteward.exceptions import StoreError
from callsteward.journal.journal import Journal, synced
from callsteward.outgoing.ledger import Ledger
from callsteward.outgoing.plan import Plan
from callsteward.outgoing.words import Actor
from callsteward.store.database_file import refuse_open_folder
from callsteward.store.engine import async_url
from callsteward.store.records import Store
from callsteward.store.url import store_url

RESTORED = "restored"
"""The reason of a callback or rating call that was open at the backup's moment."""


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """The result. `aside`: files that keep the old database; `ended`: by kind, names of open calls."""

    contents: Contents
    aside: list[str]
    ended: dict[str, list[str]]


async def restore(
    config: Config, backup: Path, target: Path, *, by: str, now_ms: Callable[[], int], force: bool = False
) -> Restored:
    """Put a backup in the place of the database at `target`. `force`: what is there is kept aside.

    Raises StoreError; what was there is there then.
    """
    contents = checked(backup)
    if contents.sites and config.site.name not in contents.sites:
        message = (
            f"{backup} is of the site {', '.join(contents.sites)}, and this configuration is of"
            f" {config.site.name}: nothing was changed"
        )
        raise StoreError(message)
    if not target.parent.is_dir():
        message = (
            f"store.url: the folder {target.parent} does not exist: create it, owned by the daemon's user"
        )
        raise StoreError(message)
    refuse_open_folder(target.parent)
    path = journal_path(config)
    assert path is not None  # a database in memory is refused by the configuration
    with _alone(path) as journal:
        there = [path for path in (target, *companions(target)) if path.exists()]
        if (there or journal.size) and not force:
            message = (
                f"{target} is there already, or events of calls in its journal: nothing was changed; add"
                " --force to put it aside"
            )
            raise StoreError(message)
        new = target.with_name(f"{target.name}.restoring")
        _remove(new)
        try:
            copy(backup, new, in_use=False)
            _own(new)
            ended = await _ended(config, new, by=by, now_ms=now_ms)
            _whole(new)
            aside = _put(new, target, journal, path)
        except BaseException:
            _remove(new)
            raise
    return Restored(contents=contents, aside=aside, ended=ended)


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[Journal]:
    """The journal's lock, which every daemon has while it runs. Raises StoreError where one does."""
    # One that is not there is not made: it would be this command's user's.
    journal = Journal(path if path.exists() else None)
    try:
        yield journal
    finally:
        journal.close()


def _remove(file: Path) -> None:
    """Remove a database that did not take its place, with what SQLite has beside it."""
    for path in (file, *companions(file)):
        path.unlink(missing_ok=True)


def _own(file: Path) -> None:
    """The file belongs to whom the folder belongs to: root restores for the daemon's user."""
    owner = file.parent.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.chown(file, owner.st_uid, owner.st_gid)


async def _ended(config: Config, file: Path, *, by: str, now_ms: Callable[[], int]) -> dict[str, list[str]]:
    """Bring the copy to this version's schema, and end what is open in it."""
    url = store_url(config.store.url).set(database=str(file)).render_as_string(hide_password=False)
    announce = features.announce(config)
    store = await Store.open(url, announce, create=False)
    ended: dict[str, list[str]] = {}
    try:
        for plan in features.plans():
            ledger: Ledger[Any, Any] = Ledger(plan, store.engine, config.site.name, announce)
            names = [row.id for row in await ledger.opened() if await _end(ledger, plan, row, by, now_ms())]
            if names:
                ended[plan.what] = names
    finally:
        await store.close()
    return ended


async def _end(ledger: Ledger[Any, Any], plan: Plan[Any, Any], row: Any, by: str, at_ms: int) -> bool:
    """End an open row; one that was dialled is not dialled again."""
    if await ledger.stop(row, actor=Actor.ADMIN, at_ms=at_ms, reason=RESTORED, evidence=by) is not None:
        return True
    lost = plan.states("not_reached")
    moved = await ledger.move(row, lost, actor=Actor.ADMIN, at_ms=at_ms, reason=RESTORED, evidence=by)
    return moved is not None


def _whole(file: Path) -> None:
    """Everything that was written is in the file itself: its log does not come along."""
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for path in companions(file):
        path.unlink(missing_ok=True)
    checked(file)


def _put(new: Path, target: Path, journal: Journal, events: Path) -> list[str]:
    """Keep what is there under other names, then put the new file in its place, in one step.

    The old database has two names until the new one takes its place: whenever this ends, either the old or
    the new one is there. What fails is undone.
    """
    mark = _free_mark(target, events)
    kept = target.with_name(target.name + mark)
    with contextlib.ExitStack() as undo:
        try:
            aside = _set_aside(target, kept, undo)
            if journal.size:
                copied = events.with_name(events.name + mark)
                copied.touch(0o600, exist_ok=False)
                undo.callback(copied.unlink)
                shutil.copyfile(events, copied)
                aside.append(str(copied))
                undo.callback(shutil.copyfile, copied, events)
                journal.clear()
            new.replace(target)
        except OSError as error:
            message = f"cannot put the backup at {target}: {error.strerror}"
            raise StoreError(message) from error
        undo.pop_all()
    synced(target.parent)
    return aside


def _set_aside(target: Path, kept: Path, undo: contextlib.ExitStack) -> list[str]:
    """Give the old database its other name, and its log, if it has one still."""
    if target.exists():
        _bring_in_log(target)
        kept.hardlink_to(target)
        undo.callback(kept.unlink)
    aside = [str(kept)] if target.exists() else []
    # The log of a damaged database belongs to it, and must not meet the new one.
    for path, name in zip(companions(target), companions(kept), strict=True):
        if path.exists():
            path.rename(name)
            undo.callback(name.rename, path)
            aside.append(str(name))
    return aside


def _free_mark(*files: Path) -> str:
    """The end of a new name for each of the files, under which nothing is there yet."""
    stamp = datetime.now(UTC).strftime(".before-%Y%m%dT%H%M%SZ")
    marks = (stamp if number == 1 else f"{stamp}-{number}" for number in itertools.count(1))
    return next(
        mark for mark in marks if not any(file.with_name(file.name + mark).exists() for file in files)
    )


def _bring_in_log(file: Path) -> None:
    """Have SQLite bring the old database's log into its file. One that is damaged keeps its log.

    Raises StoreError while another program reads it: without its log it would be another database.
    """
    with file.open("rb") as opened:
        if opened.read(len(HEADER)) != HEADER:
            return  # SQLite would remove the log beside it
    busy = False
    with (
        contextlib.suppress(sqlite3.DatabaseError),
        contextlib.closing(sqlite3.connect(file, timeout=1)) as connection,
    ):
        (busy, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        message = f"another program has {file} open: end it, and run this again; nothing was changed"
        raise StoreError(message)


def database_of(config: Config) -> Path | None:
    """The file of the site's database; None for one on a server."""
    url = async_url(config.store.url)
    return Path(str(url.database)).absolute() if url.get_backend_name() == "sqlite" else None
