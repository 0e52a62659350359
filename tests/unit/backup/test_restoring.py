"""A restored site calls nobody twice, and its messages keep their ids."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import sqlite3
import stat
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydantic import SecretStr

from callsteward import features
from callsteward.backup import restoring
from callsteward.backup.copying import back_up, checked
from callsteward.callback.ledger import CallbackLedger
from callsteward.callback.states import CallbackState
from callsteward.config import Asterisk, Config, Mqtt
from callsteward.daemon.app import Daemon
from callsteward.demo.ari_server import FakeAri
from callsteward.exceptions import StoreError
from callsteward.journal.journal import Journal
from callsteward.rating.ledger import RatingLedger
from callsteward.rating.states import RatingState
from callsteward.store.outbox import Outbox
from callsteward.store.records import Store
from tests.unit.backup.sites import calls_in, downgraded, dump, names, restored, schemas, settings
from tests.unit.client.samples import AT_MS, DUE, NUMBER, rated
from tests.unit.running import running
from tests.unit.store.samples import RECORD

SECRET = "of the tests"


async def test_a_restored_database_has_what_the_backup_had(site: Path, tmp_path: Path) -> None:
    back_up(site / "calls.db", tmp_path / "backup")
    new = tmp_path / "new"
    new.mkdir()
    done = await restored(tmp_path / "backup", new)
    assert (done.aside, done.ended) == ([], {})
    assert names(new) == ["calls.db"]
    assert stat.S_IMODE((new / "calls.db").stat().st_mode) == 0o600
    assert dump(new / "calls.db") == dump(tmp_path / "backup")


async def test_messages_that_waited_keep_their_ids(site: Path, tmp_path: Path) -> None:
    back_up(site / "calls.db", tmp_path / "backup")
    done = await restored(tmp_path / "backup", site, force=True)
    found = {}
    for file in (site / "calls.db", *done.aside):
        store = await Store.open(f"sqlite:///{file}", create=False)
        messages = await Outbox(store.engine, "main").after(0, 100)
        found[file] = [(item.id, item.message_id, item.payload) for item in messages]
        await store.close()
    first, second = found.values()
    assert first == second
    assert len(first) == 12


async def test_what_was_open_is_ended_and_named_and_told(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    config = settings(old)
    store = await Store.open(config.store.url, features.announce(config))
    ledger = CallbackLedger(store.engine, "main", features.announce(config))
    ways = {
        "1.1": (),
        "1.2": (CallbackState.OFFERED,),
        "1.3": (CallbackState.OFFERED, CallbackState.OPERATOR_ANSWERED, CallbackState.DIALLING),
        "1.4": (CallbackState.DIALLING, CallbackState.REACHED),
    }
    for name, states in ways.items():
        record = msgspec.structs.replace(RECORD, call_id=name)
        row = await ledger.open(record, DUE, number=NUMBER, dropped_ms=AT_MS, at_ms=AT_MS)
        assert row is not None
        for state in states:
            assert await ledger.move(row, state, at_ms=AT_MS, asked="101") is not None
    await rated(store, NUMBER, "2.1", due_ms=AT_MS)
    dialled = await rated(store, NUMBER, "2.2", due_ms=AT_MS)
    ratings = RatingLedger(store.engine, "main", features.announce(config))
    await ratings.move(dialled, RatingState.DIALLING, at_ms=AT_MS, channel_id="c")
    waiting = len(await Outbox(store.engine, "main").after(0, 100))
    await store.close()
    back_up(old / "calls.db", tmp_path / "backup")
    done = await restored(tmp_path / "backup", new)
    assert {what: sorted(names) for what, names in done.ended.items()} == {
        "callbacks": ["1.1", "1.2", "1.3"],
        "rating calls": ["2.1", "2.2"],
    }
    store = await Store.open(settings(new).store.url, create=False)
    ledger, ratings = CallbackLedger(store.engine, "main"), RatingLedger(store.engine, "main")
    now = {name: row.state.value for name in ways if (row := await ledger.find(name)) is not None}
    assert now == {"1.1": "cancelled", "1.2": "cancelled", "1.3": "not_reached", "1.4": "reached"}
    assert (await ledger.opened(), await ratings.opened()) == ([], [])
    told = (await Outbox(store.engine, "main").after(0, 100))[waiting:]
    assert [msgspec.json.decode(item.payload)["reason"] for item in told] == ["restored"] * 5
    await store.close()


async def test_a_database_that_is_there_stays_unless_it_is_put_aside(site: Path, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    back_up(site / "calls.db", backup)
    store = await Store.open(settings(site).store.url)
    await store.save([msgspec.structs.replace(RECORD, call_id="later")])
    await store.close()
    (site / "calls.journal").write_bytes(b"an event of a call in progress\n")
    before = dump(site / "calls.db")
    with pytest.raises(StoreError, match="is there already"):
        await restored(backup, site)
    assert dump(site / "calls.db") == before
    done = await restored(backup, site, force=True)
    database, journal = [Path(path) for path in done.aside]
    assert journal.read_bytes() == b"an event of a call in progress\n"
    assert stat.S_IMODE(journal.stat().st_mode) == 0o600
    assert (site / "calls.journal").read_bytes() == b""
    assert dump(database) == before
    assert "later" in await calls_in(database)
    assert "later" not in await calls_in(site / "calls.db")


async def test_a_running_daemon_is_backed_up_and_refuses_a_restore(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    async with FakeAri(password=SECRET) as ari:
        config = Config(
            asterisk=Asterisk(url=ari.url, password=SecretStr(SECRET)),
            mqtt=Mqtt(enabled=False),
            store=settings(folder).store,
        )
        async with running(Daemon(config)):
            await ari.connected()
            store = await Store.open(config.store.url)
            await store.save([RECORD])
            await store.close()
            contents = await asyncio.to_thread(back_up, folder / "calls.db", tmp_path / "backup")
            assert contents.newest_ms == AT_MS
            for force in (False, True):
                with pytest.raises(StoreError, match="another callsteward runs with it; stop that one first"):
                    await restored(tmp_path / "backup", folder, force=force)
        # The daemon starts on what was restored.
        await restored(tmp_path / "backup", folder, force=True)
        async with running(Daemon(config)):
            await ari.connected()
    assert await calls_in(folder / "calls.db") == [RECORD.call_id]


async def test_an_older_schema_is_brought_up_before_it_takes_its_place(site: Path, tmp_path: Path) -> None:
    back_up(site / "calls.db", tmp_path / "backup")
    downgraded(tmp_path / "backup", "0011")
    new = tmp_path / "new"
    new.mkdir()
    done = await restored(tmp_path / "backup", new)
    assert done.contents.schema == "0011"
    assert checked(new / "calls.db").schema == schemas()[-1]


BREAKS = ("clear", "link", "replace")


@pytest.mark.parametrize("where", BREAKS)
async def test_a_restore_that_is_broken_off_leaves_the_old_database_or_the_new_one(
    site: Path, tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = tmp_path / "backup"
    back_up(site / "calls.db", backup)
    store = await Store.open(settings(site).store.url)
    await store.save([msgspec.structs.replace(RECORD, call_id="later")])
    await store.close()
    (site / "calls.journal").write_bytes(b"an event\n")
    old, before = dump(site / "calls.db"), names(site)

    def broken(*_: Any) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        if where == "clear":
            patch.setattr(Journal, "clear", broken)
        elif where == "link":
            patch.setattr(Path, "hardlink_to", broken)
        else:
            patch.setattr(Path, where, broken)
        with pytest.raises(StoreError, match="cannot put the backup at"):
            await restored(backup, site, force=True)
    assert dump(site / "calls.db") == old
    assert names(site) == before
    assert (site / "calls.journal").read_bytes() == b"an event\n"
    done = await restored(backup, site, force=True)
    assert dump(Path(done.aside[0])) == old
    assert "later" not in await calls_in(site / "calls.db")


async def test_a_database_that_somebody_reads_is_not_parted_from_its_log(site: Path, tmp_path: Path) -> None:
    back_up(site / "calls.db", tmp_path / "backup")
    store = await Store.open(settings(site).store.url)
    await store.save([msgspec.structs.replace(RECORD, call_id="before")])
    with contextlib.closing(sqlite3.connect(site / "calls.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM calls").fetchone()
        await store.save([msgspec.structs.replace(RECORD, call_id="later")])
        await store.close()
        with pytest.raises(StoreError, match="open: end it, and run this again"):
            await restored(tmp_path / "backup", site, force=True)
    assert {"before", "later"} <= set(await calls_in(site / "calls.db"))
    assert names(site) == ["calls.db"]


async def test_a_damaged_database_is_put_aside_with_its_log(site: Path, tmp_path: Path) -> None:
    back_up(site / "calls.db", tmp_path / "backup")
    (site / "calls.db").write_bytes(b"damaged")
    (site / "calls.db-wal").write_bytes(b"its log")
    done = await restored(tmp_path / "backup", site, force=True)
    database, log = [site / path for path in done.aside]
    assert (database.read_bytes(), log.read_bytes()) == (b"damaged", b"its log")
    assert log.name == f"{database.name}-wal"
    assert names(site) == ["calls.db", database.name, log.name]
    assert dump(site / "calls.db") == dump(tmp_path / "backup")


async def test_what_a_killed_command_left_is_in_nobodys_way(site: Path, tmp_path: Path) -> None:
    for name in ("backup.new", "backup.new-journal"):
        (tmp_path / name).write_bytes(b"half")
    back_up(site / "calls.db", tmp_path / "backup")
    for name in ("calls.db.restoring", "calls.db.restoring-wal"):
        (site / name).write_bytes(b"half")
    await restored(tmp_path / "backup", site, force=True)
    assert names(tmp_path) == ["backup", "site"]
    assert not [name for name in names(site) if "restoring" in name]


def test_the_journals_lock_is_taken_and_given_back(site: Path) -> None:
    journal = site / "calls.journal"
    journal.write_bytes(b"")
    with restoring._alone(journal):
        handle = os.open(journal, os.O_RDWR)
        with pytest.raises(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(handle)
    handle = os.open(journal, os.O_RDWR)
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(handle)
