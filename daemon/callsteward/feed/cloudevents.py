"""Messages as CloudEvents 1.0, for subscribers and brokers that route by its attributes. Pure.

Off unless `mqtt.cloudevents` says `structured` or `binary`, the two content modes of its MQTT binding:
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/mqtt-protocol-binding.md

- structured: the payload is a JSON object with the attributes at its top level and the message, as it is
  otherwise published, in `data`. The one mode that MQTT 3.1.1 has.
- binary: the payload stays as it is, so that dashboards read on; the attributes are User Properties (MQTT 5).
"""

from __future__ import annotations

import inspect
from typing import Any, Literal

import msgspec

from callsteward.feed.envelope import Stamp

CloudEventsMode = Literal["off", "structured", "binary"]

CONTENT_TYPE = "application/cloudevents+json"
JSON = "application/json"


class Attributes(msgspec.Struct, frozen=True, kw_only=True):
    """The context attributes of a message.

    `id` is its message_id, so that what comes twice has the same one; `source` is /callsteward/SITE, `type`
    its schema, `subject` its topic below the site, `time` its ts.
    """

    specversion: Literal["1.0"] = "1.0"
    id: str
    source: str
    type: str
    subject: str
    time: Stamp
    datacontenttype: Literal["application/json"] = "application/json"


class _Event(Attributes, frozen=True, kw_only=True):
    data: msgspec.Raw


class _Envelope(msgspec.Struct):
    schema: str
    message_id: str
    site: str
    ts: str


class _Shape(msgspec.Struct):
    specversion: str | None = None
    data: msgspec.Raw = msgspec.Raw()


_envelope = msgspec.json.Decoder(_Envelope)
_shape = msgspec.json.Decoder(_Shape)
_encoder = msgspec.json.Encoder()


def attributes(payload: bytes, subject: str) -> Attributes:
    """Of a message as it is published. Raises msgspec.DecodeError for what is none."""
    told = _envelope.decode(payload)
    return Attributes(
        id=told.message_id,
        source=f"/callsteward/{told.site}",
        type=told.schema,
        subject=subject,
        time=told.ts,
    )


def structured(payload: bytes, subject: str) -> bytes:
    """The message as an event in the JSON format. Raises msgspec.DecodeError for what is no message."""
    own = msgspec.structs.asdict(attributes(payload, subject))
    return _encoder.encode(_Event(**own, data=msgspec.Raw(payload)))


def user_properties(payload: bytes, subject: str) -> list[tuple[str, str]]:
    """The attributes beside a message that stays as it is; MQTT's content type is `datacontenttype`."""
    own: dict[str, str] = msgspec.structs.asdict(attributes(payload, subject))
    return [(name, value) for name, value in own.items() if name != "datacontenttype"]


def message(payload: bytes) -> bytes:
    """The message in a payload, which is an event or the message itself. For subscribers to either."""
    shape = _shape.decode(payload)
    return payload if shape.specversion is None or not shape.data else bytes(shape.data)


def schema(of_message: dict[str, Any], name: str) -> dict[str, Any]:
    """The JSON Schema of a structured event, whose `data` is of this schema. `name`: the message's."""
    own = msgspec.json.schema(Attributes)["$defs"]["Attributes"]
    properties = {**own["properties"], "type": {"const": name}, "data": of_message}
    # All are always there: a default is only how they are made.
    for value in properties.values():
        value.pop("default", None)
    return {
        "type": "object",
        "title": "CloudEvent",
        "description": inspect.cleandoc(own["description"]),
        "properties": properties,
        "required": list(properties),
    }
