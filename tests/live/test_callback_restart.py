"""The PBX dies under several talks: each client gets one callback, newest first and paced."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.asterisk import Asterisk
from tests.live.availability import lab_or_skip
from tests.live.callback_lab import Daemon, Playing, settings

pytestmark = pytest.mark.live

LANES = (0, 1, 2)
SPOKEN_S = 5.0
"""Past the greeting and the first turns; and the phones' registrations are in the PBX's database."""


@pytest.fixture
def pbx() -> Iterator[Asterisk]:
    with lab_or_skip(), Asterisk() as started:
        yield started


def test_each_client_of_a_pbx_that_died_is_called_back_once(pbx: Asterisk, tmp_path: Path) -> None:
    with Daemon(tmp_path, "restart", settings(pbx, tmp_path / "restart.db", max_parallel=2)) as daemon:
        daemon.start()
        shows = [Playing(pbx, "pbx_restarted", lane) for lane in LANES]

        def talks() -> int:
            return sum(len(bridge["channels"]) == 2 for bridge in pbx.request_list("/bridges"))  # type: ignore[arg-type]

        daemon.until(lambda: talks() == len(LANES), 40, "see three talks")
        time.sleep(SPOKEN_S)
        pbx.kill()
        pbx.start()
        for played in [show.end() for show in shows]:
            assert not played.error
            assert played.invites == 1
            (row,) = played.rows(daemon.callbacks())
            assert (row["state"], row["reason"]) == ("reached", "answered")
            assert "Asterisk was restarted" in daemon.steps(row["origin_call_id"])[0]["evidence"]
            origin = played.rows(daemon.records())[0]
            assert (origin["outcome"], origin["hangup"]["first"]) == ("mid_dialogue_drop", "pbx")
