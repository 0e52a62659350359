"""`status` as an admin runs it, beside a daemon and without one."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from callsteward.ari.events import epoch_ms
from callsteward.config import load
from callsteward.daemon.app import Daemon
from callsteward.demo.ari_server import FakeAri
from callsteward.terminal import options as cli_options
from tests.unit.running import running as kept_running
from tests.unit.test_app import SECRET, KeptFeed, capture
from tests.unit.test_cli import callsteward


def written(folder: Path, url: str) -> Path:
    file = folder / "c.toml"
    file.write_text(
        f'[asterisk]\nurl = "{url}"\npassword = "{SECRET}"\n[mqtt]\nenabled = false\n'
        f'[store]\nurl = "sqlite:///{folder}/calls.db"\n'
    )
    file.chmod(0o600)
    return file


@asynccontextmanager
async def running(file: Path):
    feed = KeptFeed()
    async with kept_running(Daemon(load(file), feed=feed)):
        async with asyncio.timeout(60):
            while not (file.parent / "calls.sock").exists():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        yield feed


async def test_beside_a_daemon_that_is_well(tmp_path: Path) -> None:
    async with FakeAri(password=SECRET) as ari:
        ari.now_ms = epoch_ms("2026-11-22T02:00:00.000+0000")
        file = written(tmp_path, ari.url)
        async with running(file):
            await ari.connected()
            await ari.play(capture("client_bye")[:12])
            for_machines = await asyncio.to_thread(callsteward, "status", "-c", file)
            for_people = await asyncio.to_thread(callsteward, "status", "-c", file, "--output", "table")
    assert (for_machines.returncode, for_machines.stderr) == (0, b"")
    found = json.loads(for_machines.stdout)
    assert (found["running"], found["problems"], found["open_calls"]) == (True, [], 1)
    assert found["asterisk"]["connected"] is True
    assert found["work"] == {"callbacks": {}, "ratings": {}, "lost": {}, "complaints": {}}
    assert for_people.returncode == 0
    said = for_people.stdout.decode()
    assert "Asterisk         connected" in said
    assert "broker           off (mqtt.enabled = false)" in said
    assert "calls            1 open" in said
    assert said.rstrip().endswith("all is well")


async def test_the_operators_are_shown_as_they_are_now(tmp_path: Path) -> None:
    async with FakeAri(password=SECRET) as ari:
        ari.now_ms = epoch_ms("2026-11-22T02:00:00.000+0000")
        file = written(tmp_path, ari.url)
        file.write_text(f'{file.read_text()}[operators.109]\nname = "Иванова [red]"\n')
        async with running(file):
            await ari.connected()
            await ari.play(capture("client_bye")[:56])
            by_name: dict[str, Any] = {}
            async with asyncio.timeout(60):
                while by_name.get("101", {}).get("status") != "talking":
                    by_name = await asyncio.to_thread(_operators, file)
            table = await asyncio.to_thread(callsteward, "operators", "-c", file, "--output", "table")
            watch = await asyncio.to_thread(callsteward, "operators", "-c", file, "--watch")
    assert by_name["101"]["line"] == "default"
    assert by_name["109"]["name"] == "Иванова [red]"
    assert [line.split()[:2] for line in table.stdout.decode().splitlines() if "109" in line] == [
        ["109", "Иванова"]
    ]
    assert (watch.returncode, b"it is for a terminal" in watch.stderr) == (2, True)


def _operators(file: Path) -> dict[str, Any]:
    result = callsteward("operators", "-c", file)
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert (result.returncode, result.stderr.decode()) == (0, f"operators: {len(rows)}\n")
    return {row["operator"]: row for row in rows}


async def test_problems_are_listed_and_the_exit_code_is_1(tmp_path: Path) -> None:
    file = written(tmp_path, "http://127.0.0.1:1")
    async with running(file) as feed:
        async with asyncio.timeout(60):
            while not feed.links:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        result = await asyncio.to_thread(callsteward, "status", "-c", file, "--output", "table")
    assert result.returncode == 1
    assert "! no link to Asterisk (Asterisk does not answer" in result.stdout.decode()
    assert "all is well" not in result.stdout.decode()


def test_without_a_daemon_status_says_so(tmp_path: Path) -> None:
    file = written(tmp_path, "http://127.0.0.1:1")
    result = callsteward("status", "-c", file)
    assert result.returncode == 1
    found = json.loads(result.stdout)
    assert found["running"] is False
    assert found["problems"] == [
        f"no daemon runs for this configuration: nobody listens on {tmp_path}/calls.sock"
    ]
    assert list(tmp_path.iterdir()) == [file]


def test_the_configuration_may_be_named_in_the_environment(tmp_path: Path) -> None:
    file = written(tmp_path, "http://127.0.0.1:1")
    assert callsteward("calls", CALLSTEWARD_CONFIG=str(file)).stderr.startswith(
        f"callsteward: there is no database at {tmp_path}/calls.db".encode()
    )
    named = callsteward("calls", "-c", tmp_path / "other.toml", CALLSTEWARD_CONFIG=str(file))
    assert named.stderr.startswith(f"callsteward: {tmp_path}/other.toml: no such file".encode())


@pytest.mark.skipif(cli_options.DEFAULT_CONFIG.exists(), reason="callsteward is installed here")
@pytest.mark.parametrize("command", [("calls",), ("status",), ("lost",), ("callbacks",), ("dnc", "list")])
def test_without_a_name_the_units_place_is_looked_at_and_named(command: tuple[str, ...]) -> None:
    result = callsteward(*command)
    assert result.returncode == 2
    assert result.stderr.decode() == (
        "callsteward: /etc/callsteward/callsteward.toml: no such file: name the configuration with -c FILE or"
        " $CALLSTEWARD_CONFIG\n"
    )


@pytest.mark.parametrize(
    ("group", "command"), [("callbacks", "cancel"), ("callbacks", "show"), ("lost", "settle")]
)
def test_a_configuration_before_a_groups_command_would_not_count_and_is_refused(
    tmp_path: Path, group: str, command: str
) -> None:
    file = written(tmp_path, "http://127.0.0.1:1")
    result = callsteward(group, "-c", file, command, "1.1")
    assert result.returncode == 2
    assert f"it stands before '{command}': write it behind" in " ".join(result.stderr.decode().split())


def test_completion_can_be_switched_on() -> None:
    assert "--install-completion" in callsteward("--help").stdout.decode()
