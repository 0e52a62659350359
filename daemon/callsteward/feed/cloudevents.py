"""CloudEvents 1.0 attribute names beside a message's own fields, for subscribers that route by them. Pure.

The attributes stand at the top level with everything else, where a dashboard can read them too. Off unless
`mqtt.cloudevents = true`. https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md
"""

from __future__ import annotations

import msgspec


class _Attributes(msgspec.Struct):
    specversion: str
    id: str
    source: str
    type: str
    time: str
    datacontenttype: str = "application/json"


_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_text = msgspec.json.Decoder(str)
_encoder = msgspec.json.Encoder()


def with_attributes(payload: bytes) -> bytes:
    """The message (a JSON object with the envelope's fields) with the attributes before its own fields.

    `id` is the message_id, so what comes twice has the same one; `type` is the schema, `source` the site.
    A field of the message's own of such a name stands for the attribute. Raises msgspec.DecodeError for what
    is no message.
    """
    fields = _decoder.decode(payload)
    try:
        schema, message_id, site, ts = (
            _text.decode(fields[name]) for name in ("schema", "message_id", "site", "ts")
        )
    except KeyError as error:
        message = f"not a message: it has no {error.args[0]}"
        raise msgspec.ValidationError(message) from error
    attributes = msgspec.structs.asdict(_Attributes("1.0", message_id, f"/callsteward/{site}", schema, ts))
    return _encoder.encode({name: value for name, value in attributes.items() if name not in fields} | fields)
