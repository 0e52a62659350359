"""A daemon that stands still for a while (SIGSTOP, as a machine that is suspended or starved).

CALLSTEWARD_STOP_S=90 for as long as it takes systemd's watchdog of the shipped unit.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.lab.asterisk import Asterisk
from tests.lab.broker import Mosquitto
from tests.lab.systemd import Systemd
from tests.live.availability import lab_or_skip
from tests.live.daemon import Daemon, wait_for
from tests.live.settings import lab_settings, merged
from tests.live.subscriber import Subscriber
from tests.live.test_kept_connection import UNIT, shipped_unit

pytestmark = [pytest.mark.live, pytest.mark.takes(45)]

STOP_S = float(os.environ.get("CALLSTEWARD_STOP_S", "12"))
KEEPALIVE_S = 5


def test_without_systemd_it_goes_on_where_it_stood(
    pbx: Asterisk, broker: Mosquitto, subscriber: Subscriber, folder: Path
) -> None:
    settings = merged(
        lab_settings(folder, pbx, broker, name="stopped"), {"mqtt": {"keepalive_s": KEEPALIVE_S}}
    )
    with Daemon(folder, "stopped", settings) as daemon:
        daemon.start()
        subscriber.wait("stopped", "status", lambda body: body["asterisk"] == "connected")
        since = subscriber.count()
        daemon.send(signal.SIGSTOP)
        time.sleep(STOP_S)
        # The broker has missed it meanwhile.
        subscriber.wait("stopped", "status", lambda body: body["reason"] == "connection_lost", since=since)
        since = subscriber.count()
        daemon.send(signal.SIGCONT)
        resumed = time.monotonic()
        subscriber.wait(
            "stopped",
            "status",
            lambda body: (body["state"], body["asterisk"]) == ("online", "connected"),
            limit_s=60,
            since=since,
        )
        print(f"\nstopped for {STOP_S:g} s, online after {time.monotonic() - resumed:.1f} s")
        assert daemon.said("stuck") == []
        assert daemon.terminate() == 0


def test_systemd_s_watchdog_starts_it_anew(pbx: Asterisk, broker: Mosquitto, folder: Path) -> None:
    settings = lab_settings(folder, pbx, broker, name="watched")
    with Daemon(folder, "watched", settings) as daemon:
        unit = shipped_unit(daemon)
        if STOP_S < 90:
            unit = unit.replace("WatchdogSec=60", "WatchdogSec=6")
        with lab_or_skip():
            systemd = Systemd({UNIT: unit})
        with systemd:
            systemd.control("start", UNIT)
            wait_for(lambda: bool(daemon.said("ari_connected")), 20, "a link to Asterisk")
            systemd.control("kill", "--signal=SIGSTOP", UNIT)
            began = time.monotonic()
            wait_for(lambda: len(daemon.said("ari_connected")) == 2, 120, "another process")
            print(f"\nanother process is connected {time.monotonic() - began:.1f} s after a SIGSTOP")
            assert systemd.shown(UNIT, "NRestarts") == "1"
            systemd.control("stop", UNIT)
            assert systemd.shown(UNIT, "Result") == "success"
