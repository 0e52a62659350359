"""The shipped Telegraf configuration, held against messages as they are published.

Telegraf itself is in no package registry this project uses, so its binary is not run here. What its json_v2
parser does with a path is GJSON's business, and a library of that name reads each path here. (Its parser
alone, at commit b272631 of Telegraf, was run by hand on these records once: the same points came out.)
"""

from __future__ import annotations

import datetime as dt
import json
import re
import tomllib
from typing import Any

import gjson
import msgspec
import pytest

from callsteward.config import load
from callsteward.feed import messages
from callsteward.feed.topics import Topics
from callsteward.intervals import messages as interval_messages
from callsteward.intervals.grid import topic_name
from callsteward.record.call import CallRecord
from callsteward.recording.replay import ReplayCounts, replay
from tests.lab.pbx_config import REPOSITORY
from tests.unit.feed.test_messages import LATE
from tests.unit.intervals.days import interval_rows
from tests.unit.store.samples import RECORD

FILE = REPOSITORY / "deploy" / "telegraf" / "callsteward.conf"
CONFIGURED = tomllib.loads(FILE.read_text())
INPUTS: list[dict[str, Any]] = CONFIGURED["inputs"]["mqtt_consumer"]
RECORDS = INPUTS[0]["json_v2"]
DASHBOARD = json.loads((REPOSITORY / "deploy" / "grafana" / "callsteward-records.json").read_text())
# What Go writes so, Python parses so.
GO_TIME = "2006-01-02T15:04:05.000Z07:00"
TYPES = {"float": (float, int), "int": (int,), "string": (str,), "bool": (bool,)}
_TOPICS = Topics("callsteward", "main")


def published(record: CallRecord) -> dict[str, Any]:
    """A record as it stands on the broker."""
    sent = messages.stamped(messages.call_ended(record), boot_id="boot", seq=5, now_ms=1_795_314_000_000)
    wire: dict[str, Any] = msgspec.json.decode(messages.encode(sent))
    return wire


def captured(name: str) -> dict[str, Any]:
    """The record of a real call."""

    def broken(number: int, error: Exception) -> None:
        raise AssertionError(number, error)

    config = load(REPOSITORY / "config" / "callsteward.toml")
    lines = (REPOSITORY / "tests" / "replay" / "captures" / f"{name}.jsonl").read_bytes().splitlines()
    (record,) = replay(lines, config, ReplayCounts(), broken)
    return published(record)


def found(message: Any, path: str) -> Any:
    """The value that a path selects; None if there is none, or null."""
    try:
        return gjson.get(message, path)
    except gjson.GJSONError:
        return None


def key(part: dict[str, Any]) -> str:
    return str(part.get("rename") or part["path"].rpartition(".")[2])


def at(text: str) -> str:
    return dt.datetime.fromisoformat(text).isoformat(timespec="milliseconds")


def points(
    message: dict[str, Any], parser: dict[str, Any]
) -> list[tuple[str, dict[str, str], dict[str, Any], str | None]]:
    """Name, tags, fields and time of each point, as the README of Telegraf's json_v2 parser describes it."""
    tags, fields = {}, {}
    for part in parser.get("tag", ()):
        value = found(message, part["path"])
        assert value is not None or part.get("optional"), part["path"]
        if value is not None:
            tags[key(part)] = str(value)
    for part in parser.get("field", ()):
        value = found(message, part["path"])
        assert value is not None or part.get("optional"), part["path"]
        if value is not None:
            assert type(value) in TYPES[part["type"]], (part["path"], value)
            fields[key(part)] = value
    when = at(found(message, parser["timestamp_path"])) if "timestamp_path" in parser else None
    objects = parser.get("object", ())
    if not objects:
        return [(parser["measurement_name"], tags, fields, when)]
    made = []
    for part in objects:
        for item in found(message, part["path"]) or ():
            own = {name: item[name] for name in part["tags"]}
            left = {
                name: item[name]
                for name in part.get("included_keys", set(item) - set(own) - {part.get("timestamp_key")})
            }
            for name, value in left.items():
                assert type(value) in TYPES[part.get("fields", {}).get(name, "string")], (name, value)
            moment = at(item[part["timestamp_key"]]) if "timestamp_key" in part else when
            made.append((parser["measurement_name"], tags | own, left, moment))
    return made


def all_points(message: dict[str, Any]) -> list[tuple[str, dict[str, str], dict[str, Any], str | None]]:
    return [point for parser in RECORDS for point in points(message, parser)]


def test_a_lost_call_becomes_these_points() -> None:
    call, attempt, *rules = all_points(captured("netdrop"))
    assert call == (
        "callsteward_call",
        {
            "site": "main", "line": "support", "direction": "inbound", "operator": "101",
            "outcome": "mid_dialogue_drop", "hung_up_first": "network", "hung_up_confidence": "certain",
            "callback": "due", "rating": "not_asked",
        },
        {
            "call_id": "1795313835.6", "complete": True, "wait_s": 2.037, "answer_latency_s": 2.031,
            "talk_s": 15.0, "hold_s": 0.0, "duration_s": 17.037, "operator_speech_s": 10.301,
            "client_speech_s": 1.96, "operator_interruptions": 0, "hangup_cause": 44, "holds": 0,
            "attempts": 1, "transfers": 0, "rules_broken": 0,
        },
        "2026-11-22T02:17:32.522+00:00",
    )  # fmt: skip
    assert attempt == (
        "callsteward_attempt",
        {"site": "main", "line": "support", "operator": "101", "result": "answered"},
        {"ring_s": 2.031},
        "2026-11-22T02:17:15.489+00:00",
    )
    assert [(name, tags["rule"], fields, when) for name, tags, fields, when in rules] == [
        ("callsteward_rule", rule, {"result": "met"}, "2026-11-22T02:17:32.522+00:00")
        for rule in ("answer_within", "no_contact_lost", "greeting", "silence_limit", "hold_limit",
                     "talk_limit", "transfers")
    ]  # fmt: skip


