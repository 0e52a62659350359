"""`callsteward check` on a real installation: green where all is well, else it says what and how to mend."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.asterisk import Asterisk
from tests.lab.broker import Mosquitto
from tests.lab.ports import free_port
from tests.live.daemon import Daemon, callsteward
from tests.live.settings import Settings, lab_settings, merged, write
from tests.live.subscriber import PASSWORD, Subscriber

pytestmark = [pytest.mark.live, pytest.mark.takes(60)]

CHECKS = (
    "config",
    "asterisk",
    "version",
    "modules",
    "user",
    "subscriptions",
    "dialplan",
    "talk detection",
    "endpoints",
    "broker",
    "store",
)


def _check(config: Path) -> tuple[int, dict[str, dict[str, str]]]:
    """Exit code and results by the name of the check."""
    done = callsteward("check", "-c", config, "--output", "jsonl")
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert results, done.stderr
    # The lab's Asterisk has a hosts file of its own.
    return done.returncode, {result["check"]: result for result in results if result["check"] != "host name"}


def _failed(results: dict[str, dict[str, str]]) -> set[str]:
    return {name for name, result in results.items() if result["status"] == "failed"}


@pytest.fixture
def healthy(pbx: Asterisk, broker: Mosquitto, tmp_path: Path) -> Settings:
    return lab_settings(tmp_path, pbx, broker, name="check")


def test_a_sound_installation_is_green(healthy: Settings, tmp_path: Path) -> None:
    code, results = _check(write(tmp_path / "c.toml", healthy))
    assert {name: result["status"] for name, result in results.items()} == dict.fromkeys(CHECKS, "ok")
    assert code == 0
    assert not (tmp_path / "check.db").exists()


def test_a_check_beside_the_running_daemon_disturbs_nothing(daemon: Daemon, subscriber: Subscriber) -> None:
    before = len(daemon.log)
    code, results = _check(daemon.config)
    assert code == 0, results
    entries = daemon.log[before:]
    assert entries == []
    assert subscriber.of("main", "status")[-1].body["asterisk"] == "connected"


def test_it_reads_well_on_a_terminal(healthy: Settings, tmp_path: Path) -> None:
    config = write(tmp_path / "c.toml", merged(healthy, {"mqtt": {"port": free_port()}}))
    done = callsteward("check", "-c", config, "--output", "table")
    lines = done.stdout.decode().splitlines()
    assert done.returncode == 1
    assert sum(line.startswith("ok") for line in lines) == 10
    broken = next(index for index, line in enumerate(lines) if line.startswith("failed"))
    assert "broker" in lines[broken]
    assert "mend:" in lines[broken + 1]


def test_a_wrong_ari_password(healthy: Settings, tmp_path: Path) -> None:
    changes = {"asterisk": {"password": "not-the-password"}}
    code, results = _check(write(tmp_path / "c.toml", merged(healthy, changes)))
    assert code == 1
    assert _failed(results) == {"user"}
    assert "ari.conf" in results["user"]["mend"]
    assert "not-the-password" not in json.dumps(results)


def test_an_asterisk_that_does_not_answer(healthy: Settings, tmp_path: Path) -> None:
    changes = {"asterisk": {"url": f"http://127.0.0.1:{free_port()}"}}
    code, results = _check(write(tmp_path / "c.toml", merged(healthy, changes)))
    assert code == 1
    assert _failed(results) == {"asterisk"}
    assert "http.conf" in results["asterisk"]["mend"]


def test_a_broker_that_is_down(healthy: Settings, tmp_path: Path) -> None:
    changes = {"mqtt": {"port": free_port()}}
    code, results = _check(write(tmp_path / "c.toml", merged(healthy, changes)))
    assert code == 1
    assert _failed(results) == {"broker"}
    assert "is the broker running?" in results["broker"]["mend"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        pytest.param({"password": "not-the-password"}, "password", id="wrong password"),
        pytest.param({"ca_file": None}, "tls", id="unknown CA"),
        pytest.param({"username": "bystander", "password": PASSWORD}, "let the broker's user", id="ACL"),
    ],
)
def test_a_broker_that_refuses(
    healthy: Settings, tmp_path: Path, changes: dict[str, object], says: str
) -> None:
    code, results = _check(write(tmp_path / "c.toml", merged(healthy, {"mqtt": changes})))
    assert code == 1
    assert _failed(results) == {"broker"}
    assert says in results["broker"]["mend"]
    assert "not-the-password" not in json.dumps(results)


def test_a_store_in_a_folder_that_is_not_there(healthy: Settings, tmp_path: Path) -> None:
    changes = {"store": {"url": f"sqlite:///{tmp_path}/nowhere/calls.db"}}
    code, results = _check(write(tmp_path / "c.toml", merged(healthy, changes)))
    assert code == 1
    assert _failed(results) == {"store"}
    assert "writable" in results["store"]["mend"]


def test_a_store_that_cannot_be_written(healthy: Settings, tmp_path: Path) -> None:
    """Also by root, whom no permission stops: the file is no database."""
    (tmp_path / "calls.db").write_bytes(b"this is no database, and long enough to be seen as none" * 20)
    changes = {"store": {"url": f"sqlite:///{tmp_path}/calls.db"}}
    code, results = _check(write(tmp_path / "c.toml", merged(healthy, changes)))
    assert code == 1
    assert _failed(results) == {"store"}
    assert results["store"]["mend"]


@pytest.fixture(scope="module")
def bare_pbx(root_22: Path) -> Iterator[Asterisk]:
    """An Asterisk whose admin included no callsteward.conf and armed no endpoint."""
    pbx = Asterisk(talk_endpoints=False)
    extensions = pbx.etc / "extensions.conf"
    text = extensions.read_text()
    extensions.write_text(re.sub(r"(?m)^#include callsteward.*$|^.*callsteward-.*$", "", text))
    with pbx:
        yield pbx


def test_an_asterisk_without_dialplan_and_talk_detection(
    bare_pbx: Asterisk, broker: Mosquitto, tmp_path: Path
) -> None:
    code, results = _check(write(tmp_path / "c.toml", lab_settings(tmp_path, bare_pbx, broker, name="bare")))
    assert code == 1
    assert _failed(results) == {"dialplan", "talk detection"}
    assert "#include callsteward.conf" in results["dialplan"]["mend"]
    assert "TALK_DETECT(set)=500,256" in results["talk detection"]["mend"]


def test_a_module_that_is_not_loaded(bare_pbx: Asterisk, broker: Mosquitto, tmp_path: Path) -> None:
    bare_pbx.cli("module unload func_talkdetect.so")
    code, results = _check(write(tmp_path / "c.toml", lab_settings(tmp_path, bare_pbx, broker, name="bare")))
    assert code == 1
    assert "modules" in _failed(results)
    assert "module load func_talkdetect.so" in results["modules"]["mend"]


def test_a_wrong_configuration_is_named_before_anything_is_tried(healthy: Settings, tmp_path: Path) -> None:
    config = write(tmp_path / "c.toml", merged(healthy, {"asterisk": {"conect": "client"}}))
    done: subprocess.CompletedProcess[bytes] = callsteward("check", "-c", config, "--output", "jsonl")
    assert done.returncode == 2
    (result,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert result["check"] == "config"
    assert "conect" in result["found"]
