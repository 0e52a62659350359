"""connect = "outbound": systemd keeps the connection of a daemon that is killed while calls pour in.

The real systemd, with the shipped unit. Asterisk must not notice, and what happened while nobody was there
must be in the records as if the daemon had been: each of them complete.
"""

from __future__ import annotations

import os
import shlex
import time
from pathlib import Path

import pytest

from tests.lab.broker import Mosquitto
from tests.lab.pbx_config import REPOSITORY
from tests.lab.systemd import Systemd
from tests.live.availability import lab_or_skip
from tests.live.crowded import crowded
from tests.live.daemon import COMMAND, Daemon, wait_for

pytestmark = [pytest.mark.live, pytest.mark.alone]

KILLS = int(os.environ.get("CALLSTEWARD_KEPT_KILLS", "8"))
RATE = float(os.environ.get("CALLSTEWARD_KEPT_RATE", "15"))
UNIT = "callsteward.service"
# The rest confines it to folders that a test has not got.
_AS_SHIPPED = ("Type=", "Restart=", "RestartSec=", "Timeout", "WatchdogSec=", "FileDescriptorStoreMax=")


def shipped_unit(daemon: Daemon) -> str:
    lines = (REPOSITORY / "deploy" / UNIT).read_text().splitlines()
    return "\n".join(
        [
            "[Service]",
            *(line for line in lines if line.startswith(_AS_SHIPPED)),
            f"ExecStart={shlex.join([str(COMMAND), 'run', '-c', str(daemon.config)])}",
            f"WorkingDirectory={REPOSITORY}",
            f"StandardOutput=append:{daemon.log_file}",
            f"StandardError=append:{daemon.log_file}",
        ]
    )


@pytest.mark.usefixtures("root_22")
def test_killed_over_and_over_it_loses_nothing(broker: Mosquitto, tmp_path: Path) -> None:
    with crowded(tmp_path, broker) as hotline:
        # Only read: systemd runs it.
        daemon = Daemon(tmp_path, "kept", hotline.settings)

        def connected_again(times: int) -> None:
            wait_for(lambda: len(daemon.said("ari_connected")) == times + 1, 20, "a link to Asterisk")

        with lab_or_skip():
            systemd = Systemd({UNIT: shipped_unit(daemon)})
        with systemd:
            systemd.control("start", UNIT)
            connected_again(0)
            hotline.crowd.call(RATE)
            for kill in range(KILLS):
                # Not in step with anything.
                time.sleep(0.6 + kill % 7 * 0.11)
                systemd.control("kill", "--signal=SIGKILL", UNIT)
                connected_again(kill + 1)
                assert hotline.pbx.running, f"Asterisk died of kill {kill + 1}"
            calls = hotline.recorded(daemon)
            assert systemd.shown(UNIT, "NRestarts") == str(KILLS)
            systemd.control("stop", UNIT)
            assert systemd.shown(UNIT, "Result") == "success"
    unread = sum(entry["bytes_unread"] for entry in daemon.said("ari_resumed"))
    print(f"\nkept connection: {KILLS} kills, {calls} calls, {unread} bytes read and not yet kept")
    assert len(daemon.said("ari_resumed")) == KILLS
    assert daemon.said("ari_broke_off") == []
