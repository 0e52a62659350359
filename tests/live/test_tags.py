"""Operators' tags by keys and codes, on a real Asterisk with real RFC 4733 digits."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.lab.asterisk import Asterisk
from tests.live.availability import lab_or_skip
from tests.live.daemon import Daemon
from tests.live.play import TAGS, Played, play_each
from tests.live.settings import callback_settings
from tests.live.tag_scenarios import SCENARIOS

pytestmark = [pytest.mark.live, pytest.mark.takes(60)]

WRAP_UP_S = 5
# INVITEs to the client's phone, and how the ledger's row ended (None: there is no row).
EXPECTED: dict[str, tuple[int, str | None, str]] = {
    "key_dropped": (1, "reached", "answered"),
    "key_dropped_twice": (1, "reached", "answered"),
    "code_dropped": (1, "reached", "answered"),
    "code_too_late": (0, None, "client_hung_up"),
    "key_dnc": (0, "suppressed", "do_not_call"),
    "ticket_and_others": (0, None, "client_hung_up"),
    "client_presses": (0, None, "client_hung_up"),
}


@pytest.fixture(scope="module")
def pbx() -> Iterator[Asterisk]:
    with lab_or_skip(), Asterisk(rtp_timeout_s=3) as started:
        yield started


@pytest.fixture(scope="module")
def daemon(pbx: Asterisk, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    folder: Path = tmp_path_factory.mktemp("tags")
    values = callback_settings(pbx, folder / "tags.db") | {"tags": {"enabled": True, "wrap_up_s": WRAP_UP_S}}
    with Daemon(folder, "tags", values) as started:
        started.start()
        yield started


@pytest.fixture(scope="module")
def played(pbx: Asterisk, daemon: Daemon) -> Mapping[str, Played]:
    assert EXPECTED.keys() == SCENARIOS.keys() - {"plain"}
    return play_each(pbx, list(EXPECTED), at_once=3, module=TAGS)


def tags_of(daemon: Daemon, call_id: str) -> list[dict[str, Any]]:
    with sqlite3.connect(daemon.database, timeout=10) as connection:
        connection.row_factory = sqlite3.Row
        rows = connection.execute("SELECT * FROM call_tags WHERE call_id = ? ORDER BY id", (call_id,))
        found = [dict(row) for row in rows]
    connection.close()
    return found


def said(daemon: Daemon, action: str, by: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in daemon.log_file.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("action") == action and line.get("by") == by]


@pytest.mark.parametrize("name", EXPECTED)
def test_the_client_is_called_as_often_as_the_tags_ask_for(
    played: Mapping[str, Played], daemon: Daemon, name: str
) -> None:
    invites, state, reason = EXPECTED[name]
    seen = played[name]
    assert not seen.error
    assert seen.invites == invites
    rows = seen.rows(daemon.callbacks())
    assert [row["state"] for row in rows] == ([] if state is None else [state])
    if state is None:
        record = seen.rows(daemon.records())[0]
        assert record["callback"] == {"decision": "not_due", "reason": reason}
    else:
        assert rows[0]["reason"] == reason


def test_keys_in_the_talk_are_in_the_record(played: Mapping[str, Played], daemon: Daemon) -> None:
    seen = played["key_dropped"]
    record = seen.rows(daemon.records())[0]
    # The client's own BYE: without the tag it would be a completed call.
    assert record["hangup"]["first"] == "client"
    assert record["outcome"] == "mid_dialogue_drop"
    assert record["callback"] == {"decision": "due", "reason": "tagged_dropped"}
    assert record["hangup"]["evidence"][-1] == f"tag dropped by {seen.lane.operator(1)} (phone)"
    (tag,) = tags_of(daemon, record["call_id"])
    assert (tag["tag"], tag["given_by"], tag["source"]) == ("dropped", seen.lane.operator(1), "phone")


def test_a_code_after_the_call_leaves_its_record_as_it_was(
    played: Mapping[str, Played], daemon: Daemon
) -> None:
    seen = played["code_dropped"]
    record = seen.rows(daemon.records())[0]
    assert record["outcome"] == "completed"
    assert record["callback"] == {"decision": "not_due", "reason": "client_hung_up"}
    (row,) = seen.rows(daemon.callbacks())
    assert row["origin_call_id"] == record["call_id"]
    assert row["decision_reason"] == "tagged_dropped"
    first = daemon.steps(record["call_id"])[0]
    assert first["evidence"].endswith(f"tag dropped by {seen.lane.operator(1)} (wrap_up)")
    assert [tag["result"] for tag in tags_of(daemon, record["call_id"])] == ["callback_due"]


def test_a_code_after_the_wrap_up_is_refused_and_says_why(
    played: Mapping[str, Played], daemon: Daemon, pbx: Asterisk
) -> None:
    seen = played["code_too_late"]
    operator = seen.lane.operator(1)
    record = seen.rows(daemon.records())[0]
    assert tags_of(daemon, record["call_id"]) == []
    (refused,) = said(daemon, "tag_refused", operator)
    assert (refused["result"], refused["call_id"]) == ("wrap_up_over", record["call_id"])
    # What the phone heard.
    assert pbx.request("GET", f"/asterisk/variable?variable=CALLSTEWARD_SAID_PJSIP{operator}") == {
        "value": "refused"
    }


def test_a_code_in_time_is_answered_yes(played: Mapping[str, Played], pbx: Asterisk) -> None:
    operator = played["code_dropped"].lane.operator(1)
    said_to_phone = pbx.request("GET", f"/asterisk/variable?variable=CALLSTEWARD_SAID_PJSIP{operator}")
    assert said_to_phone == {"value": "taken"}


def test_the_number_is_on_the_list_once(played: Mapping[str, Played], daemon: Daemon) -> None:
    number = f"+{played['key_dnc'].lane.outside(1).number}"
    with sqlite3.connect(daemon.database, timeout=10) as connection:
        rows = connection.execute("SELECT number FROM do_not_call").fetchall()
    connection.close()
    assert rows == [(number,)]


def test_every_key_and_code_is_the_tag_its_page_says(played: Mapping[str, Played], daemon: Daemon) -> None:
    seen = played["ticket_and_others"]
    record = seen.rows(daemon.records())[0]
    given = [(tag["tag"], tag["value"], tag["source"]) for tag in tags_of(daemon, record["call_id"])]
    # The second *67 is no second complaint.
    assert given == [
        ("atypical", "", "phone"),
        ("registered", "", "phone"),
        ("complaint", "", "phone"),
        ("ticket", "1042", "wrap_up"),
    ]
    check = next(item for item in record["standard"] if item["rule"] == "registered_within")
    assert check == {"rule": "registered_within", "result": "met", "value": 0.0, "limit": 300.0}


def test_a_clients_keys_say_nothing(played: Mapping[str, Played], daemon: Daemon) -> None:
    seen = played["client_presses"]
    record = seen.rows(daemon.records())[0]
    assert tags_of(daemon, record["call_id"]) == []


def test_no_number_stands_in_the_log(played: Mapping[str, Played], daemon: Daemon) -> None:
    log = daemon.log_file.read_text()
    for seen in played.values():
        assert seen.lane.outside(1).number not in log
