"""Messages of 64 MB through a real Mosquitto that takes them: no memory and no connection is lost by them."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from tests.lab.broker import Mosquitto
from tests.lab.pbx_config import REPOSITORY
from tests.lab.ports import free_port
from tests.live.availability import lab_or_skip
from tests.live.daemon import Daemon, wait_for
from tests.live.integration import connected
from tests.live.settings import SHIPPED, Settings, merged

pytestmark = [pytest.mark.live, pytest.mark.takes(40)]

ACL = (REPOSITORY / "config" / "mosquitto" / "acl").read_text() + (
    "\nuser callsteward\ntopic readwrite homeassistant/#\n"
    "user integration\ntopic write homeassistant/#\n"
    "user admin\ntopic readwrite #\n"
)
USERS = {"integration": "for-commands", "admin": "for-everything"}
MONSTER = b'{"id": "m", "tag": "' + b"x" * 64_000_000 + b'"}'
# What a start and its work cost anyway differs by a few.
MOST_MIB = 20.0
COMMANDS = "callsteward/main/commands/tag"
DISCOVERY = "homeassistant/sensor/callsteward_main/line_gone_waiting/config"
WANTED = "homeassistant/binary_sensor/callsteward_main/daemon_state/config"


@pytest.fixture
def broker() -> Iterator[Mosquitto]:
    """As brokers were before Mosquitto 2.1: without a bound."""
    with (
        lab_or_skip(),
        Mosquitto(
            users=USERS, acl=ACL, options="message_size_limit 0\nmax_packet_size 200000000\n"
        ) as started,
    ):
        yield started


def _settings(folder: Path, broker: Mosquitto, version: str) -> Settings:
    return merged(
        tomllib.loads(SHIPPED.read_text()),
        {
            # No Asterisk is there: nothing here is about it.
            "asterisk": {"url": f"http://127.0.0.1:{free_port()}", "password": "none"},
            "mqtt": {
                "host": broker.host,
                "port": broker.port,
                "username": broker.user,
                "password": broker.password,
                "version": version,
                "discovery_prefix": "homeassistant",
            },
            "commands": {"mqtt": True},
            "tags": {"enabled": True},
            "store": {"url": f"sqlite:///{folder / 'calls.db'}"},
            "privacy": {"hmac_key": "a key for the lab"},
        },
    )


async def _publish(broker: Mosquitto, topic: str, payload: bytes, *, retain: bool) -> None:
    async with aiomqtt.Client(
        broker.host, broker.port, username="admin", password=USERS["admin"], identifier="hostile"
    ) as client:
        await client.publish(topic, payload, qos=1, retain=retain, timeout=60)


async def _retained(broker: Mosquitto, *topics: str) -> dict[str, int]:
    """How large the retained messages on topics are."""
    found: dict[str, int] = {}
    async with aiomqtt.Client(
        broker.host, broker.port, username="admin", password=USERS["admin"], identifier="looking"
    ) as client:
        for topic in topics:
            await client.subscribe(topic, qos=1)
        try:
            async with asyncio.timeout(2):
                async for message in client.messages:
                    assert isinstance(message.payload, bytes)
                    if message.payload:
                        found[message.topic.value] = len(message.payload)
                    else:
                        # Taken away at this very moment.
                        found.pop(message.topic.value, None)
        except TimeoutError:
            pass
    return found


async def _obeys(broker: Mosquitto, command_id: str) -> Any:
    async with connected(broker, "integration", "replies/#", base="callsteward/main/") as crm:
        await crm.send("dnc", {"id": command_id, "action": "add", "number": "+7 900 000-00-01"})
        return (await crm.until(f"replies/{command_id}"))[0]["status"]


@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_a_message_of_64_mb_costs_no_memory_and_no_connection(
    broker: Mosquitto, tmp_path: Path, version: str
) -> None:
    with Daemon(tmp_path, f"large-{version}", _settings(tmp_path, broker, version)) as daemon:
        await asyncio.to_thread(daemon.start, until="commands_open")
        assert await _obeys(broker, "before") == "done"
        before = daemon.peak_mib()
        for topic in (COMMANDS, DISCOVERY):
            await _publish(broker, topic, MONSTER, retain=False)
        assert await _obeys(broker, "after") == "done"
        cost = daemon.peak_mib() - before
        print(f"\nMQTT {version}: {cost:.1f} MiB for two messages of 64 MB")
        assert cost < MOST_MIB
        assert daemon.said("mqtt_lost") == []
        assert len(daemon.said("commands_open")) == 1
        if version == "3.1.1":
            # MQTT 5 lets the broker keep such a message to itself.
            await asyncio.to_thread(daemon.wait_for_log, "mqtt_too_large", times=2)
            told = {entry["sender"]: entry["bytes"] for entry in daemon.said("mqtt_too_large")}
            # Two bytes say how long the topic is, two more are the number of the message.
            assert told == {topic[:80]: len(MONSTER) + len(topic) + 4 for topic in (COMMANDS, DISCOVERY)}


@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_a_retained_message_of_64_mb_stops_no_start(
    broker: Mosquitto, tmp_path: Path, version: str
) -> None:
    with Daemon(tmp_path, f"retained-{version}", _settings(tmp_path, broker, version)) as daemon:
        await asyncio.to_thread(daemon.start, until="commands_open")
        assert await _obeys(broker, "clean") == "done"
        clean = daemon.peak_mib()
        assert daemon.terminate() == 0
        for topic in (COMMANDS, DISCOVERY, WANTED):
            await _publish(broker, topic, MONSTER, retain=True)
        await asyncio.to_thread(daemon.start, until="commands_open")
        assert await _obeys(broker, "again") == "done"
        await asyncio.to_thread(
            wait_for, lambda: bool(daemon.said("mqtt_connected")), 10, "a connection of the feed"
        )
        cost = daemon.peak_mib() - clean
        print(f"\nMQTT {version}: {cost:.1f} MiB more than a start without them")
        assert cost < MOST_MIB
        assert daemon.said("mqtt_lost") == []
        left = await _retained(broker, COMMANDS, DISCOVERY, WANTED)
        # What it announces itself is announced again in any case.
        assert left.pop(WANTED) < 2_000
        if version == "3.1.1":
            assert left == {}


async def test_the_shipped_broker_configuration_takes_no_large_message(tmp_path: Path) -> None:
    with lab_or_skip(), Mosquitto(users=USERS, acl=ACL) as shipped:
        async with aiomqtt.Client(
            shipped.host, shipped.port, username="admin", password=USERS["admin"], identifier="looking"
        ) as looking:
            await looking.subscribe("callsteward/main/commands/#", qos=1)
            await _publish(shipped, COMMANDS, b"x" * 1_000_001, retain=True)
            await _publish(shipped, COMMANDS, b"small", retain=False)
            async with asyncio.timeout(10):
                async for message in looking.messages:
                    assert message.payload == b"small"
                    break
        assert await _retained(shipped, COMMANDS) == {}
