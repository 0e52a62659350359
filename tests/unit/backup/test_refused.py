"""A file that is no whole backup of this site is refused, and nothing is written."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from callsteward.backup.copying import back_up
from callsteward.exceptions import StoreError
from tests.unit.backup.sites import names, restored, sql


def cut(content: bytes, share: float) -> bytes:
    return content[: int(len(content) * share)]


def flipped(content: bytes) -> bytes:
    spoilt = bytearray(content)
    for place in range(2 * 4096, len(spoilt), 4096):
        spoilt[place : place + 16] = b"\xa5" * 16
    return bytes(spoilt)


SPOILT: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda _: b"", "is not an SQLite database"),
    "text": (lambda _: b"callsteward,backup\n", "is not an SQLite database"),
    "header alone": (lambda content: content[:16], "is damaged, or was cut off"),
    "cut in a page": (lambda content: cut(content, 0.5)[:-7], "is damaged"),
    "cut at a page": (lambda content: content[: len(content) // 8192 * 4096], "is damaged"),
    "one byte short": (lambda content: content[:-1], "is damaged"),
    "flipped": (flipped, "is damaged"),
}


@pytest.mark.parametrize("how", SPOILT)
async def test_what_is_damaged_or_no_backup_is_refused_and_nothing_written(
    site: Path, tmp_path: Path, how: str
) -> None:
    backup = tmp_path / "backup"
    back_up(site / "calls.db", backup)
    change, why = SPOILT[how]
    backup.write_bytes(change(backup.read_bytes()))
    await refused(backup, tmp_path / "new", why)


@pytest.mark.parametrize(
    ("statements", "why"),
    [
        (
            ["UPDATE alembic_version SET version_num = '9999'"],
            "newer callsteward (schema 9999; this one knows",
        ),
        (["DELETE FROM alembic_version"], "of another program"),
        (["DROP TABLE alembic_version"], "of another program"),
        (["DROP TABLE calls"], "of another program"),
    ],
)
async def test_a_foreign_or_newer_database_is_refused_and_nothing_written(
    site: Path, tmp_path: Path, statements: list[str], why: str
) -> None:
    backup = tmp_path / "backup"
    back_up(site / "calls.db", backup)
    sql(backup, *statements)
    await refused(backup, tmp_path / "new", why)


async def test_a_database_in_use_is_no_backup(site: Path, tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(site / "calls.db")) as connection:
        connection.execute("INSERT INTO watched (site, from_ms, to_ms) VALUES ('x', 0, 0)")
        connection.commit()
        await refused(site / "calls.db", tmp_path / "new", "a database in use, not a backup")


async def test_another_sites_backup_is_refused(site: Path, tmp_path: Path) -> None:
    back_up(site / "calls.db", tmp_path / "backup")
    await refused(tmp_path / "backup", tmp_path / "new", "of the site main, and this configuration", "south")


def empty(folder: Path) -> Path:
    folder.mkdir()
    return folder


async def refused(backup: Path, folder: Path, why: str, site: str = "main") -> None:
    """Into an empty place and over a database, by force: either stays as it is."""
    with pytest.raises(StoreError) as caught:
        await restored(backup, empty(folder), site=site)
    assert why in str(caught.value)
    assert names(folder) == []
    (folder / "calls.db").write_bytes(b"the old one")
    with pytest.raises(StoreError):
        await restored(backup, folder, site=site, force=True)
    assert names(folder) == ["calls.db"]
    assert (folder / "calls.db").read_bytes() == b"the old one"
