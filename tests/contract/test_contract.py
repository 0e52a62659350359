"""The published contract: the shipped files, older versions, and AsyncAPI's own parser on it."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from callsteward import features
from callsteward.commands.request import KINDS
from callsteward.feed import contract
from callsteward.feed.cloudevents import CloudEventsMode
from callsteward.feed.envelope import Envelope
from tests.contract import compatibility, parser

SCHEMAS = contract.json_schemas(features.topics())


def test_the_package_ships_the_contract_as_the_message_types_make_it() -> None:
    shipped = {file.name: file.read_text(encoding="utf-8") for file in contract.SHIPPED.iterdir()}
    assert shipped == contract.shipped_files(features.topics()), "run `make contract`"


def _with_a_schema(kind: type[msgspec.Struct]) -> set[str]:
    """The names of the types below this one that have a `schema`."""
    found: set[str] = set()
    for below in kind.__subclasses__():
        found |= _with_a_schema(below)
        # Not what a test has made of it.
        if "schema" in below.__struct_fields__ and below.__module__.startswith("callsteward."):
            found.add(below.__name__)
    return found


def test_every_message_has_its_topic_and_every_topic_its_message() -> None:
    sent = {topic.message for topic in features.topics().values() if topic.from_daemon}
    taken = {topic.message for topic in features.topics().values() if not topic.from_daemon}
    assert {message.__name__ for message in sent} == {*_with_a_schema(Envelope), "CallEndedMessage"}
    assert taken == set(KINDS.values())
    document = contract.asyncapi(features.topics())
    assert {item["name"] for item in document["components"]["messages"].values()} == set(SCHEMAS)


@pytest.mark.parametrize("mode", ["off", "structured", "binary"])
def test_every_schema_is_a_json_schema(mode: CloudEventsMode) -> None:
    schemas = contract.json_schemas(features.topics(), mode)
    assert set(schemas) == set(SCHEMAS)
    for schema in schemas.values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_as_cloudevents_only_the_envelope_of_a_message_differs() -> None:
    """CloudEvents are a second shape of the same messages: their own documents tell of it."""
    plain = contract.asyncapi(features.topics())["components"]
    structured = contract.asyncapi(features.topics(), mode="structured")["components"]
    binary = contract.asyncapi(features.topics(), mode="binary")["components"]
    assert plain["schemas"] == structured["schemas"] == binary["schemas"]
    assert "callsteward schema --cloudevents" in contract.asyncapi(features.topics())["info"]["description"]
    for name, message in plain["messages"].items():
        event, beside = structured["messages"][name], binary["messages"][name]
        if name.endswith("Command"):
            assert message == event == beside
            continue
        assert event["contentType"] == "application/cloudevents+json"
        assert event["payload"]["properties"]["data"] == message["payload"]
        assert event["payload"]["properties"]["type"] == {"const": message["name"]}
        assert event["payload"]["required"] == [
            *("specversion", "id", "source", "type", "subject", "time", "datacontenttype", "data")
        ]
        assert beside["payload"] == message["payload"]
        assert set(beside["headers"]["required"]) == set(event["payload"]["required"]) - {
            "data",
            "datacontenttype",
        }


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_no_field_was_removed_or_changed_its_type_without_a_new_version(name: str) -> None:
    assert compatibility.snapshot_of(name).exists(), "a new message: run `make contract`"
    now = compatibility.shape(SCHEMAS[name])
    before = compatibility.load(name)
    assert compatibility.breaks(before, now) == []
    assert before == now, "fields were added: run `make contract`"


def test_a_published_version_is_never_taken_away() -> None:
    promised = {file.name for file in compatibility.SNAPSHOTS.iterdir()}
    assert promised == {compatibility.snapshot_of(name).name for name in SCHEMAS}


def _changed(path: str, value: Any) -> dict[str, Any]:
    schema = copy.deepcopy(SCHEMAS["callsteward.call/1"])
    target: Any = schema["$defs"]
    *steps, last = path.split("/")
    for step in steps:
        target = target[step]
    if value is None:
        del target[last]
    else:
        target[last] = value
    return schema


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("CallEndedMessage/properties/wait_s", None, "wait_s was removed"),
        (
            "CallEndedMessage/properties/wait_s",
            {"type": "number"},
            "wait_s was null or number, is number",
        ),
        ("CallEndedMessage/properties/complete", {"type": "string"}, "complete was boolean, is str"),
        ("Hold/properties/duration_s", None, "holds[].duration_s was removed"),
        ("Hold/properties/duration_s", {"type": "string"}, "holds[].duration_s was number, is str"),
    ],
)
def test_a_change_that_breaks_subscribers_is_found(path: str, value: Any, said: str) -> None:
    now = compatibility.shape(_changed(path, value))
    assert said in compatibility.breaks(compatibility.load("callsteward.call/1"), now)


def test_a_field_that_may_be_missing_breaks_subscribers_and_one_more_field_does_not() -> None:
    before = compatibility.load("callsteward.call/1")
    required = [
        item
        for item in SCHEMAS["callsteward.call/1"]["$defs"]["CallEndedMessage"]["required"]
        if item != "line"
    ]
    now = compatibility.shape(_changed("CallEndedMessage/required", required))
    assert compatibility.breaks(before, now) == ["line was str, is str?"]
    more = compatibility.shape(_changed("CallEndedMessage/properties/mood", {"type": "string"}))
    assert compatibility.breaks(before, more) == []


def _parsed(document: str, folder: Path) -> dict[str, Any]:
    try:
        return parser.parse(document, folder)
    except parser.NoParserError as error:
        if os.environ.get("CALLSTEWARD_REQUIRE_LIVE"):
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.mark.parametrize("mode", ["off", "structured", "binary"])
def test_the_asyncapi_document_passes_the_official_parser(tmp_path: Path, mode: CloudEventsMode) -> None:
    said = _parsed(contract.text(contract.asyncapi(features.topics(), mode=mode)), tmp_path)
    assert said["problems"] == []
    assert said["version"] == contract.ASYNCAPI_VERSION
    assert set(said["channels"]) == {
        f"callsteward/{{site}}/{topic.path}" for topic in features.topics().values()
    }
    assert set(said["messages"]) == set(SCHEMAS)


def test_the_parser_refuses_a_document_that_is_wrong(tmp_path: Path) -> None:
    document = contract.asyncapi(features.topics())
    document["operations"]["publishStatus"]["channel"]["$ref"] = "#/channels/nowhere"
    assert _parsed(json.dumps(document), tmp_path)["problems"] != []
