"""The contract: an AsyncAPI 3 document and JSON Schemas, made from the message types.

Each feature lists the topics of its messages; whoever asks for the contract hands them over. The package
ships what is made here (`callsteward/contract/`), so that a subscriber needs no daemon to read it.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from callsteward import __version__
from callsteward.feed import cloudevents
from callsteward.feed.cloudevents import CloudEventsMode
from callsteward.feed.tell import Topic

SHIPPED = Path(__file__).parents[1] / "contract"
ROOT = "callsteward/{site}"
ASYNCAPI_VERSION = "3.0.0"


_AS_EVENTS: dict[CloudEventsMode, str] = {
    "off": " With mqtt.cloudevents they are CloudEvents 1.0 instead, which is told in documents of its own"
    " (callsteward schema --cloudevents structured, or binary).",
    "structured": " Messages are CloudEvents 1.0 in structured mode (mqtt.cloudevents): the message as it is"
    " otherwise published stands in data.",
    "binary": " Messages are CloudEvents 1.0 in binary mode (mqtt.cloudevents): with MQTT 5 the attributes,"
    " here headers, are User Properties; a broker without it gets the messages alone.",
}
_PARAMETERS = {
    "site": "The PBX (site.name).",
    "line": "The hotline. What is not a letter, digit or one of `_.-~` in its name is escaped as %XX.",
    "operator": "The operator, by endpoint name such as 101; escaped as a line is.",
    "start": "Start of the interval, ISO 8601 basic in UTC, such as 20261122T0930Z.",
    "rule": "The rule that broke.",
    "id": "The id of the command that is answered.",
}


NamedTopics = Mapping[str, Topic]
"""By the name that a topic has in the document."""


def json_schemas(topics: NamedTopics, mode: CloudEventsMode = "off") -> dict[str, dict[str, Any]]:
    """The JSON Schema (2020-12) of each payload, by the message's `schema` field, and of each command.

    `mode`: how `mqtt.cloudevents` has them; commands stay plain.
    """
    schemas: dict[str, dict[str, Any]] = {}
    for topic in sorted(topics.values(), key=lambda topic: not topic.from_daemon):
        name = _version_of(topic)
        published = {name: full.rpartition(".")[2] for name, full in _published_as([topic]).items()}
        schema = _renamed(msgspec.json.schema(topic.schema_type), published)
        if mode == "structured" and topic.from_daemon:
            schema = _event(name, schema)
        schemas[name] = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    _unindent(schemas)
    return schemas


def _event(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    definitions = schema.pop("$defs", {})
    return {**cloudevents.schema(schema, name), "$defs": definitions}


def asyncapi(topics: NamedTopics, root: str = ROOT, mode: CloudEventsMode = "off") -> dict[str, Any]:
    """The AsyncAPI document. `root`: what stands before each topic. `mode`: of `mqtt.cloudevents`."""
    made, components = msgspec.json.schema_components(
        [topic.schema_type for topic in topics.values()], ref_template="#/components/schemas/{name}"
    )
    published = _published_as(topics.values())
    made, components = _renamed(list(made), published), _renamed(components, published)
    payloads: dict[str, dict[str, Any]] = {}
    for topic, schema in zip(topics.values(), made, strict=True):
        reference = schema.pop("$ref")
        payloads[topic.message.__name__] = {"$ref": reference}
        # A sibling of $ref means nothing in the draft that AsyncAPI builds on: it goes where it points.
        components[reference.rpartition("/")[2]].update(schema)
    _unindent(components)
    as_events = {
        topic.message.__name__: _as_event(topic, payloads[topic.message.__name__], mode)
        for topic in topics.values()
    }
    return {
        "asyncapi": ASYNCAPI_VERSION,
        "info": {
            "title": "callsteward",
            "version": __version__,
            "description": "What callsteward publishes over MQTT (3.1.1 and 5) and takes as commands. Every"
            " message is JSON, sent with QoS 1, and carries the same envelope: a subscriber leaves out what"
            " came twice by message_id, and sees by a gap in seq that a message was dropped. Nothing depends"
            " on the properties of MQTT 5. Times are RFC 3339 UTC, durations seconds in fields ending _s, and"
            f" what was not observed is null, never 0.{_AS_EVENTS[mode]}",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {name: _channel(root, topic) for name, topic in topics.items()},
        "operations": {
            ("publish" if topic.from_daemon else "take") + name[0].upper() + name[1:]: {
                "action": "send" if topic.from_daemon else "receive",
                "channel": {"$ref": f"#/channels/{name}"},
                "bindings": {"mqtt": {"qos": 1, "retain": topic.retained}},
            }
            for name, topic in topics.items()
        },
        "components": {
            "messages": {
                topic.message.__name__: {
                    "name": _version_of(topic),
                    "title": _title(topic.message),
                    **as_events[topic.message.__name__],
                }
                for topic in topics.values()
            },
            "schemas": {name: components[name] for name in sorted(components)},
        },
    }


def _published_as(topics: Iterable[Topic]) -> dict[str, str]:
    return {kind.__name__: name for topic in topics for kind, name in topic.published_as.items()}


def _renamed(schema: Any, names: Mapping[str, str]) -> Any:
    """The schema with other names for its definitions; the last part of a name is the title."""
    if isinstance(schema, list):
        return [_renamed(item, names) for item in schema]
    if not isinstance(schema, dict):
        return schema
    renamed = {names.get(key, key): _renamed(value, names) for key, value in schema.items()}
    if "$ref" in renamed:
        folder, slash, name = renamed["$ref"].rpartition("/")
        renamed["$ref"] = f"{folder}{slash}{names.get(name, name)}"
    if renamed.get("title") in names:
        renamed["title"] = names[renamed["title"]].rpartition(".")[2]
    return renamed


def _unindent(schema: Any) -> None:
    """Let each description read as its docstring does, and each default be JSON's.

    msgspec before 0.23 keeps what the source indents, and an empty tuple as it is.
    """
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key == "description" and isinstance(value, str):
                schema[key] = inspect.cleandoc(value)
            elif key == "default" and isinstance(value, tuple):
                schema[key] = list(value)
            else:
                _unindent(value)
    elif isinstance(schema, list):
        for item in schema:
            _unindent(item)


def _as_event(topic: Topic, payload: dict[str, Any], mode: CloudEventsMode) -> dict[str, Any]:
    """Content type, payload and headers (MQTT 5's User Properties) of a message. Commands are no events."""
    if mode == "off" or not topic.from_daemon:
        return {"contentType": cloudevents.JSON, "payload": payload}
    event = cloudevents.schema(payload, _version_of(topic))
    if mode == "structured":
        return {"contentType": cloudevents.CONTENT_TYPE, "payload": event}
    beside = {name: of for name, of in event["properties"].items() if name not in {"data", "datacontenttype"}}
    headers = {"type": "object", "properties": beside, "required": list(beside)}
    return {"contentType": cloudevents.JSON, "headers": headers, "payload": payload}


def shipped_files(topics: NamedTopics) -> dict[str, str]:
    """The files that the package ships, by name: the document, and each schema under its name and version.

    The document is there in each way that `mqtt.cloudevents` knows.
    """
    files = {"asyncapi.json": text(asyncapi(topics))}
    modes: tuple[CloudEventsMode, ...] = ("structured", "binary")
    files |= {f"asyncapi.cloudevents-{mode}.json": text(asyncapi(topics, mode=mode)) for mode in modes}
    for name, schema in json_schemas(topics).items():
        files[f"{name.replace('/', '.')}.schema.json"] = text(schema)
    return files


def text(document: dict[str, Any]) -> str:
    """A document as it is printed and shipped."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _channel(root: str, topic: Topic) -> dict[str, Any]:
    address = f"{root}/{topic.path}"
    named = {
        name: {"description": meaning} for name, meaning in _PARAMETERS.items() if f"{{{name}}}" in address
    }
    kind = topic.message.__name__
    return {
        "address": address,
        **({"parameters": named} if named else {}),
        "messages": {kind: {"$ref": f"#/components/messages/{kind}"}},
    }


def _version_of(topic: Topic) -> str:
    if not topic.from_daemon:
        # A command carries no schema: its name is in its topic, and keys it does not know are refused.
        return f"callsteward.command-{topic.path.rpartition('/')[2]}/1"
    fields = msgspec.structs.fields(topic.message)
    return str(next(field.default for field in fields if field.name == "schema"))


def _title(kind: type[msgspec.Struct]) -> str:
    """The first sentence of the type's description, without the topic before it."""
    first = (kind.__doc__ or kind.__name__).strip().splitlines()[0]
    return first.partition(": ")[2].rstrip(".") or first.rstrip(".")
