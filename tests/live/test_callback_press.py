"""press_1: a voicemail that answers for an operator does not spend the attempt on the client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.asterisk import Asterisk
from tests.live.availability import lab_or_skip
from tests.live.daemon import Daemon
from tests.live.play import Playing
from tests.live.settings import callback_settings

pytestmark = [pytest.mark.live, pytest.mark.takes(40)]


@pytest.fixture
def pbx() -> Iterator[Asterisk]:
    with lab_or_skip(), Asterisk(rtp_timeout_s=3) as started:
        yield started


def test_the_client_is_dialled_when_somebody_presses_1(pbx: Asterisk, tmp_path: Path) -> None:
    values = callback_settings(pbx, tmp_path / "p.db", press_1=True, press_1_s=4)
    with Daemon(tmp_path, "press", values) as daemon:
        daemon.start()
        played = Playing(pbx, "press_1", 0).end()
        assert not played.error
        assert played.invites == 1
        (row,) = played.rows(daemon.callbacks())
        assert (row["state"], row["attempts"]) == ("reached", 2)
        steps = daemon.steps(row["origin_call_id"])
        declined = next(step for step in steps if step["reason"] == "operator_declined")
        assert declined["operator"] == played.lane.operator(1)
        asked = played.at("asked")
        assert played.rings("client")[0] > asked + 1.0
