"""An integration, such as a CRM: sends commands over MQTT 5 and hears the replies."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.lab.broker import Mosquitto


@dataclass
class Client:
    """A connection with everything it has received."""

    mqtt: aiomqtt.Client
    base: str
    received: list[tuple[str, Any, Any]] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def collect(self) -> None:
        async for message in self.mqtt.messages:
            assert isinstance(message.payload, bytes)
            topic = message.topic.value.removeprefix(self.base)
            self.received.append((topic, json.loads(message.payload), message.properties))
            self._news.set()

    async def send(self, name: str, body: object, *, respond_on: str = "", correlation: bytes = b"") -> None:
        properties = None
        if respond_on:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.ResponseTopic = respond_on
            properties.CorrelationData = correlation
        payload = body if isinstance(body, bytes | str) else json.dumps(body)
        await self.mqtt.publish(f"{self.base}commands/{name}", payload, qos=1, properties=properties)

    async def until(self, topic: str, count: int = 1, limit_s: float = 15) -> list[Any]:
        """The bodies on a topic, as soon as there are this many."""

        def found() -> list[Any]:
            return [body for at, body, _ in self.received if at == topic]

        try:
            async with asyncio.timeout(limit_s):
                while len(found()) < count:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError as error:
            message = f"{count} on {topic} did not come; came: {self.received}"
            raise AssertionError(message) from error
        return found()


@asynccontextmanager
async def connected(
    broker: Mosquitto, user: str, *topics: str, base: str = "callsteward/lab/"
) -> AsyncIterator[Client]:
    """A client of a user's, subscribed to topics below `base`."""
    async with aiomqtt.Client(
        broker.host,
        broker.port,
        username=user,
        password=broker.users[user],
        identifier=f"{user}-{id(topics)}",
        protocol=aiomqtt.ProtocolVersion.V5,
    ) as mqtt:
        client = Client(mqtt, base)
        task = asyncio.create_task(client.collect())
        try:
            for topic in topics:
                await mqtt.subscribe(base + topic, qos=1)
            yield client
        finally:
            task.cancel()
            await asyncio.wait({task})
