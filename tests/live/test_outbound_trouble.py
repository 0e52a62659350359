"""connect = "outbound", and Asterisk in trouble: a websocket of our own has to notice what aiohttp's does."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.lab.broker import Mosquitto
from tests.live.crowded import crowded
from tests.live.daemon import Daemon

pytestmark = [pytest.mark.live, pytest.mark.takes(27)]


@pytest.mark.usefixtures("root_22")
def test_an_asterisk_that_hangs_or_restarts_is_known_and_taken_up_again(
    broker: Mosquitto, tmp_path: Path
) -> None:
    with crowded(tmp_path, broker) as hotline, Daemon(tmp_path, "trouble", hotline.settings) as daemon:
        daemon.start()
        frozen_at = time.monotonic()
        hotline.pbx.freeze()
        try:
            daemon.wait_for_log("ari_disconnected", limit_s=12)
            known_s = time.monotonic() - frozen_at
        finally:
            hotline.pbx.thaw()
        daemon.wait_for_log("ari_connected", times=2, limit_s=30)
        hotline.pbx.restart()
        daemon.wait_for_log("ari_connected", times=3, limit_s=60)
        first, second = daemon.said("ari_disconnected")
        assert daemon.terminate() == 0
        (stopped,) = daemon.said("daemon_stop")
    print(f"\noutbound: a hung Asterisk was known after {known_s:.1f} s")
    assert known_s <= 10
    assert "heartbeat" in first["why"]
    assert "heartbeat" not in second["why"]
    counters = stopped["counters"]
    assert (counters["silences"], counters["malformed"], counters["tracker_errors"]) == (1, 0, 0)
