"""A number that comes onto the do-not-call list while its callback is open: the phone gets no INVITE.

`callsteward dnc add` runs in a process of its own, and another site may write into the same table.
"""

from __future__ import annotations

import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.asterisk import Asterisk
from tests.live.availability import lab_or_skip
from tests.live.daemon import Daemon, callsteward
from tests.live.play import Played, Playing
from tests.live.settings import callback_settings

pytestmark = [pytest.mark.live, pytest.mark.takes(140)]

PATIENCE_S = 5.0
"""The time for which the dialplan waits for the daemon before it gives up by itself."""


@pytest.fixture(scope="module")
def pbx() -> Iterator[Asterisk]:
    with lab_or_skip(), Asterisk(rtp_timeout_s=3) as started:
        yield started


def _forbid(daemon: Daemon, number: str) -> str:
    done = callsteward("dnc", "add", number, "-c", daemon.config, "--comment", "asked us to")
    assert done.returncode == 0, done.stderr.decode()
    return done.stderr.decode().strip()


def _forbid_by_another_site(daemon: Daemon, number: str) -> None:
    connection = sqlite3.connect(daemon.database, timeout=10)
    with connection:
        connection.execute("INSERT INTO do_not_call VALUES (?, 0, 'another site', '')", (number,))
    connection.close()


def _number(daemon: Daemon, line: str) -> str:
    """The client's, as the ledger has it."""
    (number,) = [str(row["number"]) for row in daemon.callbacks() if row["line"] == line]
    return number


def _in_state(daemon: Daemon, line: str, state: str) -> bool:
    return any(row["line"] == line and row["state"] == state for row in daemon.callbacks())


def _operator_is_up(pbx: Asterisk) -> bool:
    channels = pbx.request_list("/channels")
    return any(
        str(channel["id"]).startswith("callsteward-cb-") and channel["state"] == "Up" for channel in channels
    )


def _cancelled(daemon: Daemon, played: Played) -> tuple[str, str]:
    assert not played.error
    assert played.invites == 0
    (row,) = played.rows(daemon.callbacks())
    last = daemon.steps(row["origin_call_id"])[-1]
    assert (last["state"], last["reason"]) == (row["state"], row["reason"])
    return row["state"], row["reason"]


def test_nobody_is_rung_for_a_client_who_was_put_on_the_list_before(pbx: Asterisk, tmp_path: Path) -> None:
    with Daemon(tmp_path, "before", callback_settings(pbx, tmp_path / "before.db")) as daemon:
        daemon.start(fault="after:due")
        playing = Playing(pbx, "nobody_rings_any_more", 0)
        assert daemon.exit_code(60) == -signal.SIGKILL
        assert _in_state(daemon, "lane0", "due")
        told = _forbid(daemon, _number(daemon, "lane0"))
        assert told == "added 1, on the list already 0; cancelled: callbacks 1"
        daemon.start()
        playing.cue()
        played = playing.end()
        assert _cancelled(daemon, played) == ("cancelled", "do_not_call")
        assert played.rings(played.lane.operator(2)) == []
        restarted = played.at("restarted")
        assert [at for at in played.rings(played.lane.operator(1)) if at > restarted] == []


def test_an_operator_who_waits_to_press_1_does_not_come_to_a_client_who_was_put_on_the_list(
    pbx: Asterisk, tmp_path: Path
) -> None:
    values = callback_settings(pbx, tmp_path / "press.db", press_1=True, press_1_s=20)
    with Daemon(tmp_path, "press", values) as daemon:
        daemon.start()
        playing = Playing(pbx, "answered_while_nobody_looks", 1)
        daemon.until(lambda: _in_state(daemon, "lane1", "offered"), 40, "ring the operator")
        playing.cue()
        daemon.until(lambda: _in_state(daemon, "lane1", "operator_answered"), 10, "hear the answer")
        _forbid(daemon, _number(daemon, "lane1"))
        forbidden = time.time()
        played = playing.end()
        assert _cancelled(daemon, played) == ("cancelled", "do_not_call")
        hung_up = played.at("hung_up")
        # The daemon looks each second; the key would have been waited for much longer.
        assert hung_up < forbidden + 4


@pytest.mark.parametrize(("lane", "by"), [(2, "command"), (3, "another site")])
def test_the_list_is_asked_between_the_operators_answer_and_the_dial(
    pbx: Asterisk, tmp_path: Path, lane: int, by: str
) -> None:
    """The daemon stands still at that moment: it has not looked since, and the dialplan waits for it."""
    line = f"lane{lane}"
    with Daemon(tmp_path, "between", callback_settings(pbx, tmp_path / "between.db")) as daemon:
        daemon.start()
        playing = Playing(pbx, "answered_while_nobody_looks", lane)
        daemon.until(lambda: _in_state(daemon, line, "offered"), 40, "ring the operator")
        number = _number(daemon, line)
        daemon.freeze()
        try:
            if by == "command":
                # Starting a process takes time, and the dialplan waits from the answer on.
                _forbid(daemon, number)
            playing.cue()
            daemon.until(lambda: _operator_is_up(pbx), 10, "leave the operator's phone alone")
            if by == "another site":
                _forbid_by_another_site(daemon, number)
        finally:
            daemon.thaw()
        assert _cancelled(daemon, playing.end()) == ("cancelled", "do_not_call")


@pytest.mark.parametrize(("lane", "fault", "attempts"), [(4, "before:admit", 2), (5, "after:admit", 1)])
def test_a_daemon_that_dies_as_it_lets_the_operator_through_has_the_client_called_once(
    pbx: Asterisk, tmp_path: Path, lane: int, fault: str, attempts: int
) -> None:
    """Before, the dialplan gives up and the next daemon rings an operator again; after, it dials alone."""
    with Daemon(tmp_path, "dies", callback_settings(pbx, tmp_path / "dies.db")) as daemon:
        daemon.start(fault=fault)
        playing = Playing(pbx, "network_loss", lane)
        assert daemon.exit_code(60) == -signal.SIGKILL
        time.sleep(PATIENCE_S + 1)
        assert _in_state(daemon, f"lane{lane}", "operator_answered")
        daemon.start()
        played = playing.end()
        assert not played.error
        assert played.invites == 1
        (row,) = played.rows(daemon.callbacks())
        assert (row["state"], row["reason"], row["attempts"]) == ("reached", "answered", attempts)
