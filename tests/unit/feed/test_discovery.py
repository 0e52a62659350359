"""What Home Assistant is told, and that every sensor reads a field that its message has."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from callsteward.feed.discovery import announcements
from callsteward.feed.messages import json_schemas
from callsteward.feed.topics import Topics

TOPICS = Topics("callsteward", "main")


@pytest.fixture
def told() -> dict[str, dict[str, Any]]:
    found = list(announcements("homeassistant", TOPICS, "main", ["support", "sales.msk"], ["101"]))
    assert len({item.topic for item in found}) == len(found)
    return {item.topic: json.loads(item.payload) for item in found}


def test_each_sensor_is_a_device_s_and_knows_when_the_daemon_is_away(told) -> None:
    assert len(told) == 2 * 9 + 2
    assert len({settings["unique_id"] for settings in told.values()}) == len(told)
    for settings in told.values():
        assert settings["availability_topic"] == "callsteward/main/status"
        assert settings["device"]["identifiers"] == ["callsteward_main"]
    waiting = told["homeassistant/sensor/callsteward_main_line_support_waiting/config"]
    assert waiting["state_topic"] == "callsteward/main/lines/support/now"
    assert waiting["value_template"] == "{{ value_json.waiting }}"
    assert waiting["state_class"] == "measurement"
    state = told["homeassistant/sensor/callsteward_main_operator_101_state/config"]
    assert state["state_topic"] == "callsteward/main/operators/101/now"
    assert "state_class" not in state


def test_every_sensor_reads_a_field_of_its_message(told) -> None:
    schemas = json_schemas()
    for settings in told.values():
        kind = "line-now" if "/lines/" in settings["state_topic"] else "operator-now"
        schema = schemas[f"callsteward.{kind}/1"]
        properties = schema["$defs"][schema["$ref"].rpartition("/")[2]]["properties"]
        fields = set(re.findall(r"value_json\.(\w+)", settings["value_template"]))
        assert len(fields) == 1
        assert fields <= set(properties)


def test_a_name_that_is_no_object_id_becomes_one(told) -> None:
    topics = [topic for topic in told if "sales" in topic]
    assert len(topics) == 9
    for topic in topics:
        assert re.fullmatch(r"homeassistant/sensor/[A-Za-z0-9_]+/config", topic)
        assert told[topic]["state_topic"] == TOPICS.line_now("sales.msk")
