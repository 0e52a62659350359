"""A local user and the folder of the daemon's state: what is in there is the daemon's, and nobody else's."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from callsteward.demo.ari_server import FakeAri
from tests.lab.ports import free_port
from tests.unit import forked

CAPTURE = Path(__file__).parents[1] / "replay" / "captures" / "client_bye.jsonl"
COMMAND = Path(sys.executable).with_name("callsteward")


def configured(folder: Path, url: str = "http://127.0.0.1:9", state: Path | None = None) -> Path:
    config = folder / "c.toml"
    config.write_text(
        f"""
[asterisk]
url = "{url}"
password = "hidden words"
[mqtt]
port = {free_port()}
[store]
url = "sqlite:///{state or folder}/calls.db"
"""
    )
    config.chmod(0o600)
    return config


def refused(config: Path) -> subprocess.CompletedProcess[str]:
    done = forked.run_for_text("run", "-c", config)
    assert "Traceback" not in done.stderr
    return done


async def test_with_any_umask_all_files_of_a_run_are_the_owners_alone(tmp_path: Path) -> None:
    recording = tmp_path / "recording.jsonl"
    async with FakeAri(password="hidden words") as ari:
        config = configured(tmp_path, ari.url)
        log = tmp_path / "log"
        with log.open("wb") as stream:
            process = subprocess.Popen(  # noqa: ASYNC220
                [COMMAND, "run", "-c", config, "--record", recording], stderr=stream, umask=0
            )
        try:
            async with asyncio.timeout(60):
                await ari.connected()
                await ari.play(CAPTURE.read_bytes().splitlines()[:-4])
                while not recording.exists() or recording.stat().st_size < 10_000:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            made = {
                path.name: stat.S_IMODE(path.stat().st_mode)
                for path in tmp_path.iterdir()  # noqa: ASYNC240
                if path not in {config, log}
            }
        finally:
            process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.wait, 10) == 0
    assert made == dict.fromkeys(
        ("calls.db", "calls.db-wal", "calls.db-shm", "calls.journal", "calls.sock", "recording.jsonl"), 0o600
    )


def link(journal: Path) -> None:
    journal.symlink_to(journal.with_name("elsewhere"))


def pipe(journal: Path) -> None:
    os.mkfifo(journal, 0o600)


@pytest.mark.parametrize(
    ("put", "said"),
    [
        (link, "it is a link, and whoever made it chooses the file that is written to: remove it"),
        (pipe, "it is not a file: remove it"),
        (Path.mkdir, "it is not a file: remove it"),
    ],
)
def test_a_link_or_pipe_in_the_journals_place_is_not_written_to(
    tmp_path: Path, put: Callable[[Path], None], said: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("somebody's own words\n")
    journal = tmp_path / "calls.journal"
    put(journal)
    done = refused(configured(tmp_path))
    assert done.returncode == 1
    assert done.stderr == f"callsteward: cannot open the journal {journal}: {said}\n"
    assert elsewhere.read_text() == "somebody's own words\n"
    assert not (tmp_path / "calls.db").exists()


@pytest.mark.parametrize("mode", [0o777, 0o1777])
@pytest.mark.parametrize("command", [("run",), ("dnc", "add", "+7 900 000-00-01"), ("check",)])
def test_a_folder_into_which_everybody_can_put_a_database_is_refused(
    tmp_path: Path, mode: int, command: tuple[str, ...]
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    state.chmod(mode)
    config = configured(tmp_path, state=state)
    done = forked.run_for_text(*command, "-c", config)
    assert done.returncode == (1 if command == ("check",) else 2)
    mend = f"write a folder that is the daemon's alone into store.url, not {state}"
    if mode == 0o777:
        mend += f", or run: chmod o-w {state}"
    assert (
        f"store.url: everybody can put files into {state}, also in place of the database: {mend}"
        in done.stderr + done.stdout
    )
    assert list(state.iterdir()) == []
