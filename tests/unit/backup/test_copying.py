"""A backup is a whole copy of one moment, or not there."""

from __future__ import annotations

import contextlib
import sqlite3
import stat
import threading
from pathlib import Path

import pytest

from callsteward.backup import copying
from callsteward.backup.copying import back_up, checked
from callsteward.exceptions import StoreError
from tests.unit.backup.sites import dump, names, schemas


async def test_a_backup_is_one_file_of_its_owner_alone_with_all_that_the_database_has(site: Path) -> None:
    backup = site / "backup"
    contents = back_up(site / "calls.db", backup)
    assert (contents.schema, contents.sites, contents.newest_ms) == (
        schemas()[-1],
        ("main",),
        1_795_316_400_000,
    )
    assert contents.size == backup.stat().st_size
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert dump(backup) == dump(site / "calls.db")
    assert [name for name in names(site) if "backup" in name] == ["backup"]


async def test_a_backup_beside_a_writer_is_of_one_moment(site: Path) -> None:
    """The writer's rows come in pairs, each pair in one transaction."""
    stop = threading.Event()
    written = 0

    def write() -> None:
        nonlocal written
        with contextlib.closing(sqlite3.connect(site / "calls.db", isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = OFF")
            while not stop.is_set():
                connection.execute("BEGIN IMMEDIATE")
                for site_name in ("x", "y"):
                    connection.execute(
                        "INSERT INTO watched (site, from_ms, to_ms) VALUES (?, ?, 0)", (site_name, written)
                    )
                connection.execute("COMMIT")
                written += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(5):
            before = written
            back_up(site / "calls.db", site / f"backup-{number}")
            with contextlib.closing(sqlite3.connect(site / f"backup-{number}")) as connection:
                found = connection.execute("SELECT site, count(*) FROM watched GROUP BY site").fetchall()
            pairs = dict(found)
            assert pairs.get("x", 0) == pairs.get("y", 0) >= before
    finally:
        stop.set()
        writer.join()
    # The writer went on meanwhile.
    assert written > 5


@pytest.mark.parametrize("there", ["file", "link"])
def test_a_file_that_is_there_is_replaced_only_where_that_is_asked_for(site: Path, there: str) -> None:
    backup = site / "backup"
    if there == "link":
        backup.symlink_to(site / "elsewhere")
    else:
        backup.write_bytes(b"mine")
    with pytest.raises(StoreError, match="is there already: name another file, or add --force"):
        back_up(site / "calls.db", backup)
    back_up(site / "calls.db", backup, force=True)
    assert not backup.is_symlink()
    assert checked(backup).schema == schemas()[-1]
    assert not (site / "elsewhere").exists()


def test_the_database_is_no_backup_of_itself(site: Path) -> None:
    with pytest.raises(StoreError, match="is the database itself"):
        back_up(site / "calls.db", site / "calls.db", force=True)


def test_a_damaged_database_makes_no_backup(site: Path) -> None:
    database = site / "calls.db"
    content = bytearray(database.read_bytes())
    for place in range(3 * 4096, len(content) - 4096, 4096):
        content[place : place + 64] = b"\xff" * 64
    database.write_bytes(content)
    with pytest.raises(StoreError):
        back_up(database, site / "backup")
    assert not list(site.glob("backup*"))


def test_a_disk_without_room_leaves_no_half_of_a_backup(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_file: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(copying, "synced", full)
    (site / "backup").write_bytes(b"the last one")
    with pytest.raises(OSError, match="No space left"):
        back_up(site / "calls.db", site / "backup", force=True)
    assert (site / "backup").read_bytes() == b"the last one"
    assert [path.name for path in site.glob("backup*")] == ["backup"]
