"""Messages as CloudEvents: the official SDK reads them back unchanged."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import jsonschema
import msgspec
import pytest
from cloudevents.core.bindings.common import get_event_factory_for_version
from cloudevents.core.exceptions import CloudEventValidationError
from cloudevents.core.formats.json import JSONFormat
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from callsteward import features
from callsteward.feed import cloudevents, contract, messages
from callsteward.feed.cloudevents import CloudEventsMode
from callsteward.feed.topics import Topics
from callsteward.feed.wire import Wire
from callsteward.record.facts import Alert

AT_MS = 1_795_348_800_000
TOPICS = Topics("callsteward", "main")
TOPIC = TOPICS.of("alerts", "support", "hold_limit")
ALERT = Alert(
    call_id="1.2", line="support", rule="hold_limit", at_ms=2, operator="101", limit_s=1, since_ms=1
)
PLAIN = messages.encode(messages.stamped(messages.alert("main", ALERT), boot_id="b", seq=3, now_ms=AT_MS))
BODY: dict[str, Any] = json.loads(PLAIN)
ATTRIBUTES = {
    "specversion": "1.0",
    "id": BODY["message_id"],
    "source": "/callsteward/main",
    "type": "callsteward.alert/1",
    "subject": "alerts/support/hold_limit",
    "time": "2026-11-22T12:00:00.000Z",
}


def told(
    mode: CloudEventsMode, version: str, payload: bytes = PLAIN, **more: Any
) -> tuple[bytes, dict[str, Any]]:
    """Payload and properties as a subscriber gets them."""
    body, properties = Wire(TOPICS, mode).publish(TOPIC, payload, version, **more)
    if properties is None:
        return body, {}
    # Through the wire's own form and back.
    again = Properties(PacketTypes.WILLMESSAGE if more.get("will") else PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    again.unpack(properties.pack())  # type: ignore[no-untyped-call]
    return body, again.json()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_structured_the_official_sdk_reads_attributes_and_message(version: str) -> None:
    body, properties = told("structured", version)
    event = JSONFormat().read(None, body)
    assert {name: event.get_attributes()[name] for name in ATTRIBUTES if name != "time"} == {
        name: value for name, value in ATTRIBUTES.items() if name != "time"
    }
    assert event.get_datacontenttype() == "application/json"
    assert event.get_time() is not None
    assert f"{event.get_time():%Y-%m-%dT%H:%M:%S%z}" == "2026-11-22T12:00:00+0000"
    assert event.get_data() == BODY
    # All names at the top level are the standard's: nothing of the message is taken for an extension.
    assert set(json.loads(body)) == {*ATTRIBUTES, "datacontenttype", "data"}
    expected = "application/cloudevents+json" if version == "5" else None
    assert properties.get("ContentType") == expected
    assert "UserProperty" not in properties


def test_binary_the_message_stays_and_the_attributes_are_user_properties() -> None:
    body, properties = told("binary", "5", expiry_s=60)
    assert body == PLAIN
    assert properties["ContentType"] == "application/json"
    assert properties["MessageExpiryInterval"] == 60
    named = dict(properties["UserProperty"])
    assert named == ATTRIBUTES
    named["datacontenttype"] = properties["ContentType"]
    factory = get_event_factory_for_version(named["specversion"])
    event = factory({**named, "time": datetime.fromisoformat(named["time"])}, json.loads(body))
    assert event.get_id() == BODY["message_id"]


def test_binary_without_mqtt_5_is_the_message_alone() -> None:
    assert told("binary", "3.1.1") == (PLAIN, {})


@pytest.mark.parametrize("mode", ["off", "structured", "binary"])
def test_a_topic_is_cleared_by_an_empty_message_in_every_mode(mode: CloudEventsMode) -> None:
    assert told(mode, "5", b"")[0] == b""
    assert told(mode, "3.1.1", b"") == (b"", {})


def test_off_nothing_is_added_and_an_expiry_is_told() -> None:
    assert told("off", "3.1.1") == (PLAIN, {})
    body, properties = told("off", "5", expiry_s=60)
    assert body == PLAIN
    assert properties == {
        "PayloadFormatIndicator": 1,
        "ContentType": "application/json",
        "MessageExpiryInterval": 60,
    }


@pytest.mark.parametrize(
    ("mode", "content_type"),
    [
        ("off", "application/json"),
        ("structured", "application/cloudevents+json"),
        ("binary", "application/json"),
    ],
)
def test_a_will_and_a_reply_have_the_same_shape(mode: CloudEventsMode, content_type: str) -> None:
    _, properties = told(mode, "5", will=True)
    assert properties["ContentType"] == content_type
    _, properties = told(mode, "5", correlation=b"c-1")
    assert (properties["ContentType"], properties["CorrelationData"]) == (content_type, b"c-1".hex())


def test_the_correlation_of_one_reply_is_not_the_next_message_s() -> None:
    wire = Wire(TOPICS, "off")
    wire.publish(TOPIC, PLAIN, "5", correlation=b"c-1")
    _, properties = wire.publish(TOPIC, PLAIN, "5")
    assert properties is not None
    assert not hasattr(properties, "CorrelationData")


def test_the_sdk_refuses_a_message_whose_own_fields_stand_beside_the_attributes() -> None:
    """Why the message is in `data`: `message_id` is no name an attribute may have."""
    with pytest.raises(CloudEventValidationError):
        JSONFormat().read(None, json.dumps({**BODY, **ATTRIBUTES}))


def test_a_subscriber_finds_the_message_in_either_shape() -> None:
    event = cloudevents.structured(PLAIN, "alerts/support/hold_limit")
    assert cloudevents.message(event) == PLAIN
    assert cloudevents.message(PLAIN) == PLAIN


@pytest.mark.parametrize("payload", [b"{}", b"[]", b"null", b'{"schema": 1}'])
def test_a_payload_that_is_no_message_is_refused(payload: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        told("structured", "5", payload)


def test_an_event_is_what_the_contract_says() -> None:
    schema = contract.json_schemas(features.topics(), "structured")["callsteward.alert/1"]
    validator = jsonschema.Draft202012Validator(schema)
    event = json.loads(told("structured", "3.1.1")[0])
    validator.validate(event)
    changes: list[dict[str, Any]] = [
        {"type": "callsteward.call/1"},
        {"specversion": "0.3"},
        {"data": {}},
        {"id": None},
    ]
    for change in changes:
        assert not validator.is_valid({**event, **change}), change
    assert not validator.is_valid(BODY)
    plain = contract.json_schemas(features.topics(), "binary")
    assert plain == contract.json_schemas(features.topics())
