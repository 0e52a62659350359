"""The PBX dies under several talks: each client gets one callback, newest first and paced."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.asterisk import Asterisk
from tests.lab.postgresql import PostgreSql
from tests.live.availability import lab_or_skip
from tests.live.daemon import Daemon
from tests.live.play import Playing
from tests.live.settings import callback_settings

pytestmark = [pytest.mark.live, pytest.mark.takes(110)]

LANES = (0, 1, 2)
GREETING_LANE = 3
AT_ONCE = 2
SPOKEN_S = 5.0
"""Past the greeting and the first turns; and the phones' registrations are in the PBX's database."""


@pytest.fixture
def pbx() -> Iterator[Asterisk]:
    with lab_or_skip(), Asterisk() as started:
        yield started


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_each_client_of_a_pbx_that_died_is_called_back_once(
    pbx: Asterisk, postgresql: PostgreSql, tmp_path: Path, engine: str
) -> None:
    database = tmp_path / "restart.db" if engine == "sqlite" else postgresql.new_database("restart")
    values = callback_settings(pbx, database, max_parallel=AT_ONCE)
    with Daemon(tmp_path, "restart", values) as daemon:
        daemon.start()
        talking = [Playing(pbx, "pbx_restarted", lane) for lane in LANES]
        greeting = Playing(pbx, "pbx_restarted_in_the_greeting", GREETING_LANE)

        def talks() -> int:
            return sum(len(bridge["channels"]) == 2 for bridge in pbx.request_list("/bridges"))  # type: ignore[arg-type]

        daemon.until(lambda: talks() == len(LANES) + 1, 40, "see four talks")
        time.sleep(SPOKEN_S)
        pbx.kill()
        pbx.start()
        for played in [scenario.end() for scenario in talking]:
            assert not played.error
            assert played.invites == 1
            (row,) = played.rows(daemon.callbacks())
            assert (row["state"], row["reason"]) == ("reached", "answered")
            assert "Asterisk was restarted" in daemon.steps(row["origin_call_id"])[0]["evidence"]
            origin = played.rows(daemon.records())[0]
            assert (origin["outcome"], origin["hangup"]["first"]) == ("mid_dialogue_drop", "pbx")

        # The one that was still being greeted is not called back.
        played = greeting.end()
        assert not played.error
        assert played.invites == 0
        assert played.rows(daemon.callbacks()) == []
        (early,) = played.rows(daemon.records())
        assert (early["outcome"], early["callback"]["reason"]) == ("early_drop", "early_drop")
        assert early["hangup"]["first"] == "pbx"
        _paced_and_newest_first(daemon)


def _paced_and_newest_first(daemon: Daemon) -> None:
    """By the ledger: the order in which callbacks were offered, and how many at once."""
    rows = daemon.callbacks()
    changes, asked = [], []
    for row in rows:
        for step in daemon.steps(row["origin_call_id"]):
            if step["state"] == "offered":
                changes.append((step["at_ms"], 1))
                asked.append((step["at_ms"], step["id"], row))
            elif step["from_state"] in {"offered", "operator_answered", "dialling"} and step["state"] in {
                "due", "reached", "not_reached", "cancelled", "expired",
            }:  # fmt: skip
                changes.append((step["at_ms"], -1))
    under_way = most = 0
    for _, change in sorted(changes):
        under_way += change
        most = max(most, under_way)
    assert (under_way, most) == (0, AT_ONCE)
    newest = sorted(rows, key=lambda row: (row["dropped_at_ms"], row["id"]), reverse=True)
    first = [row["id"] for _, _, row in sorted(asked, key=lambda item: item[:2])][:AT_ONCE]
    assert first == [row["id"] for row in newest[:AT_ONCE]]
