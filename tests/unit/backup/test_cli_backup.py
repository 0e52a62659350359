"""`callsteward backup` and `restore` as an admin runs them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from callsteward.callback.ledger import CallbackLedger
from callsteward.store.records import Store
from tests.unit.backup.sites import schemas
from tests.unit.client.samples import AT_MS, DUE, NUMBER
from tests.unit.store.samples import RECORD
from tests.unit.test_cli import callsteward


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A site with one call, whose client is to be called back."""

    async def fill() -> None:
        store = await Store.open(f"sqlite:///{tmp_path}/calls.db")
        await store.save([RECORD])
        ledger = CallbackLedger(store.engine, "main")
        await ledger.open(RECORD, DUE, number=NUMBER, dropped_ms=AT_MS, at_ms=AT_MS)
        await store.close()

    asyncio.run(fill())
    file = tmp_path / "c.toml"
    file.write_text(f'[store]\nurl = "sqlite:///{tmp_path}/calls.db"\n')
    return file


def said(*arguments: object, code: int = 0) -> str:
    result = callsteward(*arguments)
    assert (result.returncode, result.stdout) == (code, b""), result.stderr
    return " ".join(result.stderr.decode().replace("│", " ").split())


def test_there_and_back_again(config: Path, tmp_path: Path) -> None:
    backup = tmp_path / "calls.backup"
    told = said("backup", backup, "-c", config)
    assert told.startswith(f"backup: {backup}, 0.")
    assert told.endswith(f" MB, schema {schemas()[-1]}, newest call of 2026-11-22T02:22:11.654Z")
    again = said("backup", backup, "-c", config, code=1)
    assert again == (
        f"callsteward: {backup} is there already: name another file, or add --force to replace it"
    )
    said("backup", backup, "--force", "-c", config)
    refused = said("restore", backup, "-c", config, code=1)
    assert "calls.db is there already" in refused
    restored = said("restore", backup, "--force", "-c", config)
    assert "kept aside: " in restored
    assert "callbacks that were open, ended: 1795314131.35" in restored
    assert f"restored: {tmp_path}/calls.db, " in restored
    assert b"cancelled" in callsteward("callbacks", "-c", config).stdout
    # On a new machine.
    for file in tmp_path.glob("calls.db*"):
        file.unlink()
    assert "kept aside" not in said("restore", backup, "-c", config)


@pytest.mark.parametrize(
    ("command", "tool"),
    [
        ("backup", "pg_dump --format=custom --file={file} postgresql://wfm@db.example:5433/calls"),
        ("restore", "pg_restore --clean --if-exists --dbname=postgresql://wfm@db.example:5433/calls {file}"),
    ],
)
def test_for_postgresql_its_own_tool_is_named_without_the_password(
    tmp_path: Path, command: str, tool: str
) -> None:
    file = tmp_path / "c.toml"
    file.write_text('[store]\nurl = "postgresql://wfm:s3cret@db.example:5433/calls"\n')
    file.chmod(0o600)
    backup = tmp_path / "b"
    if command == "restore":
        backup.write_bytes(b"PGDMP")
    told = said(command, backup, "-c", file, code=2)
    assert told == (
        "callsteward: store.url: the database is PostgreSQL's, and its own tool does this: "
        + tool.format(file=backup)
    )


def test_where_there_is_nothing_that_is_said(config: Path, tmp_path: Path) -> None:
    assert "does not exist" in said("restore", tmp_path / "nothing", "-c", config, code=2)
    (tmp_path / "calls.db").unlink()
    told = said("backup", tmp_path / "b", "-c", config, code=1)
    assert told == f"callsteward: there is no database at {tmp_path}/calls.db: nothing to back up"
