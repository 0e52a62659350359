"""The daemon that acts is killed between a durable step and the act it allows; the other one goes on.

`make test` plays the sharpest points, `make standby` each.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.chaos.cells import STEPS
from tests.lab.asterisk import Asterisk
from tests.lab.broker import Mosquitto
from tests.lab.postgresql import PostgreSql
from tests.live.daemon import until_all_have_gone, wait_for
from tests.live.play import CALLBACKS, Playing
from tests.live.standby_site import EVERY, Site
from tests.live.subscriber import Subscriber

SHARPEST = ("after:originate", "before:dialling")
POINTS = tuple(f"{when}:{step}" for step in STEPS for when in ("before", "after")) if EVERY else SHARPEST

pytestmark = [pytest.mark.live, pytest.mark.takes(100)]


@pytest.mark.parametrize("point", POINTS)
def test_a_daemon_killed_at_a_step_leaves_the_rest_to_the_other_one(
    tmp_path: Path,
    pair_pbx: Asterisk,
    broker: Mosquitto,
    pair_server: PostgreSql,
    subscriber: Subscriber,
    point: str,
) -> None:
    name = f"point-{point.replace(':', '-')}"
    with Site(tmp_path, pair_pbx, broker, pair_server, name) as site:
        site.start("a", fault=point)
        playing = Playing(pair_pbx, "network_loss", 0, CALLBACKS)
        site.daemons["a"].exit_code(60)
        died = time.time()
        heir = site.daemons["b"]
        assert site.took_over_s("b", died) <= 3.0
        played = playing.end()
        until_all_have_gone(pair_pbx)
        wait_for(lambda: len(heir.records()) >= len(site.reference.records()), 20, "all records")
        wait_for(lambda: not heir.rows("SELECT 1 FROM outbox"), 20, "the outbox to be empty")
        assert played.error == ""
        assert played.invites == 1
        assert [(row["state"], row["reason"]) for row in heir.callbacks()] == [("reached", "answered")]
        expected = {record["call_id"]: record for record in site.reference.records()}
        assert {record["call_id"]: record for record in heir.records()} == expected
        assert all(record["complete"] for record in expected.values())
        ended = {m.body["message_id"]: m.body["call_id"] for m in subscriber.of(name, "calls/+/ended")}
        assert sorted(ended.values()) == sorted(expected)