def test_a_given_up_call_becomes_these_points() -> None:
    (_, tags, fields, _), attempt, rule = all_points(captured("queue_abandon"))
    assert "operator" not in tags
    assert (tags["outcome"], fields["rules_broken"], fields["attempts"]) == ("short_abandoned", 1, 1)
    assert "operator_speech_s" not in fields
    assert (attempt[1]["result"], attempt[2]) == ("cancelled", {"ring_s": 3.05})
    assert (rule[1]["rule"], rule[2]) == ("no_contact_lost", {"result": "broken"})


@pytest.mark.parametrize(
    "name", ["hold2", "blind", "queue_second", "outbound", "freepbx_local", "client_bye"]
)
def test_every_path_selects_something_of_its_type_in_each_real_record(name: str) -> None:
    assert all_points(captured(name))


def test_every_optional_path_selects_something_in_some_record() -> None:
    names = ("netdrop", "hold2", "blind", "queue_second", "outbound")
    there = {
        key for name in names for _, tags, fields, _ in all_points(captured(name)) for key in (*tags, *fields)
    }
    named = {key(part) for parser in RECORDS for kind in ("tag", "field") for part in parser.get(kind, ())}
    assert named - there == {"score"}  # nobody was asked
    rated = msgspec.structs.replace(RECORD.rating, status="answered", reason="stay", score=5)
    ((_, _, fields, _), *_) = all_points(published(msgspec.structs.replace(RECORD, rating=rated)))
    assert fields["score"] == 5


def test_a_call_whose_end_nobody_saw_has_the_messages_time() -> None:
    message = published(msgspec.structs.replace(RECORD, ended_at=None))
    assert all_points(message)[0][3] == at(message["ts"])


def test_no_client_gets_into_the_database() -> None:
    for _, tags, fields, _ in all_points(published(RECORD)):
        assert not {"client_masked", "client_ref"} & {*tags, *fields}


# --- what is flat ------------------------------------------------------------------------------------


def test_readme_names_what_is_nested_in_a_record() -> None:
    wire = captured("hold2")
    nested = {name for name, value in wire.items() if isinstance(value, dict | list)}
    said = (
        (REPOSITORY / "docs" / "mqtt.md")
        .read_text()
        .partition("The record is\nnested:")[2]
        .partition("are lists.")[0]
    )
    assert set(re.findall(r"`(\w+)`", said)) == nested


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (1, {"site": "main", "line": "support", "ts": "2026-11-22T02:22:11.654Z"}),
        (
            2,
            msgspec.json.decode(messages.encode(interval_messages.interval(interval_rows()[0]))) | {"ts": ""},
        ),
        (3, msgspec.json.decode(messages.encode(messages.alert("main", LATE)))),
    ],
    ids=["lines", "intervals", "alerts"],
)
def test_keys_of_flat_messages_are_there(number: int, message: dict[str, Any]) -> None:
    asked = INPUTS[number]
    assert asked["data_format"] == "json"
    keys = [*asked["tag_keys"], *asked.get("json_string_fields", ()), asked["json_time_key"]]
    absent = [name for name in keys if name not in message]
    # An alert of the daemon's own work has no line, and a detail.
    assert absent in ([], ["detail"])
    assert asked["json_time_format"] == GO_TIME


def test_topics_are_those_callsteward_publishes() -> None:
    topics = [
        _TOPICS.of("calls", "support", "ended"),
        _TOPICS.line_now("support"),
        _TOPICS.of("lines", "support", "intervals", topic_name(1_795_314_000_000)),
        _TOPICS.of("alerts", "support", "hold_over_limit"),
    ]
    for asked, topic in zip(INPUTS, topics, strict=True):
        (pattern,) = asked["topics"]
        assert re.fullmatch(pattern.replace("+", "[^/]+"), topic)


def test_each_input_has_a_client_id_of_its_own() -> None:
    names = [asked["client_id"] for asked in INPUTS]
    assert len(set(names)) == len(names)
    assert all(asked["password"] == "CHANGE_ME" for asked in INPUTS)


# --- the dashboard ------------------------------------------------------------------------------------


def made() -> dict[str, set[str]]:
    """Tags and fields of each measurement that records become."""
    names: dict[str, set[str]] = {}
    for parser in RECORDS:
        own = names.setdefault(parser["measurement_name"], set())
        own |= {key(part) for kind in ("tag", "field") for part in parser.get(kind, ())}
        for part in parser.get("object", ()):
            own |= {*part["tags"], *part.get("included_keys", ()), *part.get("fields", ())}
    return names


QUERIES = [target["query"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


@pytest.mark.parametrize("query", QUERIES)
def test_the_dashboard_asks_for_what_telegraf_writes(query: str) -> None:
    (measurement,) = re.findall(r'FROM "(\w+)"', query)
    asked = set(re.findall(r'"([^"]+)"', query)) - set(re.findall(r'AS "([^"]+)"', query)) - {measurement}
    assert asked
    assert asked <= made()[measurement]
    assert "$timeFilter" in query


def test_the_dashboard_shows_every_measurement_of_records() -> None:
    assert {name for query in QUERIES for name in re.findall(r'FROM "(\w+)"', query)} == set(made())
    (line,) = [item for item in DASHBOARD["templating"]["list"] if item["name"] == "line"]
    assert line["query"] == 'SHOW TAG VALUES FROM "callsteward_call" WITH KEY = "line"'
