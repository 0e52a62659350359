"""The shipped systemd unit: hardened, no root, and what systemd itself thinks of it."""

import configparser
import re
import shutil
import subprocess

import pytest

from callsteward.agi import server as agi
from callsteward.ari import listener as ari
from callsteward.config.places import STATE
from callsteward.exceptions import ExposedStoreError
from callsteward.network.gate import RESERVE
from callsteward.web import connection as web
from tests.lab.pbx_config import REPOSITORY

UNIT = REPOSITORY / "deploy" / "callsteward.service"


def test_the_unit_has_a_dynamic_user_and_a_watchdog():
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(UNIT)
    service = unit["Service"]
    assert service["DynamicUser"] == "yes"
    assert "User" not in service
    assert service["Type"] == "notify"
    assert int(service["WatchdogSec"]) >= 2 * 30  # progress.WORK_LIMIT_S
    assert service["ExecReload"].endswith("-HUP $MAINPID")
    assert int(service["TimeoutStopSec"]) > 5
    # A store of an earlier version lies in the working folder: that is where it is looked for now.
    assert service["WorkingDirectory"] == f"/var/lib/{service['StateDirectory']}" == str(STATE)
    assert service["UMask"] == "0077"
    assert service["RestartPreventExitStatus"] == str(ExposedStoreError.exit_code)
    doors = (agi.MAX_CONNECTIONS + agi._WAITING, web.BOUNDS.most, ari.BOUNDS.most)
    assert int(service["LimitNOFILE"]) > 2 * (sum(doors) + RESERVE)
    # By hand it runs with what a shell has.
    assert sum(doors) + RESERVE < 1024


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_systemd_finds_little_exposed():
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", UNIT],
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"exposure level for \S+: ([0-9.]+)", done.stdout)
    if found is None:
        pytest.skip(f"this systemd-analyze cannot: {done.stderr.strip()}")
    print(f"\nsystemd-analyze security: {found.group(1)} (0 is best, 10 worst)")
    assert float(found.group(1)) <= 1.5
