"""Callbacks on a dashboard: each step, alerts for one that waits, and the number of lost calls."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.asterisk import Asterisk
from tests.lab.broker import Mosquitto
from tests.live.availability import lab_or_skip
from tests.live.daemon import Daemon, callsteward, wait_for
from tests.live.play import Playing
from tests.live.settings import callback_settings, mqtt
from tests.live.subscriber import Subscriber

pytestmark = [pytest.mark.live, pytest.mark.takes(95)]

NAME = "callbacks"
ALERT_S, EXPIRE_S = 8, 20


@pytest.fixture(scope="module")
def pbx() -> Iterator[Asterisk]:
    with lab_or_skip(), Asterisk(rtp_timeout_s=3) as started:
        yield started


@pytest.fixture(scope="module")
def daemon(
    pbx: Asterisk, broker: Mosquitto, subscriber: Subscriber, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Daemon]:
    folder: Path = tmp_path_factory.mktemp("feed")
    values = callback_settings(
        pbx, folder / "feed.db", alert_s=ALERT_S, expire_s=EXPIRE_S, operator_ring_s=3, ask_again_s=4
    )
    # Nobody can match a talk to a lost call by its HMAC here: the number does it.
    del values["privacy"]
    values["mqtt"] = mqtt(broker, NAME)
    with Daemon(folder, NAME, values) as started:
        started.start()
        yield started


def test_a_callback_that_nobody_takes_alerts_and_expires(
    pbx: Asterisk, daemon: Daemon, subscriber: Subscriber
) -> None:
    played = Playing(pbx, "nobody_answers", 0).end()
    assert not played.error
    assert played.invites == 0
    (row,) = daemon.callbacks()
    steps = [body["state"] for body in _bodies(subscriber, "callbacks/lane0")]
    # Rung every 4 s, an operator who does not answer is no attempt on the client.
    assert steps[:3] == ["due", "offered", "due"]
    assert steps[-1] == "expired"
    assert steps.count("offered") == row["attempts"] >= 3
    alerts = {body["rule"]: body for body in _bodies(subscriber, "alerts/lane0/+")}
    assert alerts.keys() >= {"callback_late", "callback_expired"}
    assert alerts["callback_late"]["limit_s"] == ALERT_S
    assert alerts["callback_expired"]["limit_s"] == EXPIRE_S
    assert {alerts[rule]["call_id"] for rule in ("callback_late", "callback_expired")} == {
        row["origin_call_id"]
    }
    came = {message.body["rule"]: message.at for message in subscriber.of(NAME, "alerts/lane0/+")}
    dropped = row["dropped_at_ms"] / 1000
    # The ledger is looked at once a second, and an operator may be ringing when the limit passes.
    assert ALERT_S <= came["callback_late"] - dropped < ALERT_S + 5
    assert EXPIRE_S <= came["callback_expired"] - dropped < EXPIRE_S + 5


def test_lost_calls_are_counted_until_the_client_is_spoken_to_or_somebody_settles_them(
    pbx: Asterisk, daemon: Daemon, subscriber: Subscriber
) -> None:
    played = Playing(pbx, "nobody_answers_the_client", 1).end()
    assert not played.error
    seen = [(message.at, message.body["lost"]) for message in subscriber.of(NAME, "lines/lane1/now")]
    moment = {act["do"]: act["t"] for act in played.truth.acts if act["do"] in {"lost", "calls", "spoken"}}
    counts = [lost for _, lost in seen]
    assert [lost for lost, before in zip(counts, [None, *counts], strict=False) if lost != before] == [
        0, 1, 2, 1,
    ]  # fmt: skip
    assert max(lost for at, lost in seen if at < moment["calls"]) == 2
    # It lasts over a restart.
    daemon.kill()
    daemon.start()
    wait_for(lambda: _lost(subscriber) == 1, 10, "the gauge after a restart")
    listed = callsteward("lost", "-c", daemon.config).stdout
    (call_id,) = [row["call_id"] for row in daemon.records() if row["call_id"].encode() in listed]
    began = time.monotonic()
    settled = callsteward("lost", "settle", call_id, "--comment", "wrote an e-mail", "-c", daemon.config)
    assert settled.returncode == 0
    wait_for(lambda: _lost(subscriber) == 0, 15, "the gauge after it was settled in another process")
    print(f"settled in another process, seen after {time.monotonic() - began:.1f} s")


def _lost(subscriber: Subscriber) -> int:
    return int(subscriber.of(NAME, "lines/lane1/now")[-1].body["lost"])


def _bodies(subscriber: Subscriber, kind: str) -> list[dict[str, object]]:
    return [message.body for message in subscriber.of(NAME, kind)]
