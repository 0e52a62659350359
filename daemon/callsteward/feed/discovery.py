"""Discovery in the way of Home Assistant: retained messages that say which sensors there are. Pure.

An adapter for those who want a wallboard on Home Assistant without writing a line of it: each line's and each
operator's gauges become sensors of one device. Off unless `mqtt.discovery_prefix` is set.
https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from callsteward import __version__
from callsteward.feed.topics import Topics, level

_ENCODER = msgspec.json.Encoder()


class _Sensor(NamedTuple):
    """A field of a gauge and how to show it."""

    field: str
    name: str
    unit: str | None = None
    device_class: str | None = None
    template: str = "{{{{ value_json.{field} }}}}"
    counts: bool = True


# What is null while nobody waits reads as 0 on a wallboard.
_OR_ZERO = "{{{{ value_json.{field} | default(0, true) }}}}"
_PERCENT = (
    "{{% if value_json.{field} is number %}}{{{{ (value_json.{field} * 100) | round(1) }}}}{{% endif %}}"
)
_LINE = (
    _Sensor("waiting", "waiting"),
    _Sensor("ringing", "ringing"),
    _Sensor("talking", "talking"),
    _Sensor("on_hold", "on hold"),
    _Sensor("longest_wait_s", "longest wait", "s", "duration", template=_OR_ZERO),
    _Sensor("offered_today", "offered today"),
    _Sensor("answered_today", "answered today"),
    _Sensor("abandoned_today", "abandoned today"),
    _Sensor("service_level_today", "service level today", unit="%", template=_PERCENT),
)
_OPERATOR = (
    _Sensor("state", "state", counts=False),
    _Sensor("hold_s", "hold", "s", "duration", template=_OR_ZERO),
)


class Announcement(NamedTuple):
    """A retained message."""

    topic: str
    payload: bytes


def announcements(
    prefix: str, topics: Topics, site: str, lines: Iterable[str], operators: Iterable[str]
) -> Iterator[Announcement]:
    """One for each sensor. `prefix`: Home Assistant's own is `homeassistant`."""
    for line in lines:
        for sensor in _LINE:
            yield _announced(prefix, topics, site, f"line {line}", topics.line_now(line), sensor)
    for operator in operators:
        for sensor in _OPERATOR:
            yield _announced(
                prefix, topics, site, f"operator {operator}", topics.operator_now(operator), sensor
            )


def _announced(
    prefix: str, topics: Topics, site: str, whose: str, state_topic: str, sensor: _Sensor
) -> Announcement:
    # Home Assistant takes letters, digits, _ and - in an object id.
    object_id = f"callsteward_{site}_{whose}_{sensor.field}"
    object_id = "".join(char if char.isascii() and char.isalnum() else "_" for char in object_id)
    settings: dict[str, Any] = {
        "name": f"{whose} {sensor.name}",
        "unique_id": object_id,
        "state_topic": state_topic,
        "value_template": sensor.template.format(field=sensor.field),
        "availability_topic": topics.status,
        "availability_template": "{{ value_json.state }}",
        "payload_available": "online",
        "payload_not_available": "offline",
        "device": {
            "identifiers": [f"callsteward_{site}"],
            "name": f"callsteward {site}",
            "sw_version": __version__,
        },
    }
    if sensor.unit is not None:
        settings["unit_of_measurement"] = sensor.unit
    if sensor.device_class is not None:
        settings["device_class"] = sensor.device_class
    if sensor.counts:
        settings["state_class"] = "measurement"
    return Announcement(f"{prefix}/sensor/{level(object_id)}/config", _ENCODER.encode(settings))
