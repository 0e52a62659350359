"""A daemon killed between any durable write and the act it allows still calls back exactly once.

The daemon is armed with one fault point, dies there (SIGKILL), is started again without it, and the
client's phone counts the INVITEs.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from callsteward.callback import faults
from tests.lab.asterisk import Asterisk
from tests.live.availability import lab_or_skip
from tests.live.callback_lab import Daemon, Playing, settings

pytestmark = pytest.mark.live

# Those that a callback which succeeds comes past.
POINTS = [
    f"{when}:{state}"
    for state in ("due", "offered", "operator_answered", "dialling", "reached")
    for when in ("before", "after")
] + ["before:originate", "after:originate"]


@pytest.fixture(scope="module")
def pbx() -> Iterator[Asterisk]:
    with lab_or_skip(), Asterisk(rtp_timeout_s=3) as started:
        yield started


def _settled(daemon: Daemon, limit_s: float = 20) -> dict[str, object]:
    """The one row of the ledger, once it is over."""
    deadline = time.monotonic() + limit_s
    while True:
        (row,) = daemon.callbacks()
        if row["state"] in {"reached", "not_reached"} or time.monotonic() > deadline:
            return row
        time.sleep(0.1)


@pytest.mark.parametrize(("lane", "point"), list(enumerate(POINTS)), ids=POINTS)
def test_one_invite_wherever_the_daemon_dies(pbx: Asterisk, tmp_path: Path, lane: int, point: str) -> None:
    assert point in faults.points()
    with Daemon(tmp_path, "chaos", settings(pbx, tmp_path / "chaos.db")) as daemon:
        daemon.start(fault=point)
        playing = Playing(pbx, "network_loss", lane)
        assert daemon.wait(60) == -signal.SIGKILL
        time.sleep(0.3)
        daemon.start()
        played = playing.end()
        row = _settled(daemon)
        steps = [(step["state"], step["reason"]) for step in daemon.steps(str(row["origin_call_id"]))]
        print(f"{point}: {played.invites} INVITE, {row['state']} ({row['reason']}), steps {steps}")
        assert not played.error
        assert played.invites == 1
        assert (row["state"], row["reason"]) == ("reached", "answered")
        records = [(record["direction"], record["callback"]["decision"]) for record in daemon.records()]
        assert ("inbound", "due") in records
        assert len([record for record in records if record[0] == "inbound"]) == 1


def test_a_second_daemon_on_the_same_site_is_refused(pbx: Asterisk, tmp_path: Path) -> None:
    with Daemon(tmp_path, "first", settings(pbx, tmp_path / "one.db")) as first:
        first.start()
        with Daemon(tmp_path, "second", settings(pbx, tmp_path / "one.db")) as second:
            with pytest.raises(AssertionError, match="another callsteward runs with it"):
                second.start()
            assert second.wait(10) == 1
        assert first.running
