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
from tests.lab.lanes import TECHNOLOGIES, Lane, every_lane
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
            "endpoints": {"operators": _operators(pbx)},
            "lines": _lines(),
            "profiles": {"strict": STRICT},
            "mqtt": mqtt(broker, name),
            "store": {"url": f"sqlite:///{folder / f'{name}.db'}"},
            "privacy": {"hmac_key": HMAC_KEY},
        },
    )


def callback_settings(pbx: Asterisk, database: Path | str, **callback: object) -> Settings:
    """For a daemon that calls back: a line for each lane, with operators and an outside line of its own.

    `database`: an SQLite file, or the address of a database.
    """
    technology = TECHNOLOGIES[pbx.driver]
    lines = [
        {"name": f"lane{lane.index}", "dids": [lane.did(10)], "profile": "quick", **_calls_out(lane)}
        for lane in every_lane(pbx.driver)
    ]
    return {
        "site": {"name": SITE},
        "asterisk": {
            "url": pbx.ari.base_url.removesuffix("/ari"),
            "password": pbx.ari.password,
            "talk_detect": "on",
        },
        "endpoints": {"operators": _operators(pbx)},
        "lines": lines,
        "profiles": {"quick": {"greeting_s": 1}},
        "mqtt": {"enabled": False},
        "store": {"url": database if isinstance(database, str) else f"sqlite:///{database}"},
        "privacy": {"hmac_key": HMAC_KEY},
        "callback": {
            "enabled": True,
            "ring_s": 6,
            "operator_ring_s": 5,
            "same_operator_s": 2,
            "operator_dial": f"{technology}/{{operator}}",
            "max_parallel": 20,
            "caller_id": "+74950000000",
            "per_number_a_day": 100,
        }
        | callback,
    }


def rating_settings(
    pbx: Asterisk,
    database: Path | str,
    broker: Mosquitto | None = None,
    *,
    name: str = "rating",
    rating: Mapping[str, object] | None = None,
    **profile: object,
) -> Settings:
    """For a daemon that asks for ratings. Lane N's lines: `stayN` (queue), `directN` (dialled), `callN`
    (called back later)."""
    values = callback_settings(pbx, database, enabled=False, hours_to="23:59:59", hours_from="00:00:00")
    values["callback"]["zones"] = "line"
    ways: dict[str, Settings] = {
        "stay": {"kind": 30, "profile": "stay"},
        "direct": {"kind": 31, "profile": "transfer", "language": "en"},
        "call": {"kind": 10, "profile": "call"},
    }
    values["lines"] = [
        {"name": f"{name}{lane.index}", "dids": [lane.did(way["kind"])], **_calls_out(lane)}
        | {key: value for key, value in way.items() if key != "kind"}
        for lane in every_lane()
        for name, way in ways.items()
    ]
    base = {"greeting_s": 1, "rating_quiet_days": 0, **profile}
    values["profiles"] = {
        "stay": {**base, "rating": "stay"},
        "transfer": {**base, "rating": "transfer"},
        "call": {**base, "rating": "call", "rating_delay_min": 0.05},
    }
    values["rating"] = {
        "enabled": True,
        "prompts_dir": f"/lab/{pbx.name}/prompts",
        "answer_s": 2,
        "ring_s": 6,
        "per_minute": 1000,
        "max_parallel": 20,
        **(rating or {}),
    }
    values["mqtt"] = mqtt(broker, name)
    return values


def mqtt(broker: Mosquitto | None, name: str) -> Settings:
    """The section `[mqtt]`; `name` is of the MQTT root."""
    if broker is None:
        return {"enabled": False}
    settings: Settings = {
        "host": broker.host,
        "port": broker.port,
        "username": broker.user,
        "password": broker.password,
        "root": f"callsteward/{name}",
        "client_id": f"callsteward-{name}",
        "tls": broker.tls,
    }
    return settings | ({"ca_file": str(broker.ca_file)} if broker.tls else {})


def _operators(pbx: Asterisk) -> list[str]:
    return [f"{TECHNOLOGIES[pbx.driver]}/{user}" for user in ("1[0-9][0-9]", "1[0-9][0-9][0-9]")]


def _calls_out(lane: Lane) -> Settings:
    """Who serves a lane's line, and how its clients are called."""
    return {
        "operators": [lane.operator(1), lane.operator(2)],
        "callback_dial": f"{lane.technology}/{{number}}@{lane.outside(1).endpoint}",
    }


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
