"""A message in a PUBLISH: its payload, plain or as a CloudEvent, and MQTT 5's properties."""

from __future__ import annotations

import functools

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from callsteward.feed import cloudevents
from callsteward.feed.topics import Topics


class Wire:
    """One site's. `version` is MQTT's: "5" or "3.1.1"."""

    def __init__(self, topics: Topics, mode: cloudevents.CloudEventsMode) -> None:
        self._topics = topics
        self._mode = mode

    def publish(
        self,
        topic: str,
        payload: bytes,
        version: str,
        *,
        expiry_s: int | None = None,
        correlation: bytes | None = None,
        will: bool = False,
    ) -> tuple[bytes, Properties | None]:
        """Payload and properties of a message (or of nothing, which clears a topic) on its topic.

        `correlation`: that of the command being answered. Raises msgspec.DecodeError if it is no message.
        """
        v5 = version == "5"
        if self._mode == "off" or not payload:
            if not v5:
                return payload, None
            if correlation is None and not will:
                return payload, _json(expiry_s)
            return payload, _properties(cloudevents.JSON, expiry_s, correlation, will=will)
        subject = self._topics.below_the_site(topic)
        if self._mode == "structured":
            event = cloudevents.structured(payload, subject)
            if not v5:
                return event, None
            return event, _properties(cloudevents.CONTENT_TYPE, expiry_s, correlation, will=will)
        if not v5:
            # A broker without MQTT 5 has no place for the attributes.
            return payload, None
        properties = _properties(cloudevents.JSON, expiry_s, correlation, will=will)
        properties.UserProperty = cloudevents.user_properties(payload, subject)
        return payload, properties


def _properties(
    content_type: str, expiry_s: int | None, correlation: bytes | None = None, *, will: bool = False
) -> Properties:
    """The payload is text of this type, and expires after this many seconds. Nothing depends on it."""
    made = Properties(PacketTypes.WILLMESSAGE if will else PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    made.PayloadFormatIndicator = 1
    made.ContentType = content_type
    if expiry_s:
        made.MessageExpiryInterval = expiry_s
    if correlation is not None:
        made.CorrelationData = correlation
    return made


class _Packed(Properties):
    """Properties that are not changed any more: their bytes are made once, and not for every message."""

    def __init__(self, made: Properties) -> None:
        super().__init__(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        self.__dict__.update(made.__dict__)
        self.__dict__["_bytes"] = made.pack()  # type: ignore[no-untyped-call]

    def pack(self) -> bytes:
        return bytes(self.__dict__["_bytes"])


@functools.lru_cache(maxsize=64)
def _json(expiry_s: int | None) -> Properties:
    """The same for most messages, and only read."""
    return _Packed(_properties(cloudevents.JSON, expiry_s))
