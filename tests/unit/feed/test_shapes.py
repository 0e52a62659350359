"""The feed as CloudEvents and with Home Assistant's announcements, against brokers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import jsonschema
import pytest
from cloudevents.core.formats.json import JSONFormat
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from callsteward import features
from callsteward.check import services
from callsteward.config import Config
from callsteward.exceptions import FeedError
from callsteward.feed import cloudevents, contract
from callsteward.feed.announcer import Announcer, take_away
from callsteward.feed.mqtt import Feed
from callsteward.feed.topics import Topics
from callsteward.network.backoff import Backoff
from callsteward.record.call import CallRecord
from callsteward.record.facts import CallEnded, CallHappened, Happening
from callsteward.terminal.result import Status
from tests.lab.ports import free_port
from tests.live.daemon import callsteward
from tests.unit.feed.conftest import COMPLAINED, MOSQUITTO, MOVED, RATED, AnyBroker, Mosquitto, config_for
from tests.unit.intervals.days import interval_rows

Build = Callable[..., CallRecord]
OWN = "homeassistant/+/callsteward_main/+/config"
# Two lines with 11 entities each, an operator with 4, the daemon with 4.
ENTITIES = 2 * 11 + 4 + 4


class Raw:
    """The messages as they came."""

    def __init__(self) -> None:
        self.messages: list[aiomqtt.Message] = []
        self._news = asyncio.Event()

    def add(self, message: aiomqtt.Message) -> None:
        self.messages.append(message)
        self._news.set()

    def last(self) -> dict[str, bytes]:
        """The last payload on each topic."""
        return {message.topic.value: bytes(message.payload) for message in self.messages}

    async def until(self, met: Callable[[], object], timeout_s: float = 60) -> None:
        async with asyncio.timeout(timeout_s):
            while not met():
                self._news.clear()
                await self._news.wait()


@asynccontextmanager
async def hearing(port: int, topic: str, version: str = "3.1.1") -> AsyncIterator[Raw]:
    protocol = aiomqtt.ProtocolVersion.V5 if version == "5" else aiomqtt.ProtocolVersion.V311
    raw = Raw()

    async def listen(client: aiomqtt.Client) -> None:
        async for message in client.messages:
            raw.add(message)

    async with aiomqtt.Client("127.0.0.1", port, protocol=protocol) as client:
        await client.subscribe(topic, qos=1)
        task = asyncio.create_task(listen(client))
        try:
            yield raw
        finally:
            task.cancel()
            await asyncio.wait({task})


async def kept(port: int, topic: str, seconds: float = 0.5) -> dict[str, bytes]:
    """The messages that the broker has retained."""
    async with hearing(port, topic) as raw:
        await asyncio.sleep(seconds)
    return {message.topic.value: bytes(message.payload) for message in raw.messages if message.retain}


@asynccontextmanager
async def running(config: Config) -> AsyncIterator[Feed]:
    feed = Feed(config, boot_id="boot-1", tells=features.tells(config), backoff=Backoff(0.05, 0.2))
    task = asyncio.create_task(feed.run())
    try:
        yield feed
    finally:
        task.cancel()
        await asyncio.wait({task})


def say_everything(feed: Feed, record: Build) -> None:
    feed.link(True, "Asterisk 22.7.0")
    feed.publish(CallHappened(call_id="1", line="support", event=Happening.RINGING, at_ms=1))
    feed.publish(CallEnded(record()))
    feed.publish(MOVED)
    feed.publish(RATED)
    feed.publish(COMPLAINED)
    feed.warn("outbox_filling", "3 messages wait", value=8.0, limit=10.0)
    for row in interval_rows():
        feed.publish(row)


@pytest.fixture
async def mosquitto(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    if MOSQUITTO is None:
        pytest.skip("no Mosquitto: `make lab` brings one")
    started = Mosquitto(free_port(), tmp_path)
    await started.start()
    yield started
    await started.kill()


# --- CloudEvents ------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["3.1.1", "5"])
async def test_structured_every_message_is_an_event_that_the_sdk_reads(
    mosquitto: Mosquitto, record: Build, version: str
) -> None:
    config = config_for(mosquitto.port, version=version, cloudevents="structured")
    async with hearing(mosquitto.port, "callsteward/#", version) as raw, running(config) as feed:
        say_everything(feed, record)
        await raw.until(lambda: any("/alerts/support/complaint" in topic for topic in raw.last()))
        await raw.until(lambda: any(topic.endswith("intervals/20261122T0800Z") for topic in raw.last()))
        assert await feed.drain(60) == 0
        await raw.until(lambda: b'"offline"' in raw.last()["callsteward/main/status"])
    schemas = contract.json_schemas(features.topics(), "structured")
    kinds = set()
    for message in raw.messages:
        topic, payload = message.topic.value, bytes(message.payload)
        event = JSONFormat().read(None, payload)
        kinds.add(event.get_type())
        assert event.get_subject() == topic.removeprefix("callsteward/main/")
        assert event.get_source() == "/callsteward/main"
        data = event.get_data()
        assert isinstance(data, dict)
        assert (data["message_id"], data["schema"]) == (event.get_id(), event.get_type())
        jsonschema.Draft202012Validator(schemas[event.get_type()]).validate(json.loads(payload))
        content_type = getattr(message.properties, "ContentType", None)
        assert content_type == ("application/cloudevents+json" if version == "5" else None)
    assert kinds == set(schemas) - {name for name in schemas if "command" in name or "reply" in name} - {
        "callsteward.alert/1"
    }


async def test_binary_every_message_is_as_it_was_and_carries_its_attributes(
    mosquitto: Mosquitto, record: Build
) -> None:
    config = config_for(mosquitto.port, version="5", cloudevents="binary")
    schemas = contract.json_schemas(features.topics())
    async with hearing(mosquitto.port, "callsteward/#", "5") as raw, running(config) as feed:
        say_everything(feed, record)
        await raw.until(lambda: any("/alerts/support/complaint" in topic for topic in raw.last()))
        assert await feed.drain(60) == 0
    for message in raw.messages:
        body = json.loads(bytes(message.payload))
        jsonschema.Draft202012Validator(schemas[body["schema"]]).validate(body)
        properties: Any = message.properties
        assert properties.ContentType == "application/json"
        assert dict(properties.UserProperty) == {
            "specversion": "1.0",
            "id": body["message_id"],
            "source": "/callsteward/main",
            "type": body["schema"],
            "subject": message.topic.value.removeprefix("callsteward/main/"),
            "time": body["ts"],
        }


@pytest.mark.parametrize("version", ["3.1.1", "5"])
async def test_the_will_is_an_event_too(mosquitto: Mosquitto, version: str) -> None:
    config = config_for(mosquitto.port, version=version, cloudevents="structured")
    feed = Feed(config, boot_id="boot-1", tells=features.tells(config))
    async with hearing(mosquitto.port, "callsteward/main/status", version) as raw:
        task = asyncio.create_task(feed.run())
        await raw.until(lambda: feed.connected)
        # Somebody of the same name makes the broker end the daemon's connection: it publishes the will.
        feed._backoff = Backoff(60, 60)
        async with aiomqtt.Client("127.0.0.1", mosquitto.port, identifier="callsteward-main"):
            await raw.until(lambda: b"connection_lost" in raw.last().get("callsteward/main/status", b""))
        task.cancel()
        await asyncio.wait({task})
    [will] = [message for message in raw.messages if b"connection_lost" in bytes(message.payload)]
    event = JSONFormat().read(None, bytes(will.payload))
    assert (event.get_type(), event.get_subject()) == ("callsteward.status/1", "status")
    if version == "5":
        assert getattr(will.properties, "ContentType", None) == "application/cloudevents+json"


async def test_a_subscriber_of_ours_reads_either_shape(broker: AnyBroker, record: Build) -> None:
    found = []
    for mode in ("off", "structured"):
        config = config_for(broker.port, cloudevents=mode)
        async with hearing(broker.port, "callsteward/main/calls/+/ended") as raw, running(config) as feed:
            feed.publish(CallEnded(record()))
            await raw.until(raw.last)
            found.append(json.loads(cloudevents.message(bytes(raw.messages[0].payload))))
    plain, event = found
    assert {**plain, "ts": ""} == {**event, "ts": ""}


# --- Home Assistant ---------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["3.1.1", "5"])
@pytest.mark.parametrize("mode", ["off", "structured"])
async def test_entities_are_announced_retained_and_again_to_a_broker_that_forgot(
    mosquitto: Mosquitto, version: str, mode: str
) -> None:
    config = config_for(mosquitto.port, version=version, discovery_prefix="homeassistant", cloudevents=mode)
    where = "value_json.data.waiting" if mode == "structured" else "value_json.waiting"
    async with running(config):
        async with hearing(mosquitto.port, OWN, version) as raw:
            await raw.until(lambda: len(raw.last()) == ENTITIES)
        waiting = json.loads(raw.last()["homeassistant/sensor/callsteward_main/line_support_waiting/config"])
        assert waiting["value_template"] == f"{{{{ {where} }}}}"
        await mosquitto.kill()
        await mosquitto.start()
        async with hearing(mosquitto.port, OWN) as raw:
            await raw.until(lambda: len(raw.last()) == ENTITIES)
    assert set(await kept(mosquitto.port, OWN)) == set(raw.last())


async def test_nothing_is_announced_by_default(broker: AnyBroker, record: Build) -> None:
    async with hearing(broker.port, "#") as raw, running(config_for(broker.port)) as feed:
        feed.publish(CallEnded(record()))
        await raw.until(lambda: any(topic.endswith("/ended") for topic in raw.last()))
        assert await feed.drain(60) == 0
    assert {topic.partition("/")[0] for topic in raw.last()} == {"callsteward"}


async def test_a_line_that_is_gone_is_taken_away_by_a_reload_and_by_the_next_start(
    mosquitto: Mosquitto,
) -> None:
    def only(*lines: str) -> Config:
        config = config_for(mosquitto.port, discovery_prefix="homeassistant")
        return config.model_copy(update={"lines": tuple(line for line in config.lines if line.name in lines)})

    others = "homeassistant/sensor/callsteward_other/line_sales_waiting/config"
    async with aiomqtt.Client("127.0.0.1", mosquitto.port) as client:
        await client.publish(others, b"{}", qos=1, retain=True)
    both = config_for(mosquitto.port, discovery_prefix="homeassistant")
    async with running(both) as feed, hearing(mosquitto.port, OWN) as raw:
        await raw.until(lambda: len([1 for payload in raw.last().values() if payload]) == ENTITIES)
        feed.reconfigure(only("support"))
        await raw.until(lambda: len([1 for payload in raw.last().values() if not payload]) == 11)
        assert all("line_sales" in topic for topic, payload in raw.last().items() if not payload)
        feed.reconfigure(both)
        await raw.until(lambda: len([1 for payload in raw.last().values() if payload]) == ENTITIES)
    # Another daemon starts, whose configuration has the line no more.
    async with running(only("sales")), hearing(mosquitto.port, OWN) as raw:
        await raw.until(lambda: len([1 for payload in raw.last().values() if not payload]) == 11)
    left = await kept(mosquitto.port, "homeassistant/#")
    assert len(left) == ENTITIES - 11 + 1
    assert others in left
    assert not any("line_support" in topic for topic in left)


async def test_undiscover_takes_away_a_site_s_announcements_and_nobody_else_s(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    others = "homeassistant/sensor/callsteward_other/line_sales_waiting/config"
    config = config_for(mosquitto.port, discovery_prefix="homeassistant")
    async with aiomqtt.Client("127.0.0.1", mosquitto.port) as client:
        await client.publish(others, b"{}", qos=1, retain=True)
    async with running(config), hearing(mosquitto.port, OWN) as raw:
        await raw.until(lambda: len(raw.last()) == ENTITIES)
    file = tmp_path / "c.toml"
    text = f"[mqtt]\nport = {mosquitto.port}\n"
    file.write_text(text + 'discovery_prefix = "homeassistant"\n')
    refused = await asyncio.to_thread(callsteward, "feed", "undiscover", "-c", file)
    assert refused.returncode == 1
    assert b"the daemon would announce all again" in refused.stderr
    assert len(await kept(mosquitto.port, OWN)) == ENTITIES
    file.write_text(text)
    done = await asyncio.to_thread(callsteward, "feed", "undiscover", "-c", file)
    assert done.stderr.decode().strip() == f"{ENTITIES} announcements of main removed from homeassistant/"
    assert set(await kept(mosquitto.port, "homeassistant/#")) == {others}
    assert await take_away(config_for(mosquitto.port, version="5"), "homeassistant") == 0


@pytest.mark.parametrize("version", ["3.1.1", "5"])
async def test_check_proves_that_announcements_arrive_and_leaves_none(
    mosquitto: Mosquitto, version: str
) -> None:
    config = config_for(mosquitto.port, version=version, discovery_prefix="homeassistant")
    assert (await services.broker(config)).status is Status.OK
    assert await kept(mosquitto.port, "#") == {}


async def test_undiscover_without_a_broker_says_so() -> None:
    with pytest.raises(FeedError, match=r"the broker at 127\.0\.0\.1"):
        await take_away(config_for(free_port()), "homeassistant")


async def test_a_broker_that_does_not_allow_it_stops_nothing_and_is_told(
    tmp_path: Path, record: Build, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if MOSQUITTO is None:
        pytest.skip("no Mosquitto: `make lab` brings one")
    rules = tmp_path / "acl"
    rules.write_text("topic readwrite callsteward/#\n")
    rules.chmod(0o600)
    broker = Mosquitto(free_port(), tmp_path, f"allow_anonymous true\nacl_file {rules}")
    await broker.start()
    try:
        config = config_for(broker.port, version="5", discovery_prefix="homeassistant")
        async with hearing(broker.port, "callsteward/#", "5") as raw, running(config) as feed:
            feed.publish(CallEnded(record()))
            await raw.until(lambda: any(topic.endswith("/ended") for topic in raw.last()))
            await asyncio.sleep(0.3)
            assert feed.connected
            assert await feed.drain(60) == 0
        monkeypatch.setattr(services, "_WAIT_S", 0.5)
        row = await services.broker(config)
        assert (row.status, "homeassistant/ does not come back" in row.found) == (Status.FAILED, True)
        assert "homeassistant/+/callsteward_main/+/config" in (row.mend or "")
        plain = config_for(broker.port, version="5")
        assert (await services.broker(plain)).status is Status.OK
        # Mosquitto grants the subscription and refuses each announcement.
        said = capfd.readouterr().out
        assert "mqtt_refused" in said
        assert "topic=homeassistant/" in said
    finally:
        await broker.kill()


@pytest.mark.parametrize("answer", [(128,), [ReasonCode(PacketTypes.SUBACK, "Not authorized")]])
async def test_a_broker_that_refuses_the_subscription_is_told_all_the_same(
    answer: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    class Refusing:
        async def listen(self, topic: str) -> Any:
            assert topic == OWN
            return answer

    config = config_for(1, discovery_prefix="homeassistant")
    announcer = Announcer(config, Topics("callsteward", "main"))
    sent: dict[str, bytes] = {}

    async def send(topic: str, payload: bytes) -> None:
        sent[topic] = payload

    task = asyncio.create_task(announcer.run(Refusing(), send))  # type: ignore[arg-type]
    async with asyncio.timeout(60):
        while len(sent) < ENTITIES:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait({task})
    assert "discovery_unread" in capfd.readouterr().out


def test_a_message_too_large_on_a_topic_of_ours_is_taken_away_or_announced_anew() -> None:
    config = config_for(1, discovery_prefix="homeassistant")
    announcer = Announcer(config, Topics("callsteward", "main"))
    wanted = next(iter(announcer._wanted))
    announcer._sent = dict(announcer._wanted)
    announcer.too_large(wanted, True)
    assert wanted not in announcer._sent
    gone = "homeassistant/sensor/callsteward_main/line_gone_waiting/config"
    announcer.too_large(gone, False)
    assert announcer._stale == set()
    announcer.too_large(gone, True)
    assert announcer._stale == {gone}
    for number in range(2_000):
        announcer.too_large(f"{gone}{number}", True)
    assert len(announcer._stale) == 1_000
