"""connect = "outbound": the daemon is stopped over and over while calls pour in.

A websocket that ends while Asterisk writes to it can be Asterisk's own end (`ari/graceful_close.py`): closed
simply, at 25 calls a second, one stop in six was. So each stop hands over first; Asterisk must outlive them
all, and what happened meanwhile must be in the records as if nobody had gone.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.lab.broker import Mosquitto
from tests.live.crowded import crowded
from tests.live.daemon import Daemon

pytestmark = [pytest.mark.live, pytest.mark.alone]

STOPS = int(os.environ.get("CALLSTEWARD_HANDOVER_STOPS", "12"))
RATE = float(os.environ.get("CALLSTEWARD_HANDOVER_RATE", "15"))


@pytest.mark.usefixtures("root_22")
def test_asterisk_outlives_every_stop_and_every_call_is_recorded_whole(
    broker: Mosquitto, tmp_path: Path
) -> None:
    kept = 0
    with crowded(tmp_path, broker) as hotline, Daemon(tmp_path, "handover", hotline.settings) as daemon:
        daemon.start()
        hotline.crowd.call(RATE)
        for stop in range(STOPS):
            # Not in step with anything.
            time.sleep(0.6 + stop % 7 * 0.11)
            assert daemon.terminate() == 0
            assert hotline.pbx.running, f"Asterisk died of stop {stop + 1}"
            assert daemon.said("ari_no_handover") == []
            (said,) = daemon.said("ari_handover")
            kept += said["kept"]
            daemon.start()
        calls = hotline.recorded(daemon)
    print(f"\nhandover: {STOPS} stops, {calls} calls, {kept} events over the second socket alone")
