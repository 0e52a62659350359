"""Exactly one callback on PBXs that were not built for it: only the one that is due. INVITEs are counted.

The same on Asterisk 16 and with chan_sip: test_callback16.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.lab.asterisk import Asterisk
from tests.lab.lanes import Lane
from tests.live.availability import lab_or_skip
from tests.live.daemon import Daemon
from tests.live.play import CALLBACKS_ON_SITES, Played, play_each
from tests.live.settings import callback_settings

pytestmark = [pytest.mark.live, pytest.mark.takes(30)]

# INVITEs to the client's phone, how the ledger's row ended (None: there is no row), and the reason.
EXPECTED: dict[str, tuple[int, str | None, str]] = {
    "clicked_in_vain": (2, "reached", "answered"),
    "operator_unheard": (1, "reached", "answered"),
    "provider_timeout": (1, "reached", "answered"),
    "old_cause": (0, None, "client_hung_up"),
    "dead_transfer": (0, None, "pbx_ended"),
}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, pbx: Asterisk) -> Iterator[Daemon]:
    folder: Path = tmp_path_factory.mktemp("field")
    values = callback_settings(pbx, folder / "field.db")
    # The tracker learns call by call which phones can be heard.
    values["asterisk"]["talk_detect"] = "auto"
    for index, line in enumerate(values["lines"]):
        lane = Lane(index, pbx.driver)
        line["dids"] += [lane.did(kind) for kind in (14, 16, 17)]
    with Daemon(folder, "field", values) as started:
        started.start()
        yield started


@pytest.fixture(scope="module")
def pbx() -> Iterator[Asterisk]:
    with lab_or_skip(), Asterisk(rtp_timeout_s=3) as started:
        yield started


@pytest.fixture(scope="module")
def played(pbx: Asterisk, daemon: Daemon) -> Mapping[str, Played]:
    return play_each(pbx, list(EXPECTED), at_once=len(EXPECTED), module=CALLBACKS_ON_SITES)


@pytest.mark.parametrize("name", EXPECTED)
def test_the_client_is_called_exactly_as_often_as_the_standard_says(
    played: Mapping[str, Played], daemon: Daemon, name: str
) -> None:
    invites, state, reason = EXPECTED[name]
    seen = played[name]
    assert not seen.error
    assert seen.invites == invites
    rows = seen.rows(daemon.callbacks())
    assert [row["state"] for row in rows] == ([] if state is None else [state])
    record = seen.rows(daemon.records())[0]
    if state is None:
        assert record["callback"] == {"decision": "not_due", "reason": reason}
        assert record["outcome"] == "completed"
    else:
        assert rows[0]["reason"] == reason
        assert record["callback"] == {"decision": "due", "reason": "mid_dialogue_drop"}
        assert (record["hangup"]["first"], record["hangup"]["lost_side"]) == ("network", "client")


def test_an_unheard_party_has_no_speech(played: Mapping[str, Played], daemon: Daemon) -> None:
    record = played["operator_unheard"].rows(daemon.records())[0]
    assert record["speech"]["operator_s"] is None
    assert record["speech"]["client_s"] > 0
    assert record["silences"] is None


def test_a_click_to_dial_that_reaches_nobody_is_no_talk_and_leaves_the_callback_due(
    played: Mapping[str, Played], daemon: Daemon
) -> None:
    number = played["clicked_in_vain"].lane.outside(1).number
    by_hand = [
        row for row in daemon.records()
        if row["direction"] == "outbound" and row["client_masked"].endswith(number[-4:])
    ]  # fmt: skip
    assert [(row["outcome"], row["answered_at"], row["operator"]) for row in by_hand] == [
        ("no_answer", None, None)
    ]
