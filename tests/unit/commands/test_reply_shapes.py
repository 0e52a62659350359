"""How a reply stands on the wire: as a CloudEvent where they are on, with its own correlation data alone."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from cloudevents.core.formats.json import JSONFormat
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from callsteward.commands.mqtt import MqttDoor
from callsteward.config import CommandsSettings, Mqtt
from callsteward.feed.cloudevents import CloudEventsMode
from callsteward.network.backoff import Backoff
from callsteward.store.records import Store
from tests.lab.ports import free_port
from tests.unit.feed.conftest import MOSQUITTO, Mosquitto
from tests.unit.feed.test_shapes import hearing
from tests.unit.tags.desk import E164, FrontDesk

REPLIES = "callsteward/main/replies/"


def _asking(correlation: bytes | None) -> Properties:
    asked = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    if correlation is not None:
        asked.CorrelationData = correlation
    return asked


@pytest.mark.parametrize("mode", ["off", "structured", "binary"])
async def test_each_reply_has_its_own_correlation_data_and_the_shape_of_all_messages(
    tmp_path: Path, store: Store, mode: CloudEventsMode
) -> None:
    if MOSQUITTO is None:
        pytest.skip("no Mosquitto: `make lab` brings one")
    broker = Mosquitto(free_port(), tmp_path)
    await broker.start()
    desk = FrontDesk(store)
    mqtt = Mqtt(port=broker.port, version="5", cloudevents=mode)
    desk.config = desk.config.model_copy(update={"mqtt": mqtt, "commands": CommandsSettings(mqtt=True)})
    door = MqttDoor(desk.config, desk.commands, boot_id="boot-1", backoff=Backoff(0.05, 0.2))
    task = asyncio.create_task(door.run())
    correlations = {"one": b"c-1", "two": None, "three": b"c-3"}
    try:
        async with (
            hearing(broker.port, f"{REPLIES}#", "5") as raw,
            aiomqtt.Client("127.0.0.1", broker.port, protocol=aiomqtt.ProtocolVersion.V5) as client,
            asyncio.timeout(60),
        ):
            for name, correlation in correlations.items():
                body = json.dumps({"id": name, "action": "remove", "number": E164})
                while f"{REPLIES}{name}" not in raw.last():
                    await client.publish(
                        "callsteward/main/commands/dnc", body, qos=1, properties=_asking(correlation)
                    )
                    await asyncio.sleep(0.2)
    finally:
        task.cancel()
        await asyncio.wait({task})
        await broker.kill()
    for message in raw.messages:
        name = message.topic.value.removeprefix(REPLIES)
        properties: Any = message.properties
        assert getattr(properties, "CorrelationData", None) == correlations[name]
        payload = bytes(message.payload)
        if mode == "structured":
            event = JSONFormat().read(None, payload)
            assert (event.get_type(), event.get_subject()) == ("callsteward.reply/1", f"replies/{name}")
            assert properties.ContentType == "application/cloudevents+json"
            continue
        reply = json.loads(payload)
        assert (reply["id"], reply["status"]) == (name, "done")
        assert properties.ContentType == "application/json"
        attributes = dict(getattr(properties, "UserProperty", []))
        assert attributes.get("id") == (reply["message_id"] if mode == "binary" else None)
