from __future__ import annotations

import asyncio
import getpass
import shutil
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import msgspec
import pytest
from amqtt.broker import Broker as Amqtt

from callsteward.callback.states import CallbackMoved, CallbackRow, CallbackState
from callsteward.config import Config
from callsteward.outgoing.words import Actor
from callsteward.rating.states import Complaint, ComplaintRaised, Mode, RatingMoved, RatingRow, RatingState
from callsteward.record.call import CallRecord
from tests.lab.ports import free_port
from tests.lab.roots import is_built, root_folder
from tests.lab.wire import Wire
from tests.unit.store.samples import RECORD


def _installed(program: str) -> list[str] | None:
    """A program of this machine, else the lab's: run by its own loader it needs no chroot and no root."""
    found = shutil.which(Path(program).name) or shutil.which(f"/usr/{program}")
    if found is not None:
        return [found]
    root = root_folder("22")
    loaders = sorted(root.glob("usr/lib/*/ld-linux*.so.*")) if is_built("22") else []
    if not loaders:
        return None
    return [str(loaders[0]), "--library-path", str(loaders[0].parent), str(root / "usr" / program)]


MOSQUITTO = _installed("sbin/mosquitto")
MOSQUITTO_PASSWD = _installed("bin/mosquitto_passwd")


@pytest.fixture
def record() -> Callable[..., CallRecord]:
    """A completed call with what is given changed."""

    def build(**changes: Any) -> CallRecord:
        return msgspec.structs.replace(RECORD, **changes)

    return build


class InProcess:
    """amqtt: MQTT 3.1.1 only, always there."""

    speaks = ("3.1.1",)

    def __init__(self, port: int) -> None:
        self.port = port
        self._broker: Amqtt | None = None

    async def start(self) -> None:
        plugin = "amqtt.plugins.authentication.AnonymousAuthPlugin"
        self._broker = Amqtt(
            {
                "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{self.port}"}},
                "plugins": {plugin: {"allow_anonymous": True}},
            }
        )
        await self._broker.start()

    async def kill(self) -> None:
        if self._broker is not None:
            await self._broker.shutdown()
            self._broker = None


class Mosquitto:
    """The real one. It forgets everything when it is killed, retained messages too."""

    speaks = ("3.1.1", "5")

    def __init__(self, port: int, folder: Path, settings: str = "allow_anonymous true") -> None:
        self.port = port
        self._config = folder / "mosquitto.conf"
        self._config.write_text(f"listener {port} 127.0.0.1\nuser {getpass.getuser()}\n{settings}\n")
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        assert MOSQUITTO is not None
        self._process = await asyncio.create_subprocess_exec(
            *MOSQUITTO, "-c", self._config, stdout=sys.stderr, stderr=sys.stderr
        )
        async with asyncio.timeout(60):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    await asyncio.sleep(0.02)
                    continue
                writer.close()
                await writer.wait_closed()
                return

    async def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            await self._process.wait()
            self._process = None


AnyBroker = InProcess | Mosquitto


@pytest.fixture(params=["amqtt", "mosquitto"])
async def broker(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AnyBroker]:
    """A broker that runs; each test with one is run with both."""
    if request.param == "mosquitto" and MOSQUITTO is None:
        pytest.skip("no Mosquitto: `make lab` brings one")
    port = free_port()
    started: AnyBroker = InProcess(port) if request.param == "amqtt" else Mosquitto(port, tmp_path)
    await started.start()
    yield started
    await started.kill()


TOLD = 10
TOLD_CHARACTERS = 500


class Heard:
    """The messages that a subscriber got, in order."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, dict[str, Any], bool]] = []
        self._news = asyncio.Event()

    def add(self, message: aiomqtt.Message) -> None:
        assert isinstance(message.payload, bytes)
        self.messages.append((str(message.topic), msgspec.json.decode(message.payload), bool(message.retain)))
        self._news.set()

    def on(self, ending: str) -> list[dict[str, Any]]:
        """The payloads on topics that end so."""
        return [payload for topic, payload, _ in self.messages if topic.endswith(ending)]

    async def until(self, met: Callable[[], object], timeout_s: float = 60) -> None:
        """Wait until something was heard."""
        try:
            async with asyncio.timeout(timeout_s):
                while not met():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            pytest.fail(f"not heard within {timeout_s} s; heard:\n{self._told()}")

    def _told(self) -> str:
        """How many on each topic, and the last ones: a thousand messages would push all else out of a log."""
        topics = Counter(topic for topic, _, _ in self.messages)
        last = [f"{topic} {payload}"[:TOLD_CHARACTERS] for topic, payload, _ in self.messages[-TOLD:]]
        return "\n".join([*(f"{count} on {topic}" for topic, count in topics.items()), "the last:", *last])


@asynccontextmanager
async def listening(port: int, topic: str = "callsteward/#", **options: Any) -> AsyncIterator[Heard]:
    """A subscriber such as a dashboard is."""
    heard = Heard()

    async def listen(client: aiomqtt.Client) -> None:
        async for message in client.messages:
            heard.add(message)

    async with aiomqtt.Client("127.0.0.1", port, **options) as client:
        await client.subscribe(topic, qos=1)
        task = asyncio.create_task(listen(client))
        try:
            yield heard
        finally:
            task.cancel()
            await asyncio.wait({task})


@asynccontextmanager
async def back(broker: AnyBroker, wire: Wire) -> AsyncIterator[Heard]:
    """The broker is back, and its subscriber is there before the daemon, which comes over the wire."""
    await broker.start()
    try:
        async with listening(broker.port) as heard:
            with wire:
                yield heard
    finally:
        await broker.kill()


def config_for(port: int, **mqtt: Any) -> Config:
    return Config.model_validate(
        {
            "lines": [{"name": "support"}, {"name": "sales"}],
            "operators": {"101": {"name": "Anna"}},
            "mqtt": {"port": port, "version": "3.1.1", **mqtt},
        }
    )


MOVED = CallbackMoved(
    CallbackRow(
        id="1795314131.35",
        site="main",
        origin_call_id="1795314131.35",
        line="support",
        number="+79031234567",
        client_masked="+7903***4567",
        client_ref="5f0c",
        operator="101",
        state=CallbackState.OFFERED,
        reason="",
        dropped_at_ms=1_795_314_131_654,
        created_at_ms=1_795_314_131_654,
        changed_at_ms=1_795_314_131_654,
        attempts=1,
        asked="102",
        channel_id="callsteward-cb-1795314131.35-1-support",
    ),
    Actor.DAEMON,
)

RATED = RatingMoved(
    RatingRow(
        id="1795314131.35",
        site="main",
        call_id="1795314131.35",
        mode=Mode.CALL,
        line="support",
        operator="101",
        number="+79031234567",
        client_masked="+7903***4567",
        client_ref="5f0c",
        state=RatingState.ANSWERED,
        reason="",
        score=2,
        question=1,
        comment_file="callsteward-rating-1795314131.35",
        comment_ms=4200,
        created_at_ms=1_795_314_131_654,
        due_at_ms=1_795_314_131_654,
        asked_at_ms=1_795_314_131_654,
        answered_at_ms=1_795_314_134_154,
        changed_at_ms=1_795_314_134_154,
        attempts=1,
        channel_id="callsteward-rt-1795314131.35-1-support",
    )
)
COMPLAINED = ComplaintRaised(
    Complaint(
        id=7,
        site="main",
        call_id="1795314131.35",
        line="support",
        operator="101",
        client_masked="+7903***4567",
        client_ref="5f0c",
        reason="low_rating",
        score=2,
        raised_at_ms=1_795_314_134_154,
    )
)
