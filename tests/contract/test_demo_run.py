"""Every message of a whole run held against the shipped contract: topic, schema, retained or not, numbers.

The demo's captures of a real Asterisk through the real daemon, into a real Mosquitto (or the demo's broker).
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from sqlalchemy import insert

from callsteward import features
from callsteward.config import Config
from callsteward.daemon.app import Daemon
from callsteward.demo.ari_server import FakeAri
from callsteward.demo.timeline import CAPTURES, frames
from callsteward.feed import cloudevents, contract
from callsteward.store.engine import writing
from callsteward.store.records import Store
from callsteward.store.tables import interval_revisions
from tests.lab.ports import free_port
from tests.unit.feed.conftest import MOSQUITTO, AnyBroker, InProcess, Mosquitto
from tests.unit.feed.test_shapes import Raw, hearing

SPEED = 20.0
PASSWORD = "demo-password"
# One that the captures have, as digits.
NUMBER = "9031234567"
BASE = "callsteward/demo/"
# What a run without callbacks, ratings, commands and faults says nothing of.
SILENT = {"callback", "rating", "complaint", "reply", "daemon-alert"}


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[AnyBroker]:
    port = free_port()
    started: AnyBroker = InProcess(port) if MOSQUITTO is None else Mosquitto(port, tmp_path)
    await started.start()
    yield started
    await started.kill()


async def _run(config: Config, ari: FakeAri, raw: Raw) -> None:
    listed, stop = asyncio.Event(), asyncio.Event()
    ari.on_list = lambda kind: listed.set() if kind == "bridges" else None
    daemon = asyncio.create_task(Daemon(config).run(stop))
    async with asyncio.timeout(60):
        await listed.wait()
        await asyncio.sleep(0.3)
        await ari.play(frames(), speed=SPEED)
        await raw.until(lambda: _ended(raw) == len(CAPTURES), 60)
        await raw.until(lambda: any("/intervals/" in topic for topic in raw.last()), 60)
        stop.set()
        await daemon
        await raw.until(lambda: b'"offline"' in raw.last()[f"{BASE}status"])


def _ended(raw: Raw) -> int:
    return sum(message.topic.value.endswith("/ended") for message in raw.messages)


async def _an_hour_ago(config: Config) -> None:
    """An earlier daemon published intervals: this one goes on with the next, which is over."""
    store = await Store.open(config.store.url)
    now_ms = time.time_ns() // 1_000_000
    values: dict[str, Any] = {"site": "demo", "kind": "line", "name": "support", "minutes": 30}
    values |= {"start_ms": (now_ms // 1_800_000 - 2) * 1_800_000, "revision": 1, "final": True}
    async with writing(store.engine) as connection:
        await connection.execute(insert(interval_revisions).values(**values, digest="", changed_at_ms=now_ms))
    await store.close()


def _channel_of(topic: str, document: dict[str, Any]) -> str:
    """The channel whose address a topic fits; the one with the fewest parameters."""
    fits: list[tuple[int, str]] = []
    for name, channel in document["channels"].items():
        pattern = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(channel["address"]))
        if re.fullmatch(pattern, topic):
            fits.append((channel["address"].count("{"), name))
    assert fits, f"no channel of the contract has {topic}"
    return min(fits)[1]


@pytest.mark.parametrize(
    ("version", "mode"), [("3.1.1", "off"), ("5", "off"), ("3.1.1", "structured"), ("5", "binary")]
)
async def test_everything_a_run_says_is_what_the_shipped_contract_promises(
    broker: AnyBroker, tmp_path: Path, version: str, mode: cloudevents.CloudEventsMode
) -> None:
    if version not in broker.speaks:
        pytest.skip("no Mosquitto here: the demo's broker has no MQTT 5")
    async with FakeAri(password=PASSWORD) as ari:
        config = Config.model_validate(
            {
                "site": {"name": "demo"},
                "asterisk": {"url": ari.url, "password": PASSWORD},
                "endpoints": {"operators": ["PJSIP/1[0-9][0-9]"], "trunks": ["PJSIP/trunk*"]},
                "lines": [{"name": "hotline", "dids": ["100"]}, {"name": "support", "queues": ["support"]}],
                "operators": {"101": {}},
                "mqtt": {"port": broker.port, "version": version, "cloudevents": mode},
                "store": {"url": f"sqlite:///{tmp_path}/demo.db"},
                "privacy": {"hmac_key": "demo"},
                # Fewer seconds than anybody takes, so that there are alerts.
                "profiles": {"standard": {"answer_limit_s": 0.2, "hold_limit_s": 0.5}},
            }
        )
        await _an_hour_ago(config)
        async with hearing(broker.port, "#", version) as raw:
            await _run(config, ari, raw)
    file = "asyncapi.json" if mode == "off" else f"asyncapi.cloudevents-{mode}.json"
    document = json.loads((contract.SHIPPED / file).read_text(encoding="utf-8"))
    schemas = {
        name: json.loads((contract.SHIPPED / f"{name.replace('/', '.')}.schema.json").read_text("utf-8"))
        for name in contract.json_schemas(features.topics())
    }
    operations = {
        operation["channel"]["$ref"].rpartition("/")[2]: operation
        for operation in document["operations"].values()
    }
    kinds: Counter[str] = Counter()
    for message in raw.messages:
        topic, payload = message.topic.value, bytes(message.payload)
        assert NUMBER not in topic
        assert NUMBER.encode() not in payload
        name = _channel_of(topic, document)
        [told] = document["channels"][name]["messages"]
        promised = document["components"]["messages"][told]
        # The payload as the document has it, with its references.
        whole = {**promised["payload"], "components": document["components"]}
        jsonschema.Draft202012Validator(whole).validate(json.loads(payload))
        body = json.loads(cloudevents.message(payload))
        assert promised["name"] == body["schema"]
        jsonschema.Draft202012Validator(schemas[body["schema"]]).validate(body)
        assert operations[name]["action"] == "send"
        assert message.qos == operations[name]["bindings"]["mqtt"]["qos"]
        if version == "5":
            assert getattr(message.properties, "ContentType", None) == promised["contentType"]
        if "headers" in promised:
            headers = dict(getattr(message.properties, "UserProperty", []))
            jsonschema.Draft202012Validator(promised["headers"]).validate(headers)
        kinds[body["schema"].removeprefix("callsteward.").partition("/")[0]] += 1
    said = {
        name.removeprefix("callsteward.").partition("/")[0]
        for name in contract.json_schemas(features.topics())
    }
    assert set(kinds) == {name for name in said if not name.startswith("command-")} - SILENT
    assert kinds["call"] == len(CAPTURES)
    numbered = [
        json.loads(cloudevents.message(bytes(message.payload)))["seq"]
        for message in raw.messages
        if not message.topic.value.endswith(("/now", "/status"))
    ]
    assert list(dict.fromkeys(numbered)) == list(range(1, max(numbered) + 1))
    # What the broker keeps is what the contract says it keeps.
    async with hearing(broker.port, "#", version) as late:
        await asyncio.sleep(0.5)
    for message in late.messages:
        assert operations[_channel_of(message.topic.value, document)]["bindings"]["mqtt"]["retain"]
    kept = {_channel_of(message.topic.value, document) for message in late.messages}
    assert kept == {name for name, operation in operations.items() if operation["bindings"]["mqtt"]["retain"]}
