"""The database holds full numbers: it is its owner's alone, by whoever's hand it is made."""

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from callsteward.ari.recorder import Recorder
from callsteward.exceptions import ExposedStoreError, StoreError
from callsteward.journal.journal import Journal
from callsteward.store.engine import connect, writing


@pytest.fixture(autouse=True)
def _by_hand() -> Iterator[None]:
    """A shell's umask."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mode & 0o777 for file in folder.iterdir()}


async def test_the_database_and_its_companions_are_its_owners_alone(tmp_path):
    engine = await connect(f"sqlite:///{tmp_path}/calls.db")
    async with writing(engine) as connection:
        await connection.execute(text("CREATE TABLE other (at_ms)"))
        assert modes(tmp_path) == dict.fromkeys(("calls.db", "calls.db-wal", "calls.db-shm"), 0o600)
    await engine.dispose()


async def test_there_is_no_moment_at_which_somebody_else_can_open_it(tmp_path, monkeypatch):
    seen: list[int] = []
    connecting = sqlite3.connect

    def looked(file, *arguments, **options):
        seen.append(Path(file).stat().st_mode & 0o777)
        return connecting(file, *arguments, **options)

    monkeypatch.setattr(sqlite3, "connect", looked)
    await (await connect(f"sqlite:///{tmp_path}/calls.db")).dispose()
    assert set(seen) == {0o600}


async def test_a_link_to_a_database_to_be_made_is_followed(tmp_path):
    (tmp_path / "calls.db").symlink_to(tmp_path / "real.db")
    await (await connect(f"sqlite:///{tmp_path}/calls.db")).dispose()
    assert modes(tmp_path)["real.db"] == 0o600


@pytest.mark.parametrize("companion", ["", "-wal", "-shm"])
async def test_a_file_everybody_can_read_is_refused_with_the_command_that_mends_it(tmp_path, companion):
    url = f"sqlite:///{tmp_path}/calls.db"
    engine = await connect(url)
    file = tmp_path / f"calls.db{companion}"
    file.chmod(0o644)
    for create in (True, False):
        with pytest.raises(ExposedStoreError) as error:
            await connect(url, create=create)
        assert str(error.value) == (
            f"{file}: clients' full numbers are in there and everybody can read them; run: chmod o= {file}"
        )
        assert error.value.exit_code == 2
    # A group that may read is somebody's decision.
    file.chmod(0o660)
    await (await connect(url)).dispose()
    await engine.dispose()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
async def test_a_database_made_by_root_in_the_daemons_folder_belongs_to_the_daemon(tmp_path):
    os.chown(tmp_path, 12345, 12346)
    await (await connect(f"sqlite:///{tmp_path}/calls.db")).dispose()
    made = (tmp_path / "calls.db").stat()
    assert (made.st_uid, made.st_gid) == (12345, 12346)


def test_a_recording_is_its_owners_alone(tmp_path):
    with Recorder(tmp_path / "calls.jsonl") as recorder:
        recorder.write(b"{}")
        assert recorder.empty
    assert modes(tmp_path) == {"calls.jsonl": 0o600}
    with Recorder(tmp_path / "calls.jsonl") as recorder:
        assert not recorder.empty
    (tmp_path / "calls.jsonl").chmod(0o644)
    with pytest.raises(ExposedStoreError, match=f"run: chmod o= {tmp_path}/calls.jsonl"):
        Recorder(tmp_path / "calls.jsonl").__enter__()
    with pytest.raises(StoreError, match=f"cannot record to {tmp_path}: Is a directory"):
        Recorder(tmp_path).__enter__()


def test_a_journal_is_its_owners_alone(tmp_path):
    Journal(tmp_path / "calls.journal").close()
    assert modes(tmp_path) == {"calls.journal": 0o600}
    (tmp_path / "calls.journal").chmod(0o604)
    with pytest.raises(ExposedStoreError, match=f"run: chmod o= {tmp_path}/calls.journal"):
        Journal(tmp_path / "calls.journal")
