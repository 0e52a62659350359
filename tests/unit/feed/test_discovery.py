"""The announcements to Home Assistant: it accepts them, and each entity reads a field of its message."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from jinja2.sandbox import SandboxedEnvironment

from callsteward import features
from callsteward.feed import contract
from callsteward.feed.discovery import announcements, own
from callsteward.feed.topics import Topics
from tests.contract import home_assistant

TOPICS = Topics("callsteward", "main")
LINES = ["support", "sales.msk", "sales_msk", "sales-msk"]
OPERATORS = ["101", "Анна"]
# What the reference of each component requires, and what it may be: home-assistant.io/integrations/….mqtt.
REQUIRED = {"sensor": {"state_topic"}, "binary_sensor": {"state_topic"}}
STATE_CLASSES = {"measurement", "total", "total_increasing"}
UNITS = {"duration": {"d", "h", "min", "s", "ms"}}
DEVICE_CLASSES = {"sensor": {"duration"}, "binary_sensor": {"connectivity"}}
ALLOWED = {
    "name",
    "unique_id",
    "state_topic",
    "value_template",
    "availability_topic",
    "availability_template",
    "payload_available",
    "payload_not_available",
    "device",
    "device_class",
    "origin",
    "entity_category",
}
OWN = {
    "sensor": {"unit_of_measurement", "state_class"},
    "binary_sensor": {"payload_on", "payload_off"},
}

Told = dict[str, dict[str, Any]]


def announced(*, in_data: bool = False, site: str = "main") -> Told:
    found = list(announcements("homeassistant", TOPICS, site, LINES, OPERATORS, in_data=in_data))
    assert len({item.topic for item in found}) == len(found)
    return {item.topic: json.loads(item.payload) for item in found}


@pytest.fixture
def told() -> Told:
    return announced()


def component(topic: str) -> str:
    return topic.split("/")[1]


def test_each_gauge_is_an_entity_of_one_device_which_knows_when_the_daemon_is_away(told: Told) -> None:
    assert len(told) == 4 * 11 + 2 * 4 + 4
    assert len({settings["unique_id"] for settings in told.values()}) == len(told)
    for topic, settings in told.items():
        assert settings["device"]["identifiers"] == ["callsteward_main"]
        if topic != "homeassistant/binary_sensor/callsteward_main/daemon_state/config":
            assert settings["availability_topic"] == "callsteward/main/status"
    waiting = told["homeassistant/sensor/callsteward_main/line_support_waiting/config"]
    assert waiting["state_topic"] == "callsteward/main/lines/support/now"
    assert waiting["value_template"] == "{{ value_json.waiting }}"
    assert waiting["state_class"] == "measurement"
    assert waiting["unique_id"] == "callsteward_main_line_support_waiting"
    state = told["homeassistant/sensor/callsteward_main/operator_101_state/config"]
    assert state["state_topic"] == "callsteward/main/operators/101/now"
    assert "state_class" not in state


def test_the_daemon_s_own_state_is_shown_also_while_it_is_away(told: Told) -> None:
    daemon = told["homeassistant/binary_sensor/callsteward_main/daemon_state/config"]
    assert "availability_topic" not in daemon
    assert (daemon["payload_on"], daemon["payload_off"]) == ("online", "offline")
    link = told["homeassistant/binary_sensor/callsteward_main/daemon_asterisk/config"]
    assert (link["payload_on"], link["payload_off"]) == ("connected", "disconnected")
    assert link["entity_category"] == "diagnostic"


@pytest.mark.parametrize("in_data", [False, True])
def test_every_message_has_the_keys_its_component_requires_and_none_it_does_not_know(in_data: bool) -> None:
    for topic, settings in announced(in_data=in_data).items():
        kind = component(topic)
        assert REQUIRED[kind] <= set(settings)
        assert set(settings) <= ALLOWED | OWN[kind], topic
        assert settings["device"]["name"]
        assert settings["origin"]["name"] == "callsteward"
        assert settings.get("state_class", "measurement") in STATE_CLASSES
        assert settings.get("entity_category", "diagnostic") == "diagnostic"
        device_class = settings.get("device_class")
        if device_class is not None:
            assert device_class in DEVICE_CLASSES[kind]
        if device_class in UNITS:
            assert settings["unit_of_measurement"] in UNITS[device_class]


@pytest.mark.skipif(not home_assistant.there(), reason="python -m tests.contract.home_assistant fetches it")
@pytest.mark.parametrize("in_data", [False, True])
def test_home_assistant_itself_takes_them(in_data: bool) -> None:
    items = [
        {"topic": topic, "component": component(topic), "settings": settings}
        for topic, settings in announced(in_data=in_data).items()
    ]
    assert home_assistant.problems(items) == []
    wrong = [
        {"topic": "1", "component": "sensor", "settings": {"state_topic": "a/#/b"}},
        {"topic": "2", "component": "sensor", "settings": {"state_topic": "a", "state_klass": "measurement"}},
        {"topic": "3", "component": "binary_sensor", "settings": {"state_topic": "a", "payload_in": "1"}},
        {"topic": "4", "component": "binary_sensor", "settings": {"payload_on": "1"}},
    ]
    assert [problem.partition(":")[0] for problem in home_assistant.problems(wrong)] == ["1", "2", "3", "4"]


def test_every_entity_reads_a_field_of_its_message(told: Told) -> None:
    schemas = contract.json_schemas(features.topics())
    for settings in told.values():
        topic = settings["state_topic"]
        kind = "status" if topic.endswith("/status") else "line-now"
        kind = "operator-now" if "/operators/" in topic else kind
        schema = schemas[f"callsteward.{kind}/1"]
        properties = schema["$defs"][schema["$ref"].rpartition("/")[2]]["properties"]
        fields = set(re.findall(r"value_json\.(\w+)", settings["value_template"]))
        assert len(fields) == 1
        assert fields <= set(properties)


@pytest.mark.parametrize(
    ("entity", "body", "shown"),
    [
        ("line_support_waiting", {"waiting": 3}, "3"),
        ("line_support_longest_wait_s", {"longest_wait_s": None}, "0"),
        ("line_support_longest_wait_s", {"longest_wait_s": 12.0}, "12.0"),
        ("line_support_service_level_today", {"service_level_today": 0.8333}, "83.3"),
        # To Home Assistant, None is unknown; an empty text would leave yesterday's.
        ("line_support_service_level_today", {"service_level_today": None}, "None"),
        ("operator_101_state", {"state": "talking"}, "talking"),
        ("operator_101_hold_s", {"hold_s": None}, "0"),
        ("daemon_outbox_depth", {"outbox_depth": None}, "0"),
    ],
)
@pytest.mark.parametrize("in_data", [False, True])
def test_a_template_shows_what_the_message_says(
    entity: str, body: dict[str, object], shown: str, in_data: bool
) -> None:
    settings = announced(in_data=in_data)[f"homeassistant/sensor/callsteward_main/{entity}/config"]
    template = SandboxedEnvironment(autoescape=False).from_string(settings["value_template"])
    assert template.render(value_json={"data": body} if in_data else body) == shown


def test_a_name_that_is_no_object_id_becomes_one_and_no_two_names_the_same(told: Told) -> None:
    topics = [topic for topic in told if "_sales" in topic]
    assert len(topics) == 3 * 11
    for topic in told:
        assert re.fullmatch(r"homeassistant/\w+/[A-Za-z0-9_-]+/[A-Za-z0-9_-]+/config", topic)
        assert topic.isascii()
    escaped = told["homeassistant/sensor/callsteward_main/line_sales-2emsk_waiting/config"]
    assert escaped["state_topic"] == TOPICS.line_now("sales.msk")
    assert "homeassistant/sensor/callsteward_main/line_sales-5fmsk_waiting/config" in told
    assert "homeassistant/sensor/callsteward_main/line_sales-2dmsk_waiting/config" in told


def test_one_filter_matches_all_of_a_site_and_nothing_of_another() -> None:
    prefix, node = "homeassistant/+/callsteward_", "/+/config"
    assert own("homeassistant", "main") == f"{prefix}main{node}"
    assert own("homeassistant", "main_2") == f"{prefix}main-5f2{node}"
    assert all(topic.split("/")[2] == "callsteward_main-5f2" for topic in announced(site="main_2"))
