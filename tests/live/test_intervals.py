"""An hour of a hotline squeezed into two minutes: the intervals' sums are those of Asterisk's queue_log.

app_queue writes its log by itself, with whole seconds, so it is an independent second opinion on offered,
answered, abandoned and how long clients were held in the queue.
"""

from __future__ import annotations

import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from callsteward import features
from callsteward.feed import contract
from tests.judge.books import QUEUE_LOG_S
from tests.lab.asterisk import Asterisk
from tests.lab.broker import Mosquitto
from tests.lab.records import QueueEvent
from tests.live.daemon import Daemon, callsteward, until_all_have_gone
from tests.live.play import play
from tests.live.settings import lab_settings, merged
from tests.live.subscriber import Subscriber

pytestmark = [pytest.mark.live, pytest.mark.takes(170)]

LANES = range(4)
# Answered at once and late, by the second one asked, after a refusal, behind a Local channel, with a hold;
# given up while a phone rings and where none does; not answered in the queue's time.
NAMES = [
    "queue_second",
    "queue_reject",
    "queue_ringall",
    "freepbx_local",
    "queue_abandon",
    "queue_no_members_abandon",
    "queue_timeout",
] * 2


@dataclass
class Hour:
    """An hour in Asterisk's log and in `callsteward report`."""

    log: dict[str, list[QueueEvent]]
    lines: list[dict[str, Any]]
    operators: list[dict[str, Any]]
    records: dict[str, dict[str, Any]]
    configured: list[str] = field(default_factory=list)

    def total(self, key: str) -> float:
        return sum(row[key] or 0 for row in self.lines)

    def logged(self, *events: str) -> dict[str, QueueEvent]:
        """The first event of these kinds of each call."""
        found: dict[str, QueueEvent] = {}
        for call_id, rows in self.log.items():
            for row in rows:
                if row.event in events:
                    found.setdefault(call_id, row)
        return found


def _report(daemon: Daemon, *arguments: str) -> list[dict[str, Any]]:
    result = callsteward("report", *arguments, "-c", daemon.config, "--output", "jsonl", "--utc")
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture(scope="module")
def hour(pbx: Asterisk, broker: Mosquitto, subscriber: Subscriber, folder: Path) -> Iterator[Hour]:
    settings = merged(lab_settings(folder, pbx, broker, name="hour"), {"intervals": {"minutes": 15}})
    with Daemon(folder, "hour", settings) as daemon:
        daemon.start()
        subscriber.wait("hour", "status", lambda body: body["asterisk"] == "connected")
        began = time.time()
        played = play(pbx, NAMES, LANES)
        assert [item.error for item in played.values() if item.error] == []
        until_all_have_gone(pbx)
        time.sleep(2)
        log: dict[str, list[QueueEvent]] = defaultdict(list)
        for row in pbx.queue_log():
            if row.time >= int(began) and row.call_id not in {"NONE", "REALTIME"}:
                log[row.call_id].append(row)
        day = ("--from", time.strftime("%Y-%m-%d", time.gmtime(began)))
        yield Hour(
            log={call_id: rows for call_id, rows in log.items() if rows[0].event == "ENTERQUEUE"},
            lines=_report(daemon, "intervals", *day, "--line", "support"),
            operators=_report(daemon, "operators", *day),
            records={record["call_id"]: record for record in _report(daemon, "calls", *day)},
            configured=[*settings["operators"]],
        )


def test_as_many_calls_were_offered_answered_and_abandoned_as_asterisk_logged(hour: Hour) -> None:
    assert len(hour.log) >= len(NAMES)
    expected = {
        "offered": len(hour.log),
        "answered": len(hour.logged("CONNECT")),
        "abandoned": len(hour.logged("ABANDON")),
        "not_taken": len(hour.logged("EXITWITHTIMEOUT", "EXITEMPTY")),
    }
    print("queue_log:", expected)
    assert {key: hour.total(key) for key in expected} == expected
    assert min(expected.values()) > 0


def test_clients_waited_as_long_as_asterisk_logged(hour: Hour) -> None:
    connected, abandoned = hour.logged("CONNECT"), hour.logged("ABANDON")
    waits = {call_id: float(row.fields[0]) for call_id, row in connected.items()}
    given_up = {call_id: float(row.fields[2]) for call_id, row in abandoned.items()}
    for call_id, logged_s in {**waits, **given_up}.items():
        assert abs(hour.records[call_id]["wait_s"] - logged_s) <= QUEUE_LOG_S
    # The sums are those of the very same calls, so that they differ by no more than the log's seconds do.
    for key, theirs in (("answered_wait_s_sum", waits), ("abandon_wait_s_sum", given_up)):
        ours = hour.total(key)
        print(f"{key}: {ours:.3f} s, queue_log {sum(theirs.values()):.0f} s in {len(theirs)} calls")
        assert ours == pytest.approx(sum(hour.records[call_id]["wait_s"] for call_id in theirs), abs=0.001)
        assert abs(ours - sum(theirs.values())) <= QUEUE_LOG_S * len(theirs)


def test_clients_were_served_as_long_as_asterisk_logged(hour: Hour) -> None:
    completed = hour.logged("COMPLETECALLER", "COMPLETEAGENT")
    assert set(completed) == set(hour.logged("CONNECT"))
    ours = hour.total("talk_s_sum") + hour.total("hold_s_sum")
    theirs = sum(float(row.fields[1]) for row in completed.values())
    print(f"talk and hold: {ours:.3f} s, queue_log {theirs:.0f} s in {len(completed)} calls")
    assert abs(ours - theirs) <= QUEUE_LOG_S * len(completed)
    assert hour.total("hold_count") == hour.total("calls_with_hold") > 0
    ended = Counter(row.event for row in completed.values())
    assert hour.total("operator_hung_up_first") == ended["COMPLETEAGENT"] > 0


def test_each_operator_answered_and_missed_what_asterisk_logged(hour: Hour) -> None:
    ours: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    for row in hour.operators:
        ours[row["operator"]] += row["answered"] or 0
        missed[row["operator"]] += row["rings_missed"] or 0
    rows = [row for rows in hour.log.values() for row in rows]

    def members(event: str) -> Counter[str]:
        return Counter(row.member.partition("/")[2].partition("@")[0] for row in rows if row.event == event)

    assert +ours == members("CONNECT")
    assert +missed == members("RINGNOANSWER")


def test_the_time_that_was_watched_is_told_and_the_rest_of_the_day_is_unknown(hour: Hour) -> None:
    seen = [row for row in hour.lines if row["observed_s"]]
    assert 1 <= len(seen) <= 2
    observed_s = sum(row["observed_s"] for row in seen)
    assert 30 < observed_s < 600
    assert {row["offered"] for row in hour.lines if row["observed_s"] == 0} <= {None}
    for row in hour.operators:
        if row["operator"] in hour.configured and row["observed_s"]:
            # Asterisk was asked for the phone, so its state is known for all of the time watched.
            assert 0 <= row["available_s"] <= row["staffed_s"] <= row["observed_s"]


def test_each_row_is_what_would_be_published_and_meets_its_schema(hour: Hour) -> None:
    schema = contract.json_schemas(features.topics())["callsteward.line-interval/1"]
    properties = schema["$defs"]["LineIntervalMessage"]["properties"]
    patterns = schema["patternProperties"]
    for row in hour.lines:
        sums = {key: value for key, value in row.items() if key != "start_local"}
        partial = {"$defs": schema["$defs"], "properties": properties, "patternProperties": patterns}
        jsonschema.Draft202012Validator(partial).validate(sums)
