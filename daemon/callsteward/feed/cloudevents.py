"""CloudEvents 1.0 attribute names beside a message's own fields, for subscribers that route by them. Pure.

The attributes stand at the top level with everything else, where a dashboard can read them too. Off unless
`mqtt.cloudevents = true`. https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md
"""

from __future__ import annotations

import msgspec


class _Envelope(msgspec.Struct):
    schema: str
    message_id: str
    site: str
    ts: str


class _Attributes(msgspec.Struct):
    id: str
    source: str
    type: str
    time: str
    specversion: str = "1.0"
    datacontenttype: str = "application/json"


_decoder = msgspec.json.Decoder(_Envelope)
_encoder = msgspec.json.Encoder()


def with_attributes(payload: bytes) -> bytes:
    """The message (a JSON object with the envelope's fields) with the attributes before its own fields.

    `id` is the message_id, so what comes twice has the same one; `type` is the schema, `source` the site.
    """
    envelope = _decoder.decode(payload)
    attributes = _Attributes(
        id=envelope.message_id,
        source=f"/callsteward/{envelope.site}",
        type=envelope.schema,
        time=envelope.ts,
    )
    return _encoder.encode(attributes)[:-1] + b"," + payload[1:]
