"""Exactly one callback on Asterisk 16 too, with the phones on chan_pjsip and on chan_sip; on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.asterisk import Asterisk
from tests.lab.postgresql import PostgreSql
from tests.live.availability import lab_or_skip
from tests.live.daemon import Daemon
from tests.live.play import Played, play_each
from tests.live.settings import callback_settings
from tests.live.test_callback import EXPECTED as ON_22

pytestmark = [pytest.mark.live, pytest.mark.takes(90)]

NAMES = (
    "network_loss",
    "network_loss_of_the_operator",
    "not_answered",
    "busy",
    "calls_again_first",
    "early_drop",
    "client_bye",
    "operator_bye",
)
# INVITEs to the client's phone, and how the ledger's row ended (None: there is no row).
EXPECTED = {name: ON_22[name] for name in NAMES} | {"reason_given": (1, "reached", "answered")}


@dataclass(frozen=True)
class Session:
    daemon: Daemon
    played: Mapping[str, Played]


@pytest.fixture(scope="module", params=["pjsip", "sip"])
def session(
    request: pytest.FixtureRequest, postgresql: PostgreSql, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Session]:
    folder: Path = tmp_path_factory.mktemp("callback16")
    database = postgresql.new_database("calls-back")
    with (
        lab_or_skip(),
        Asterisk("16", driver=request.param, rtp_timeout_s=3) as pbx,
        Daemon(folder, "calls-back", callback_settings(pbx, database)) as daemon,
    ):
        daemon.start()
        yield Session(daemon, play_each(pbx, list(EXPECTED), at_once=5))


@pytest.mark.parametrize("name", EXPECTED)
def test_the_client_is_called_exactly_as_often_as_on_22(session: Session, name: str) -> None:
    invites, state, reason = EXPECTED[name]
    seen = session.played[name]
    assert not seen.error
    assert seen.invites == invites
    rows = seen.rows(session.daemon.callbacks())
    assert [row["state"] for row in rows] == ([] if state is None else [state])
    record = seen.rows(session.daemon.records())[0]
    if state is None:
        assert (record["callback"]["decision"], record["callback"]["reason"]) == ("not_due", reason)
    else:
        assert rows[0]["reason"] == reason
        assert record["outcome"] == "mid_dialogue_drop"
