"""Configuration files for the lab: the shipped one, with the lab's values in it."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.lab.asterisk import Asterisk
from tests.lab.broker import Mosquitto
from tests.lab.lanes import TECHNOLOGIES, every_lane
from tests.lab.pbx_config import REPOSITORY

SHIPPED = REPOSITORY / "config" / "callsteward.toml"
SITE = "lab"
HMAC_KEY = "a key for the lab"
SENIOR = "102"

ALERT_LANES = (10, 11)
"""Their calls are on the line `strict`, whose limits a test has the time to cross."""
STRICT = {"answer_limit_s": 2, "hold_limit_s": 3, "silence_limit_s": 4, "talk_limit_s": 8}

Settings = dict[str, Any]


def lab_settings(folder: Path, pbx: Asterisk, broker: Mosquitto | None, *, name: str) -> Settings:
    """The shipped configuration for one daemon in the lab. `name`: of its ARI application and MQTT root."""
    settings: Settings = tomllib.loads(SHIPPED.read_text())
    mqtt: Settings = {"enabled": False}
    if broker is not None:
        mqtt = {
            "host": broker.host,
            "port": broker.port,
            "username": broker.user,
            "password": broker.password,
            "root": f"callsteward/{name}",
            "client_id": f"callsteward-{name}",
            "tls": broker.tls,
        }
        if broker.tls:
            mqtt["ca_file"] = str(broker.ca_file)
    return merged(
        settings,
        {
            "site": {"name": SITE, "timezone": zone_at_noon()},
            "asterisk": {
                "url": pbx.ari.base_url.removesuffix("/ari"),
                "password": pbx.ari.password,
                "app": f"callsteward-{name}",
                "talk_detect": "on",
            },
            "endpoints": {
                "operators": [
                    f"{TECHNOLOGIES[pbx.driver]}/{user}" for user in ("1[0-9][0-9]", "1[0-9][0-9][0-9]")
                ]
            },
            "lines": _lines(),
            "profiles": {"strict": STRICT},
            "mqtt": mqtt,
            "store": {"url": f"sqlite:///{folder / f'{name}.db'}"},
            "privacy": {"hmac_key": HMAC_KEY},
        },
    )


def zone_at_noon() -> str:
    """A zone whose clocks show twelve now: no day ends, and no counter of a day, while tests run."""
    # POSIX counts west of Greenwich.
    return f"Etc/GMT{datetime.now(UTC).hour - 12:+d}"


def _lines() -> list[Settings]:
    plain = [lane for lane in every_lane() if lane.index not in ALERT_LANES]
    strict = [lane for lane in every_lane() if lane.index in ALERT_LANES]
    queues = ("support", "ringall", "solo", "local", "optimised", "empty")
    return [
        {
            "name": "support",
            "title": "Support hotline",
            "queues": [lane.queue(kind) for lane in plain for kind in queues],
            "profile": "standard",
        },
        {
            "name": "direct",
            "dids": [lane.did(kind) for lane in plain for kind in (10, 11, 12, 13, 14, 15)],
            "profile": "standard",
        },
        {
            "name": "strict",
            "dids": [lane.did(kind) for lane in strict for kind in (10, 11, 12, 13, 14, 15)],
            "profile": "strict",
        },
    ]


def merged(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> Settings:
    """`settings` with `changes` laid over them; None takes a key away."""
    result: Settings = dict(settings)
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(result.get(key), Mapping):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result


def write(path: Path, settings: Settings) -> Path:
    """The settings as a TOML file."""
    path.write_text("".join(f"{key} = {_toml(value)}\n" for key, value in settings.items()))
    path.chmod(0o600)
    return path


def _toml(value: object) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)
