"""The rating on the oldest Asterisk callsteward works with (16): each way to ask, and a daemon that dies.

Its store is PostgreSQL.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.asterisk import Asterisk
from tests.lab.postgresql import PostgreSql
from tests.live.availability import lab_or_skip
from tests.live.daemon import Daemon
from tests.live.play import RATINGS, Playing, play_each
from tests.live.settings import rating_settings

pytestmark = [pytest.mark.live, pytest.mark.takes(55)]

EXPECTED = {
    "stay": ("stay", ("answered", "stay", 4)),
    "code": ("stay", ("answered", "stay", 5)),
    "transfer": ("direct", ("answered", "transfer", 3)),
    "called": ("call", ("scheduled", "call", None)),
}


@pytest.fixture(scope="module")
def pbx() -> Iterator[Asterisk]:
    with lab_or_skip(), Asterisk("16", rtp_timeout_s=3) as started:
        yield started


def test_each_way_to_ask(pbx: Asterisk, postgresql: PostgreSql, tmp_path: Path) -> None:
    with Daemon(tmp_path, "r16", rating_settings(pbx, postgresql.new_database("r16"))) as daemon:
        daemon.start()
        played = play_each(pbx, list(EXPECTED), 2, RATINGS)
        for name, (kind, rating) in EXPECTED.items():
            done = played[name]
            assert not done.error
            record = daemon.call(f"{kind}{done.lane.index}")
            told = record["rating"]
            assert (told["status"], told["reason"], told["score"]) == rating
            if kind != "call":
                rules = {check["rule"]: check["value"] for check in record["standard"]}
                assert rules["operator_hangs_up_last"] == "hand_over"
        called = played["called"]
        assert called.invites == 1
        line = f"call{called.lane.index}"
        daemon.until(lambda: daemon.settled(line), 10, "bring the rating to its end")
        assert (daemon.rating(line)["state"], daemon.rating(line)["score"]) == ("answered", 5)


def test_a_client_in_the_menu_of_a_daemon_that_dies_is_thanked_within_5_s(
    pbx: Asterisk, postgresql: PostgreSql, tmp_path: Path
) -> None:
    with Daemon(tmp_path, "dies16", rating_settings(pbx, postgresql.new_database("dies16"))) as daemon:
        daemon.start()
        playing = Playing(pbx, "forever", 5, RATINGS)
        daemon.until(lambda: any(row["state"] == "asking" for row in daemon.ratings()), 30, "ask")
        time.sleep(2.0)
        died = time.time()
        daemon.kill()
        played = playing.end()
        assert not played.error
        over = played.at("over")
        assert 0 < over - died < 5.0
