"""Two daemons for one PBX: whatever becomes of the one that acts, the other goes on; nobody is rung twice.

A wave of calls is under way, each in another phase, from a phone that rings to a client who is called back.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.lab.asterisk import Asterisk
from tests.lab.broker import Mosquitto
from tests.lab.postgresql import PostgreSql
from tests.live.daemon import until_all_have_gone, wait_for
from tests.live.play import CALLBACKS, RATINGS, Played, Playing
from tests.live.published import schema_errors
from tests.live.settings import rating_settings
from tests.live.standby_site import EVERY, STRIKES, TAKES_OVER_S, Site
from tests.live.subscriber import Subscriber

pytestmark = [pytest.mark.live, pytest.mark.takes(300)]

# A call breaks some 8 s after its beginning, and its client has been called back some 6 s later.
LANES = range(8)
APART_S = 1.6
# Beside some of them a call with two holds of 4 s and 3 s, on a lane of its own.
HELD = {2: 8, 5: 9}
# The fault there, and the one that brings the site back.
_NAMES = list(STRIKES)
FAULTS = list(zip(_NAMES, _NAMES, strict=True) if EVERY else zip(_NAMES[::2], _NAMES[1::2], strict=True))
# When the daemon that acts is struck: in each direction calls are in other phases.
STRUCK_S = {"a": 14.0, "b": 14.9}


def wave(site: Site, pbx: Asterisk, how: str, acts: str) -> list[Played]:
    """Calls in every phase; the daemon that acts is struck while they are on, the other one takes over."""
    heir = site.other(acts)
    began = time.monotonic()
    playing = []
    for lane in LANES:
        time.sleep(max(0.0, began + lane * APART_S - time.monotonic()))
        playing.append(Playing(pbx, "network_loss", lane, CALLBACKS))
        if lane in HELD:
            playing.append(Playing(pbx, "dial_hold_twice", HELD[lane], module=""))
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


@pytest.mark.parametrize(("there", "back"), FAULTS)
def test_the_other_daemon_goes_on_where_the_one_that_acted_left(
    tmp_path: Path,
    pair_pbx: Asterisk,
    broker: Mosquitto,
    pair_server: PostgreSql,
    subscriber: Subscriber,
    there: str,
    back: str,
) -> None:
    name = f"standby-{list(STRIKES).index(there)}"
    with Site(tmp_path, pair_pbx, broker, pair_server, name) as site:
        site.start("a")
        played = wave(site, pair_pbx, there, "a")
        played += wave(site, pair_pbx, back, "b")
        until_all_have_gone(pair_pbx)
        daemon = site.daemons["a"]
        wait_for(lambda: len(daemon.records()) >= len(site.reference.records()), 20, "all records")
        wait_for(lambda: not daemon.rows("SELECT 1 FROM outbox"), 20, "the outbox to be empty")

        assert [one.error for one in played] == [""] * len(played)
        broke = [one for one in played if one.name == "network_loss"]
        assert [one.invites for one in broke] == [1] * len(broke)
        assert sum(one.invites for one in played) == len(broke)
        # Everything was recorded as by a daemon to which nothing was done.
        records = {record["call_id"]: record for record in daemon.records()}
        expected = {record["call_id"]: record for record in site.reference.records()}
        assert records.keys() == expected.keys()
        for call_id, record in expected.items():
            assert record["complete"]
            assert records[call_id] == record
        assert sum(len(record["holds"]) == 2 for record in records.values()) == 2 * len(HELD)
        states = [(row["state"], row["reason"]) for row in daemon.callbacks()]
        assert states == [("reached", "answered")] * len(broke)
        # And told, each once for whoever goes by message_id.
        wait_for(lambda: subscriber.of(name, "status")[-1].body["standby"] == "ready", 10, "the status")
        messages = subscriber.of(name)
        last = subscriber.of(name, "status")[-1].body
        assert (last["state"], last["role"], last["instance"]) == ("online", "acts", "a")
        acted = [m.body["detail"].split()[0] for m in messages if m.topic.endswith("/$daemon/standby_acts")]
        assert acted == ["b", "a"]
        assert schema_errors(messages) == []
        ended = {m.body["message_id"]: m.body["call_id"] for m in messages if m.topic.endswith("/ended")}
        assert sorted(ended.values()) == sorted(records)
        steps = daemon.rows("SELECT count(*) AS n FROM callback_transitions")[0]["n"]
        moved = {m.body["message_id"] for m in messages if "/callbacks/" in m.topic}
        assert len(moved) == steps


def test_clients_in_the_menu_are_thanked_and_those_who_come_later_are_asked(
    tmp_path: Path, pair_pbx: Asterisk, broker: Mosquitto, pair_server: PostgreSql
) -> None:
    """One is in the menu when the daemon is killed, one still talks, one is to be called for it."""
    with Site(tmp_path, pair_pbx, broker, pair_server, "standby-rating", rating_settings) as site:
        site.start("a")
        daemon = site.daemons["b"]
        in_menu = Playing(pair_pbx, "forever", 0, RATINGS)
        called = Playing(pair_pbx, "called", 1, RATINGS)
        daemon.until(lambda: any(row["state"] == "asking" for row in daemon.ratings()), 30, "ask")
        talking = Playing(pair_pbx, "stay", 2, RATINGS)
        time.sleep(1.0)
        struck = site.strike("killed", "a")
        assert site.took_over_s("b", struck) <= TAKES_OVER_S
        daemon.wait_for_log("ivr_connected")
        played = [one.end() for one in (in_menu, called, talking)]
        assert [one.error for one in played] == [""] * 3
        until_all_have_gone(pair_pbx)
        wait_for(lambda: len(daemon.records()) >= len(site.reference.records()), 20, "all records")
        ratings = {row["line"]: (row["state"], row["reason"], row["score"]) for row in daemon.ratings()}
        assert ratings["stay0"] == ("unanswered", "interrupted", None)
        assert ratings["stay2"][0] == "answered"
        assert ratings["call1"][0] == "answered"
        # Their own call, and the one for the rating.
        assert played[1].invites == 1
        # The reference asks nobody: to it a hand-over is a hang-up by the operator.
        other = {"rating": None, "hangup": None, "standard": None, "callback": None}
        expected = {record["call_id"]: record | other for record in site.reference.records()}
        assert {record["call_id"]: record | other for record in daemon.records()} == expected
