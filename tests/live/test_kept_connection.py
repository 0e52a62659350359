"""connect = "outbound": systemd keeps the connection of a daemon that is killed while calls pour in.

The real systemd, with the shipped unit. Asterisk must not notice, and what happened while nobody was there
must be in the records as if the daemon had been: each of them complete.
"""

from __future__ import annotations

import os
import secrets
import shlex
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.lab.asterisk import Asterisk
from tests.lab.broker import Mosquitto
from tests.lab.pbx_config import REPOSITORY, Outbound
from tests.lab.ports import free_port
from tests.lab.systemd import Systemd
from tests.live.availability import lab_or_skip
from tests.live.daemon import COMMAND, Daemon, wait_for
from tests.live.settings import merged
from tests.soak.pbx import Crowd, prepare_settings

pytestmark = pytest.mark.live

KILLS = int(os.environ.get("CALLSTEWARD_KEPT_KILLS", "8"))
RATE = float(os.environ.get("CALLSTEWARD_KEPT_RATE", "15"))
SETTLE_S = 30.0
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


def test_killed_over_and_over_it_loses_nothing(root_22: Path, broker: Mosquitto, tmp_path: Path) -> None:
    port, password = free_port(), secrets.token_hex(8)
    outbound = Outbound(
        uri=f"ws://127.0.0.1:{port}/ari",
        user="callsteward",
        password=password,
        application="callsteward-soak",
    )
    pbx = Asterisk(outbound=outbound, ari_password=password)
    asterisk = {"connect": "outbound", "listen_port": port, "username": outbound.user}
    crowd = Crowd(pbx)
    with pbx, crowd:
        settings = merged(prepare_settings(tmp_path, pbx, broker), {"asterisk": asterisk})
        # Only read: systemd runs it.
        daemon = Daemon(tmp_path, "kept", settings)
        with lab_or_skip():
            systemd = Systemd({UNIT: shipped_unit(daemon)})
        with systemd:
            systemd.control("start", UNIT)
            wait_for(lambda: len(daemon.said("ari_connected")) == 1, 20, "Asterisk to dial")

            def connected_again(times: int) -> None:
                wait_for(lambda: len(daemon.said("ari_connected")) == times + 1, 20, "the next life")

            crowd.call(RATE)
            for kill in range(KILLS):
                # Not in step with anything.
                time.sleep(0.6 + kill % 7 * 0.11)
                systemd.control("kill", "--signal=SIGKILL", UNIT)
                connected_again(kill + 1)
                assert pbx.running, f"Asterisk died of kill {kill + 1}"
            crowd.rest()
            placed, failed = crowd.totals()
            wait_for(lambda: not pbx.request_list("/channels"), SETTLE_S, "Asterisk's channels to end")
            # A busy operator makes two rows of one call.
            calls = {row.unique_id for row in pbx.cdr() if row.context == "from-soak"}
            wait_for(lambda: calls <= {call for call, _ in daemon.stored()}, SETTLE_S, "every call's record")
            assert systemd.shown(UNIT, "NRestarts") == str(KILLS)
            systemd.control("stop", UNIT)
            assert systemd.shown(UNIT, "Result") == "success"
        records = daemon.stored()
    unread = sum(entry["bytes_unread"] for entry in daemon.said("ari_resumed"))
    print(f"\nkept connection: {KILLS} kills, {len(calls)} calls, {unread} bytes read and not yet kept")
    assert len(daemon.said("ari_resumed")) == KILLS
    assert daemon.said("ari_broke_off") == []
    assert (placed, failed) == (len(calls), 0), crowd.complaints()
    assert {call: count for call, count in Counter(call for call, _ in records).items() if count > 1} == {}
    assert {call for call, _ in records} == calls
    assert [call for call, whole in records if not whole] == []
