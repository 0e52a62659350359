"""Calls on other people's configurations, each held against what its phones and Asterisk's books tell.

How an expectation is written: cases/README.md.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from callsteward import config
from callsteward.config import Config
from callsteward.record.call import encode
from tests.replay.streams import HERE, lines_of, records_of

CASES = sorted((HERE / "cases").glob("*.expect.json"))
NEAR_S = 0.1


def value_at(value: Any, path: str) -> Any:
    """The value at a path of a record, None if there is none."""
    if path == "attempts*":
        return [[item["operator"], item["result"]] for item in value["attempts"]]
    if path == "transfers*":
        return [[item["kind"], item["by"], item["to"], item["result"]] for item in value["transfers"]]
    for part in path.split("."):
        if isinstance(value, list):
            value = len(value) if part == "len" else dict(enumerate(value)).get(int(part))
        elif value is not None:
            value = value.get(part)
    return value


def agrees(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict):
        return any(agrees(value, one) for one in wanted["any"])
    if isinstance(wanted, list):
        return len(value) == len(wanted) and all(map(agrees, value, wanted))
    if isinstance(wanted, float) and isinstance(value, int | float):
        return abs(value - wanted) <= NEAR_S
    return bool(value == wanted)


def _name(path: Path) -> str:
    return path.name.removesuffix(".expect.json")


@pytest.mark.parametrize("path", CASES, ids=_name)
def test_the_records_are_what_phones_and_books_tell(path: Path) -> None:
    expect = json.loads(path.read_text())
    settings = config.load(path.with_name(expect["config"])) if "config" in expect else Config()
    made = records_of(lines_of(path.with_name(f"{_name(path)}.jsonl")), settings)
    records = [json.loads(encode(record)) for record in made]
    assert len(records) == expect["records"]
    for text in expect.get("absent", ()):
        assert text not in json.dumps(records)
    if "pick" in expect:
        of_direction = [record for record in records if record["direction"] == expect["pick"]]
        records = sorted(of_direction, key=lambda record: record["started_at"] or "")[:1]
    assert len(records) == len(expect["match"])
    for record, wanted in zip(records, expect["match"], strict=True):
        found = {key: value_at(record, key) for key in wanted}
        assert {key: found[key] for key in wanted if not agrees(found[key], wanted[key])} == {}


def test_a_path_and_a_wish_can_fail() -> None:
    record = {"a": {"b": [{"c": 1.0}]}, "attempts": [], "transfers": []}
    assert value_at(record, "a.b.0.c") == 1.0
    assert value_at(record, "a.b.len") == 1
    assert value_at(record, "a.b.1.c") is None
    assert value_at(record, "x.y") is None
    assert agrees(1.0, 1.09)
    assert not agrees(1.0, 1.11)
    assert not agrees(None, 1.0)
    assert agrees("x", {"any": ["y", "x"]})
    assert not agrees("z", {"any": ["y", "x"]})
    assert not agrees([["101", "busy"]], [])
