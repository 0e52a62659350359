"""`callsteward demo`: the real daemon between an ARI server and a broker that live in this process."""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiomqtt
import msgspec
from amqtt.broker import Broker
from amqtt.contexts import BrokerConfig, ListenerConfig
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from callsteward.config import Config, Log
from callsteward.daemon import logs
from callsteward.daemon.app import Daemon
from callsteward.demo.ari_server import FakeAri
from callsteward.demo.screen import Screen
from callsteward.demo.timeline import CAPTURES, frames
from callsteward.exceptions import CallstewardError
from callsteward.feed import cloudevents
from callsteward.feed.topics import Topics
from callsteward.network.waiting import cancelled
from callsteward.record.call import CallRecord
from callsteward.terminal import tables

_SITE = "demo"
_HOST = "127.0.0.1"
_PASSWORD = secrets.token_hex(8)
_START_S = 10.0
_SETTLE_S = 0.2
# The time after the last event for messages still on their way.
_END_S = 10.0

_records = msgspec.json.Decoder(CallRecord)


class DemoConfig(Config):
    """The configuration without the environment, which may name a real broker."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic-settings' signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


async def run(*, speed: float, as_table: bool) -> None:
    """Play the captures to the end and show the messages that arrive over MQTT.

    Raises CallstewardError if fewer records arrive than calls were played.
    """
    logs.set_up(Log(level="error"))
    # The broker in this process logs each client that leaves.
    logging.getLogger("amqtt").setLevel(logging.CRITICAL)
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="callsteward-demo-") as folder:
        async with _broker(port), FakeAri(password=_PASSWORD) as ari:
            config = _config(ari.url, port, Path(folder))
            topics = Topics(config.mqtt.root, _SITE)
            title = f"call records arriving on {topics.below('calls/+/ended')}"
            async with aiomqtt.Client(_HOST, port, protocol=aiomqtt.ProtocolVersion.V311) as client:
                await client.subscribe(topics.everything, qos=1)
                with Screen(title, config.site.zone, jsonl=not as_table) as screen:
                    kinds = await _play(config, ari, client, screen, speed)
                screen.say(f"calls: {len(screen.records)} ({tables.outcomes(screen.records)})")
                screen.say("MQTT messages: " + ", ".join(f"{kind} {count}" for kind, count in kinds.items()))
    if len(screen.records) < len(CAPTURES):
        message = f"only {len(screen.records)} of {len(CAPTURES)} records arrived: please report it"
        raise CallstewardError(message)


async def _play(
    config: Config, ari: FakeAri, client: aiomqtt.Client, screen: Screen, speed: float
) -> Counter[str]:
    """Run the daemon while the calls last; returns how many messages of each kind came."""
    kinds: Counter[str] = Counter()
    all_there = asyncio.Event()

    async def watch() -> None:
        async for message in client.messages:
            kind = _kind(str(message.topic))
            kinds[kind] += 1
            if kind == "records":
                screen.add(_records.decode(cloudevents.message(bytes(message.payload))))
                if len(screen.records) == len(CAPTURES):
                    all_there.set()
            screen.status(", ".join(f"{name} {count}" for name, count in kinds.items()))

    stop = asyncio.Event()
    daemon = asyncio.create_task(Daemon(config).run(stop), name="daemon")
    watching = asyncio.create_task(watch(), name="watch")

    listed = asyncio.Event()
    ari.on_list = lambda kind: listed.set() if kind == "bridges" else None

    async def calls() -> None:
        async with asyncio.timeout(_START_S):
            await listed.wait()
        # Calls that begin after the daemon read the lists are observed completely.
        await asyncio.sleep(_SETTLE_S)
        await ari.play(frames(), speed=speed)
        async with asyncio.timeout(_END_S):
            await all_there.wait()

    playing = asyncio.create_task(calls(), name="calls")
    try:
        await asyncio.wait({daemon, watching, playing}, return_when=asyncio.FIRST_COMPLETED)
        for task in (daemon, watching, playing):
            if task.done():
                task.result()
    except TimeoutError:
        pass  # the caller counts the records and names the missing ones
    finally:
        await cancelled(playing)
        stop.set()
        await asyncio.wait({daemon})
        await cancelled(watching)
    return kinds


def _kind(topic: str) -> str:
    """The kind of a topic's messages: the last level, by which records and call events differ."""
    if "/intervals/" in topic:
        return "intervals"
    return {"ended": "records", "events": "call events", "now": "gauges", "status": "status"}.get(
        topic.rpartition("/")[2], "alerts"
    )


def _config(ari_url: str, mqtt_port: int, folder: Path) -> Config:
    return DemoConfig.model_validate(
        {
            "site": {"name": _SITE},
            "asterisk": {"url": ari_url, "password": _PASSWORD},
            "endpoints": {"operators": ["PJSIP/1[0-9][0-9]"], "trunks": ["PJSIP/trunk*"]},
            "lines": [
                {"name": "hotline", "dids": ["100"]},
                {"name": "support", "queues": ["support", "freepbx"], "dids": ["200", "220"]},
            ],
            "mqtt": {"host": _HOST, "port": mqtt_port, "version": "3.1.1"},
            "store": {"url": f"sqlite:///{folder}/demo.db"},
            "privacy": {"hmac_key": "demo"},
        }
    )


@asynccontextmanager
async def _broker(port: int) -> AsyncIterator[None]:
    listener = ListenerConfig(bind=f"{_HOST}:{port}")
    plugins = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
    broker = Broker(BrokerConfig(listeners={"default": listener}, plugins=plugins))
    await broker.start()
    try:
        yield
    finally:
        await broker.shutdown()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])
