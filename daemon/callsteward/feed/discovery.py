"""Discovery in the way of Home Assistant: retained messages that say which sensors there are. Pure.

An adapter for those who want a wallboard on Home Assistant (or whatever else reads its discovery) without
writing a line of it: the gauges of each configured line and operator and the daemon's own state become
entities of one device. Off unless `mqtt.discovery_prefix` is set.
https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery

A topic is PREFIX/COMPONENT/callsteward_SITE/OBJECT/config; with the site as its node id, all of a site's are
found by one filter, and what is there no longer can be taken away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from callsteward import __version__
from callsteward.feed.topics import Topics

_ENCODER = msgspec.json.Encoder()

# `{message}`: where the template finds the message, which CloudEvents put into `data`.
_FIELD = "{{{{ {message}.{field} }}}}"
# What is null while nobody waits reads as 0 on a wallboard.
_OR_ZERO = "{{{{ {message}.{field} | default(0, true) }}}}"
_OR_NOTHING = "{{{{ {message}.{field} | default('', true) }}}}"
# A line without calls has no service level: to Home Assistant, None is unknown.
_PERCENT = (
    "{{% if {message}.{field} is number %}}{{{{ ({message}.{field} * 100) | round(1) }}}}"
    "{{% else %}}None{{% endif %}}"
)


class _Entity(NamedTuple):
    """A field of a message and how to show it.

    `on`, `off`: of a binary sensor, its values. `diagnostic`: about the daemon, not about the calls.
    `always`: shown also while the daemon is offline.
    """

    field: str
    name: str
    unit: str | None = None
    device_class: str | None = None
    state_class: str | None = "measurement"
    template: str = _FIELD
    on: str | None = None
    off: str | None = None
    diagnostic: bool = False
    always: bool = False


_LINE = (
    _Entity("waiting", "waiting"),
    _Entity("ringing", "ringing"),
    _Entity("talking", "talking"),
    _Entity("on_hold", "on hold"),
    _Entity("lost", "lost"),
    _Entity("longest_wait_s", "longest wait", "s", "duration", template=_OR_ZERO),
    # Counted from midnight on: a total that begins anew.
    _Entity("offered_today", "offered today", state_class="total_increasing"),
    _Entity("answered_today", "answered today", state_class="total_increasing"),
    _Entity("abandoned_today", "abandoned today", state_class="total_increasing"),
    _Entity("short_abandoned_today", "short abandoned today", state_class="total_increasing"),
    _Entity("service_level_today", "service level today", unit="%", template=_PERCENT),
)
_OPERATOR = (
    _Entity("state", "state", state_class=None),
    _Entity("status", "status", state_class=None),
    _Entity("pause_reason", "reason of the pause", state_class=None, template=_OR_NOTHING),
    _Entity("hold_s", "hold", "s", "duration", template=_OR_ZERO),
)
_DAEMON = (
    _Entity(
        "state",
        "daemon",
        device_class="connectivity",
        state_class=None,
        on="online",
        off="offline",
        diagnostic=True,
        always=True,
    ),
    _Entity(
        "asterisk",
        "link to Asterisk",
        device_class="connectivity",
        state_class=None,
        on="connected",
        off="disconnected",
        diagnostic=True,
    ),
    _Entity("outbox_depth", "outbox", template=_OR_ZERO, diagnostic=True),
    _Entity("dropped", "dropped messages", template=_OR_ZERO, diagnostic=True),
)


class Announcement(NamedTuple):
    """A retained message."""

    topic: str
    payload: bytes


def announcements(
    prefix: str,
    topics: Topics,
    site: str,
    lines: Iterable[str],
    operators: Iterable[str],
    *,
    in_data: bool = False,
) -> Iterator[Announcement]:
    """One for each entity. `prefix`: Home Assistant's own is `homeassistant`.

    `in_data`: messages are structured CloudEvents.
    """
    message = "value_json.data" if in_data else "value_json"

    def of(whose: str, identity: str, topic: str, entities: tuple[_Entity, ...]) -> Iterator[Announcement]:
        for entity in entities:
            component = "sensor" if entity.on is None else "binary_sensor"
            object_id = f"{identity}_{entity.field}"
            settings = _settings(entity, whose, topic, topics.status, message)
            settings |= {
                "unique_id": f"{_node(site)}_{object_id}",
                "device": _device(site),
                "origin": _ORIGIN,
            }
            yield Announcement(
                f"{prefix}/{component}/{_node(site)}/{object_id}/config", _ENCODER.encode(settings)
            )

    yield from of("", "daemon", topics.status, _DAEMON)
    for line in lines:
        yield from of(f"line {line} ", f"line_{_escaped(line)}", topics.line_now(line), _LINE)
    for operator in operators:
        identity = f"operator_{_escaped(operator)}"
        yield from of(f"operator {operator} ", identity, topics.operator_now(operator), _OPERATOR)


def probe(prefix: str, site: str, name: str) -> str:
    """A topic of the site's that announces nothing: for an empty message, which means nothing to anybody."""
    return f"{prefix}/sensor/{_node(site)}/check_{name}/config"


def own(prefix: str, site: str) -> str:
    """The filter that matches a site's announcements and nobody else's."""
    return f"{prefix}/+/{_node(site)}/+/config"


_ORIGIN = {"name": "callsteward", "sw_version": __version__}


def _settings(entity: _Entity, whose: str, topic: str, status: str, message: str) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "name": f"{whose}{entity.name}",
        "state_topic": topic,
        "value_template": entity.template.format(field=entity.field, message=message),
    }
    if not entity.always:
        settings |= {
            "availability_topic": status,
            "availability_template": _FIELD.format(field="state", message=message),
            "payload_available": "online",
            "payload_not_available": "offline",
        }
    if entity.on is not None:
        settings |= {"payload_on": entity.on, "payload_off": entity.off}
    elif entity.state_class is not None:
        settings["state_class"] = entity.state_class
    if entity.unit is not None:
        settings["unit_of_measurement"] = entity.unit
    if entity.device_class is not None:
        settings["device_class"] = entity.device_class
    if entity.diagnostic:
        settings["entity_category"] = "diagnostic"
    return settings


def _device(site: str) -> dict[str, Any]:
    return {"identifiers": [_node(site)], "name": f"callsteward {site}", "sw_version": __version__}


def _node(site: str) -> str:
    return f"callsteward_{_escaped(site)}"


def _escaped(name: str) -> str:
    """Letters, digits, _ and - are all an id may have. Two names never become one, so `-` is escaped too."""
    plain = name.encode(errors="surrogatepass")
    return "".join(chr(byte) if chr(byte).isalnum() and byte < 128 else f"-{byte:02x}" for byte in plain)
