"""An operator's retained gauge is deleted if there is no end of operators' names."""

from __future__ import annotations

import asyncio

import aiomqtt
import pytest

from callsteward import features
from callsteward.feed import gauges
from callsteward.feed.mqtt import Feed
from callsteward.record.facts import OperatorNow, OperatorState
from tests.unit.feed.conftest import AnyBroker, config_for

NOW = 1_795_314_131_000


async def test_the_gauge_that_has_rested_longest_is_deleted(
    broker: AnyBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gauges, "STRANGERS", 1)
    config = config_for(broker.port)
    feed = Feed(config, boot_id="boot-1", tells=features.tells(config))
    task = asyncio.create_task(feed.run())
    try:
        async with aiomqtt.Client("127.0.0.1", broker.port) as client, asyncio.timeout(60):
            await client.subscribe("callsteward/main/operators/+/now", qos=1)
            taken_back: list[str] = []

            async def until(topic: str) -> None:
                """Read until a message comes on the topic. Deletions may come before or after it."""
                async for message in client.messages:
                    if message.payload == b"":
                        taken_back.append(message.topic.value)
                    if message.topic.value == topic:
                        return

            for number, name in enumerate(("first", "second")):
                now = OperatorNow(operator=name, state=OperatorState.TALKING, since_ms=NOW + number)
                feed.gauges([], [now], NOW + number)
                # Each is shown before the next one comes.
                await until(f"callsteward/main/operators/{name}/now")
            feed.gauges([], [], NOW + 2)
            while not taken_back:
                await until("callsteward/main/operators/first/now")
            assert taken_back == ["callsteward/main/operators/first/now"]
    finally:
        await feed.drain(5)
        await asyncio.wait({task})
