"""Intervals at the broker: retained, and gone when they have expired, under both versions of MQTT."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import msgspec
import pytest

from callsteward import features
from callsteward.feed.mqtt import Feed
from callsteward.intervals.row import IntervalExpired
from tests.lab.ports import free_port
from tests.unit.feed.conftest import MOSQUITTO, AnyBroker, Mosquitto, config_for
from tests.unit.intervals.days import interval_rows

LINE = "callsteward/main/lines/support/intervals/20261122T0800Z"
OPERATOR = "callsteward/main/operators/101/intervals/20261122T0800Z"


@asynccontextmanager
async def _running(port: int, **mqtt: Any) -> AsyncIterator[Feed]:
    config = config_for(port, **mqtt)
    feed = Feed(config, boot_id="boot-1", tells=features.tells(config))
    task = asyncio.create_task(feed.run())
    try:
        yield feed
    finally:
        await feed.drain(5)
        await asyncio.wait({task})


async def _kept(port: int, **options: Any) -> dict[str, aiomqtt.Message]:
    """The intervals that a dashboard finds when it subscribes."""
    found: dict[str, aiomqtt.Message] = {}
    async with aiomqtt.Client("127.0.0.1", port, **options) as client:
        # The broker sends what it keeps at once, and the status of the site last of all.
        await client.subscribe("callsteward/main/+/+/intervals/+", qos=1)
        await client.subscribe("callsteward/main/status", qos=1)
        async with asyncio.timeout(60):
            async for message in client.messages:
                if message.topic.value.endswith("/status"):
                    return found
                assert message.retain
                found[message.topic.value] = message
    return found


async def _sent(feed: Feed) -> None:
    async with asyncio.timeout(60):
        while not feed.connected or feed.queue_depth:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_an_interval_is_kept_and_its_newest_revision_is_the_one(broker: AnyBroker) -> None:
    line, operator = interval_rows()
    async with _running(broker.port) as feed:
        feed.publish(line)
        feed.publish(operator)
        feed.publish(msgspec.structs.replace(line, revision=2, final=True))
        await _sent(feed)
        kept = await _kept(broker.port)
    assert set(kept) == {LINE, OPERATOR}
    payload = kept[LINE].payload
    assert isinstance(payload, bytes)
    wire = msgspec.json.decode(payload)
    assert (wire["start"], wire["end"], wire["minutes"]) == (
        "2026-11-22T08:00:00Z",
        "2026-11-22T08:30:00Z",
        30,
    )
    assert (wire["revision"], wire["final"], wire["offered"]) == (2, True, 1)
    assert (wire["observed_s"], wire["talk_s_sum"], wire["answered_le_10"]) == (1700.0, 40.0, 1)
    assert wire["service_level_answered_abandoned_10"] == 1.0


async def test_mqtt_3_1_1_has_no_expiry_so_the_daemon_clears_the_topic(broker: AnyBroker) -> None:
    line, operator = interval_rows()
    async with _running(broker.port) as feed:
        feed.publish(line)
        feed.publish(operator)
        feed.publish(IntervalExpired(line.kind, line.name, line.start_ms))
        await _sent(feed)
        assert set(await _kept(broker.port)) == {OPERATOR}


@pytest.mark.skipif(MOSQUITTO is None, reason="no Mosquitto: `make lab` brings one")
async def test_mqtt_5_lets_the_broker_forget(tmp_path: Path) -> None:
    started = Mosquitto(free_port(), tmp_path)
    await started.start()
    try:
        async with _running(started.port, version="5") as feed:
            feed.publish(interval_rows()[0])
            # The broker does it: nothing is sent.
            before = feed.queue_depth
            feed.publish(IntervalExpired(interval_rows()[0].kind, "support", interval_rows()[0].start_ms))
            assert feed.queue_depth == before
            await _sent(feed)
            kept = await _kept(started.port, protocol=aiomqtt.ProtocolVersion.V5)
        left_s = kept[LINE].properties.MessageExpiryInterval  # type: ignore[union-attr]
        assert 48 * 3600 - 10 <= left_s <= 48 * 3600
    finally:
        await started.kill()
