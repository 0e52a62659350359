"""`callsteward status` beside a daemon with a real Asterisk and a real broker, well and then in trouble."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.asterisk import Asterisk
from tests.lab.broker import Mosquitto
from tests.live.daemon import Daemon, callsteward, wait_for
from tests.live.settings import lab_settings

pytestmark = [pytest.mark.live, pytest.mark.takes(50)]


@pytest.fixture(scope="module")
def own_broker(root_22: Path) -> Iterator[Mosquitto]:
    """A broker that nobody else in these tests needs."""
    with Mosquitto() as started:
        yield started


@pytest.fixture
def own_daemon(pbx: Asterisk, own_broker: Mosquitto, folder: Path) -> Iterator[Daemon]:
    with Daemon(folder, "asked", lab_settings(folder, pbx, own_broker, name="asked")) as started:
        started.start()
        started.wait_for_log("ari_connected")
        yield started


def asked(daemon: Daemon) -> tuple[int, dict[str, Any]]:
    result = callsteward("status", "-c", daemon.config, "--output", "jsonl")
    assert result.stderr == b""
    (line,) = result.stdout.splitlines()
    found: dict[str, Any] = json.loads(line)
    return result.returncode, found


def test_it_says_what_the_daemon_and_its_links_do(own_daemon: Daemon, own_broker: Mosquitto) -> None:
    wait_for(lambda: asked(own_daemon)[0] == 0, 15, "a daemon that is well")
    _, found = asked(own_daemon)
    assert (found["running"], found["problems"], found["site"]) == (True, [], "lab")
    assert found["asterisk"]["connected"] is True
    assert found["broker"]["connected"] is True
    assert found["broker"]["outbox"]["messages"] == 0
    assert found["health"]["disk"] == "working"

    own_broker.kill()
    wait_for(lambda: asked(own_daemon)[0] == 1, 15, "a broker that is missed")
    _, found = asked(own_daemon)
    (problem,) = found["problems"]
    assert problem.startswith("no link to the MQTT broker; ")
    own_broker.start()
    wait_for(lambda: asked(own_daemon)[0] == 0, 30, "a broker that is back")

    own_daemon.terminate()
    code, found = asked(own_daemon)
    assert (code, found["running"]) == (1, False)
    assert found["problems"][0].startswith("no daemon runs for this configuration: nobody listens on ")


def test_a_daemon_that_was_killed_leaves_a_socket_that_deceives_nobody(own_daemon: Daemon) -> None:
    own_daemon.kill()
    code, found = asked(own_daemon)
    assert (code, found["running"]) == (1, False)
    own_daemon.start()
    wait_for(lambda: asked(own_daemon)[1]["running"], 15, "the daemon that follows it")
