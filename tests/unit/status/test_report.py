"""The daemon's report on itself, and the problems in it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from callsteward.health import FeedState, Health, OutboxState
from callsteward.record.facts import OperatorNow, OperatorState, OperatorStatus
from callsteward.status.report import LinkStatus, Report, broker_of, not_running, operators_of, report

STARTED_S = 1_795_314_131.654
UP = LinkStatus(connected=True, detail="connected")
WORK = {"callbacks": {"due": 2}, "ratings": {}, "lost": {"support": 1}, "complaints": {}}


def said(**other: Any) -> Report:
    values: dict[str, Any] = {
        "site": "lab",
        "boot_id": "b",
        "pid": 7,
        "started_s": STARTED_S,
        "asterisk": UP,
        "broker": broker_of(FeedState(connected=True), enabled=True),
        "store": "/var/lib/callsteward/calls.db",
        "journal_bytes": 1024,
        "open_calls": 3,
        "event_lag_s": 0.01234,
        "health": Health(frames_waiting=5),
        "work": WORK,
        "operators": [],
        "now_s": STARTED_S + 61.25,
    }
    return report(**(values | other))


def test_a_daemon_that_is_well_has_no_problem() -> None:
    found = said()
    assert found.problems == []
    assert (found.running, found.uptime_s, found.started_at) == (True, 61.25, "2026-11-22T02:22:11.654Z")
    assert (found.frames_waiting, found.event_lag_s, found.open_calls) == (5, 0.012, 3)


@pytest.mark.parametrize(
    ("other", "problem"),
    [
        (
            {"asterisk": LinkStatus(connected=False, detail="nothing listens there")},
            "no link to Asterisk (nothing listens there): `callsteward check` says what to mend",
        ),
        (
            {"broker": broker_of(FeedState(waiting=1_200), enabled=True)},
            "no link to the MQTT broker; 1,200 messages wait for it",
        ),
        (
            {
                "broker": broker_of(
                    FeedState(connected=True, outbox=OutboxState(9, 100, 100, 5)), enabled=True
                )
            },
            "the outbox is full: its oldest messages are dropped until the broker takes them again",
        ),
        (
            {"health": Health(disk="refuses", disk_detail="No space left on device")},
            "the disk refuses: No space left on device",
        ),
        (
            {"health": Health(config="refused", config_detail="lines: no such key")},
            "the changed configuration is refused, the old one goes on: lines: no such key",
        ),
        (
            {"health": Health(config="needs_restart", config_detail="asterisk.url")},
            "the changed configuration needs a restart: asterisk.url",
        ),
        ({"health": Health(parts="waiting", parts_detail="[web]: port taken")}, "[web]: port taken"),
        ({"health": Health(tracker_errors=1)}, "the tracker failed on 1 event so far: the log names them"),
        ({"work": None}, "the database gives no answer: open work is not known"),
    ],
)
def test_each_thing_that_is_wrong_is_one_sentence(other: dict[str, Any], problem: str) -> None:
    assert said(**other).problems == [problem]


def test_a_broker_that_is_switched_off_is_no_problem() -> None:
    assert said(broker=broker_of(FeedState(), enabled=False)).problems == []


def test_the_outbox_says_since_when_its_oldest_message_waits() -> None:
    outbox = broker_of(FeedState(outbox=OutboxState(2, 300, 1000, 1_795_314_131_654)), enabled=True).outbox
    assert outbox is not None
    assert msgspec.structs.asdict(outbox) == {
        "messages": 2,
        "bytes": 300,
        "limit_bytes": 1000,
        "oldest_at": "2026-11-22T02:22:11.654Z",
    }


@pytest.mark.parametrize("found", [said(), said(work=None), not_running("lab", "nobody listens")])
def test_an_answer_is_read_as_it_was_written(found: Report) -> None:
    assert msgspec.json.decode(msgspec.json.encode(found), type=Report) == found


def test_operators_stand_by_name_with_the_time_in_their_status() -> None:
    paused = OperatorNow(
        operator="102",
        state=OperatorState.IDLE,
        since_ms=5_000,
        status=OperatorStatus.PAUSED,
        status_since_ms=61_000,
        pause_reason="lunch",
    )
    talking = OperatorNow(operator="101", state=OperatorState.TALKING, since_ms=90_500, line="support")
    # Without the part that knows more an idle operator's status is unknown; a clock may be a little behind.
    idle = OperatorNow(operator="103", state=OperatorState.IDLE, since_ms=100_250)
    found = operators_of([paused, idle, talking], 100_000)
    assert [(one.operator, one.status.value, one.for_s, one.line, one.pause_reason) for one in found] == [
        ("101", "talking", 9.5, "support", None),
        ("102", "paused", 39.0, None, "lunch"),
        ("103", "unknown", 0.0, None, None),
    ]
