"""The client is spoken to before their callback; and nothing is left of the callback afterwards."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.lab.asterisk import Asterisk
from tests.live.availability import lab_or_skip
from tests.live.daemon import Daemon
from tests.live.play import Played, play_each
from tests.live.settings import callback_settings

pytestmark = [pytest.mark.live, pytest.mark.takes(50)]

NAMES = ("sticky", "called_by_hand", "rung_by_hand_in_vain")
YEARS_MS = 3 * 365 * 86_400_000


@pytest.fixture(scope="module")
def pbx() -> Iterator[Asterisk]:
    with lab_or_skip(), Asterisk(rtp_timeout_s=3) as started:
        yield started


@pytest.fixture(scope="module")
def daemon(pbx: Asterisk, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    folder: Path = tmp_path_factory.mktemp("first")
    # Only the operator who had the client is asked: the scenarios are about other calls in between.
    values = callback_settings(pbx, folder / "first.db", sticky=True, same_operator_s=20)
    for line in values["lines"]:
        line["dids"].append(line["dids"][0].replace("10", "13", 1))
    values["lines"][0]["dids"].append("210")
    with Daemon(folder, "first", values) as started:
        started.start()
        yield started


@pytest.fixture(scope="module")
def played(pbx: Asterisk, daemon: Daemon) -> Mapping[str, Played]:
    return play_each(pbx, NAMES, len(NAMES))


def test_a_client_who_calls_again_comes_to_the_operator_they_had(
    played: Mapping[str, Played], daemon: Daemon
) -> None:
    seen = played["sticky"]
    assert not seen.error
    assert seen.invites == 0
    origin, again, other = [row for row in daemon.records() if row["line"] == "lane0"]
    assert (origin["operator"], origin["outcome"]) == ("102", "mid_dialogue_drop")
    assert [(item["operator"], item["result"]) for item in again["attempts"]] == [("102", "answered")]
    assert again["callback"] == {"decision": "not_due", "reason": "instead_of_callback"}
    # Another client meanwhile has no operator to come back to.
    assert [item["operator"] for item in other["attempts"]] == ["101"]
    (row,) = seen.rows(daemon.callbacks())
    assert (row["state"], row["reason"]) == ("cancelled", "client_called_again")


def test_an_operator_who_calls_by_hand_is_the_callback(played: Mapping[str, Played], daemon: Daemon) -> None:
    seen = played["called_by_hand"]
    assert not seen.error
    # The one call by hand.
    assert seen.invites == 1
    (row,) = seen.rows(daemon.callbacks())
    assert (row["state"], row["reason"]) == ("cancelled", "client_spoken_to")
    number = seen.lane.outside(1).number
    by_hand = [
        row for row in daemon.records()
        if row["direction"] == "outbound" and row["client_masked"].endswith(number[-4:])
    ]  # fmt: skip
    assert [row["callback"]["reason"] for row in by_hand] == ["instead_of_callback"]


def test_while_an_operator_rings_the_client_by_hand_nobody_else_is_asked_to(
    played: Mapping[str, Played], daemon: Daemon
) -> None:
    seen = played["rung_by_hand_in_vain"]
    assert not seen.error
    assert seen.invites == 2
    (row,) = seen.rows(daemon.callbacks())
    assert (row["state"], row["reason"]) == ("reached", "answered")
    gave_up = seen.at("gives_up")
    offered = [
        step["at_ms"] / 1000 for step in daemon.steps(row["origin_call_id"]) if step["state"] == "offered"
    ]
    assert row["created_at_ms"] / 1000 < gave_up
    assert gave_up < offered[0] < gave_up + 3


def test_a_fence_past_the_retention_is_gone_from_asterisk(
    pbx: Asterisk, played: Mapping[str, Played], daemon: Daemon
) -> None:
    (row,) = played["rung_by_hand_in_vain"].rows(daemon.callbacks())
    key = f"/callsteward/fence/{row['callback_id']}"
    assert key in pbx.cli("database show callsteward")
    daemon.terminate()
    connection = sqlite3.connect(daemon.database)
    connection.execute("UPDATE callbacks SET changed_at_ms = changed_at_ms - ?", (YEARS_MS,))
    connection.commit()
    connection.close()
    daemon.start()
    deadline = time.monotonic() + 20
    while key in pbx.cli("database show callsteward") and time.monotonic() < deadline:
        time.sleep(0.2)
    left = pbx.cli("database show callsteward")
    assert row["callback_id"] not in left
    daemon.until(lambda: _of(daemon, row["id"])["fence_gone_at_ms"] is not None, 5, "note it")
    assert _of(daemon, row["id"])["number"] is None


def _of(daemon: Daemon, row_id: int) -> dict[str, object]:
    return next(row for row in daemon.callbacks() if row["id"] == row_id)
