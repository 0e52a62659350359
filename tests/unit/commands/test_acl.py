"""The shipped ACL on a real Mosquitto: who may read, command, publish."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from callsteward.commands.mqtt import MqttDoor
from callsteward.config import CommandsSettings, Mqtt
from callsteward.network.backoff import Backoff
from callsteward.store.records import Store
from tests.lab.ports import free_port
from tests.unit.feed.conftest import MOSQUITTO, MOSQUITTO_PASSWD, Mosquitto, listening
from tests.unit.tags.desk import FrontDesk

pytestmark = pytest.mark.skipif(
    MOSQUITTO is None or MOSQUITTO_PASSWD is None, reason="no Mosquitto: `make lab` brings one"
)
ACL = Path(__file__).parents[3] / "config" / "mosquitto" / "acl"
USERS = ("callsteward", "dashboard", "integration")
BASE = "callsteward/main/"


def user(name: str) -> dict[str, Any]:
    return {"username": name, "password": f"of {name}"}


def write_passwords(file: Path) -> None:
    assert MOSQUITTO_PASSWD is not None
    file.touch(0o600)
    for name in USERS:
        subprocess.run([*MOSQUITTO_PASSWD, "-b", file, name, f"of {name}"], check=True)


@pytest.fixture
async def port(tmp_path: Path, store: Store) -> AsyncIterator[int]:
    """A broker with the shipped ACL, and a daemon's door at it."""
    passwords, acl = tmp_path / "passwords", tmp_path / "acl"
    write_passwords(passwords)
    acl.write_text(ACL.read_text(encoding="utf-8"))
    acl.chmod(0o600)
    port = free_port()
    settings = f"allow_anonymous false\npassword_file {passwords}\nacl_file {acl}"
    broker = Mosquitto(port, tmp_path, settings)
    await broker.start()
    desk = FrontDesk(store)
    mqtt: dict[str, Any] = {"port": port, **user("callsteward")}
    desk.config = desk.config.model_copy(
        update={"mqtt": Mqtt.model_validate(mqtt), "commands": CommandsSettings(mqtt=True)}
    )
    door = MqttDoor(desk.config, desk.commands, boot_id="boot-1", backoff=Backoff(0.05, 0.2))
    task = asyncio.create_task(door.run())
    yield port
    task.cancel()
    await asyncio.wait({task})
    await broker.kill()


async def publish(port: int, name: str, topic: str, body: object) -> None:
    async with aiomqtt.Client("127.0.0.1", port, **user(name)) as client:
        await client.publish(BASE + topic, json.dumps(body), qos=1)


async def answered(port: int, command_id: str) -> list[str]:
    """An integration commands until it gets its reply. Returns the topics that it got."""
    async with listening(port, "#", **user("integration")) as heard:
        for _ in range(40):
            body = {"id": command_id, "action": "cancel", "call_id": "9.9"}
            await publish(port, "integration", "commands/callback", body)
            await asyncio.sleep(0.2)
            if heard.on(f"replies/{command_id}"):
                return [topic for topic, _, _ in heard.messages]
    pytest.fail("no reply")


async def test_an_integration_commands_and_reads_its_reply(port: int):
    assert set(await answered(port, "acl-1")) == {f"{BASE}replies/acl-1"}


async def test_a_dashboard_reads_what_is_measured_and_cannot_command(port: int, store: Store):
    await answered(port, "acl-1")  # the door is open
    async with listening(port, "#", **user("dashboard")) as heard:
        for topic in ("status", "lines/a/now", "calls/a/ended", "alerts/a/b", "callbacks/a"):
            await publish(port, "callsteward", topic, {"measured": topic})
        await publish(
            port, "dashboard", "commands/dnc", {"id": "d-1", "action": "add", "number": "+79000000099"}
        )
        await publish(port, "dashboard", "calls/a/ended", {"forged": True})
        await answered(port, "acl-2")
        await heard.until(lambda: len(heard.messages) >= 5)
        told = [topic.removeprefix(BASE) for topic, _, _ in heard.messages]
    # It gets neither commands, which may hold a number, nor replies.
    assert told == ["status", "lines/a/now", "calls/a/ended", "alerts/a/b", "callbacks/a"]
    desk = FrontDesk(store)
    assert await desk.numbers() == []
    assert await desk.done.find("d-1") is None
    assert await desk.done.find("acl-2") is not None


async def test_an_integration_publishes_nothing_that_the_daemon_publishes(port: int):
    async with listening(port, "#", **user("callsteward")) as heard:
        for topic in ("calls/a/ended", "status", "callbacks/a", "lines/a/now", "replies/x", "commands/a/b"):
            await publish(port, "integration", topic, {"forged": topic})
        await answered(port, "acl-3")
        assert [topic for topic, body, _ in heard.messages if "forged" in body] == []
        assert heard.on("commands/callback")
