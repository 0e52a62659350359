"""Two daemons for one PBX: whatever becomes of the one that acts, the other goes on; nobody is rung twice.

A wave of calls is under way, each in another phase, from a phone that rings to a client who is called back.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.asterisk import Asterisk
from tests.lab.broker import Mosquitto
from tests.lab.postgresql import PostgreSql
from tests.live.availability import lab_or_skip
from tests.live.daemon import until_all_have_gone, wait_for
from tests.live.play import CALLBACKS, Played, Playing
from tests.live.published import schema_errors
from tests.live.standby_site import STRIKES, TAKES_OVER_S, Site
from tests.live.subscriber import Subscriber

pytestmark = [pytest.mark.live, pytest.mark.takes(600)]

# A call breaks some 8 s after its beginning, and its client has been called back some 6 s later.
LANES = range(8)
APART_S = 1.6
# When the daemon that acts is struck: in each direction calls are in other phases.
STRUCK_S = {"a": 14.0, "b": 14.9}


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSql]:
    with lab_or_skip():
        made = PostgreSql(connections=60)
    with made as started:
        yield started


@pytest.fixture(scope="module")
def own_pbx() -> Iterator[Asterisk]:
    with lab_or_skip(), Asterisk(rtp_timeout_s=3) as started:
        yield started


def wave(site: Site, pbx: Asterisk, how: str, acts: str) -> list[Played]:
    """Calls in every phase; the daemon that acts is struck while they are on, the other one takes over."""
    heir = site.other(acts)
    began = time.monotonic()
    playing = []
    for lane in LANES:
        time.sleep(max(0.0, began + lane * APART_S - time.monotonic()))
        playing.append(Playing(pbx, "network_loss", lane, CALLBACKS))
    time.sleep(max(0.0, began + STRUCK_S[acts] - time.monotonic()))
    print("phases:", [row["state"] for row in site.daemons[acts].callbacks()], flush=True)
    struck = site.strike(how, acts)
    took_s = site.took_over_s(heir, struck)
    print(f"{how}: {heir} took over in {took_s:.2f} s", flush=True)
    time.sleep(2.0)
    site.mend(how, acts)
    played = [one.end() for one in playing]
    assert took_s <= TAKES_OVER_S
    return played


@pytest.mark.parametrize("how", STRIKES)
def test_the_other_daemon_goes_on_where_the_one_that_acted_left(
    tmp_path: Path, own_pbx: Asterisk, broker: Mosquitto, server: PostgreSql, subscriber: Subscriber, how: str
) -> None:
    name = f"standby-{list(STRIKES).index(how)}"
    with Site(tmp_path, own_pbx, broker, server, name) as site:
        site.start("a")
        played = wave(site, own_pbx, how, "a")
        # And back again.
        played += wave(site, own_pbx, how, "b")
        until_all_have_gone(own_pbx)
        daemon = site.daemons["a"]
        wait_for(lambda: len(daemon.records()) >= len(site.reference.records()), 20, "all records")
        wait_for(lambda: not daemon.rows("SELECT 1 FROM outbox"), 20, "the outbox to be empty")

        assert [one.error for one in played] == [""] * len(played)
        assert [one.invites for one in played] == [1] * len(played)
        # Everything was recorded as by a daemon to which nothing was done.
        records = {record["call_id"]: record for record in daemon.records()}
        expected = {record["call_id"]: record for record in site.reference.records()}
        assert records.keys() == expected.keys()
        for call_id, record in expected.items():
            assert record["complete"]
            assert records[call_id] == record
        states = [(row["state"], row["reason"]) for row in daemon.callbacks()]
        assert states == [("reached", "answered")] * len(played)
        # And told, each once for whoever goes by message_id.
        messages = subscriber.of(name)
        assert schema_errors(messages) == []
        ended = {m.body["message_id"]: m.body["call_id"] for m in messages if m.topic.endswith("/ended")}
        assert sorted(ended.values()) == sorted(records)
        steps = daemon.rows("SELECT count(*) AS n FROM callback_transitions")[0]["n"]
        moved = {m.body["message_id"] for m in messages if "/callbacks/" in m.topic}
        assert len(moved) == steps
