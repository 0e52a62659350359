"""A subscriber in a process of its own, with a session that outlives its connections, as a WFM keeps one.

`python -m tests.bench.listener '{"host": …}' FILE` writes a line of JSON per message to FILE: the envelope,
the topic, and when it came (`at_ns`, time.monotonic_ns(), one clock for all processes of a machine).
On stdout it says `up` and `down` as its connection comes and goes.
"""

from __future__ import annotations

import asyncio
import json
import signal
import ssl
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import aiomqtt
from paho.mqtt.client import MQTT_CLEAN_START_FIRST_ONLY
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from callsteward.feed import cloudevents
from tests.lab.broker import Mosquitto
from tests.lab.pbx_config import REPOSITORY

KEPT = ("schema", "message_id", "boot_id", "seq", "call_id", "line", "event", "at", "state", "ts")


class Listener:
    """The process. Context manager; `up` tells whether it is connected."""

    def __init__(self, broker: Mosquitto, user: str, version: str, folder: Path) -> None:
        self._file = folder / "heard.jsonl"
        self._file.touch()
        settings = {
            "host": broker.host,
            "port": broker.port,
            "user": user,
            "password": broker.users[user],
            "ca": str(broker.ca_file) if broker.tls else None,
            "version": version,
        }
        self._arguments = [json.dumps(settings), str(self._file)]
        self._port = broker.port
        self._process: subprocess.Popen[str] | None = None
        self._up = threading.Event()
        self._down = threading.Event()

    @property
    def up(self) -> bool:
        return self._up.is_set()

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.listener", *self._arguments],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            text=True,
        )
        threading.Thread(target=self._follow, args=(self._process.stdout,), daemon=True).start()
        assert self._up.wait(20), "the listener cannot reach the broker"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(10)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def wait_up(self, limit_s: float = 20) -> None:
        assert self._up.wait(limit_s), "the listener does not come back"

    def wait_down(self, limit_s: float = 20) -> None:
        assert self._down.wait(limit_s), "the listener does not notice"

    def wait_read(self, limit_s: float = 20) -> None:
        """Until it has taken all off its connection that the broker has written to it."""
        give_up_s = time.monotonic() + limit_s
        while unread(self._port):
            assert time.monotonic() < give_up_s, "the listener does not read on"
            time.sleep(0.01)

    def heard(self) -> list[dict[str, Any]]:
        """All whole lines so far, in order of arrival."""
        text = self._file.read_bytes()
        return [json.loads(line) for line in text[: text.rfind(b"\n") + 1].splitlines()]

    def size(self) -> int:
        return self._file.stat().st_size

    def _follow(self, said: IO[str]) -> None:
        with suppress(ValueError):
            for line in said:
                if line.strip() == "up":
                    self._down.clear()
                    self._up.set()
                else:
                    self._up.clear()
                    self._down.set()


def unread(port: int) -> int:
    """Bytes that wait in the kernel for who is connected to a port of 127.0.0.1 (proc(5), /proc/net/tcp)."""
    waiting = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, _, remote, _, queues, *_ = line.split()
        if remote == f"0100007F:{port:04X}":
            waiting += int(queues.partition(":")[2], 16)
    return waiting


async def _listen(settings: dict[str, Any], out: IO[str]) -> None:
    v5 = settings["version"] == "5"
    properties = None
    if v5:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = 3600
    while True:
        with suppress(aiomqtt.MqttError):
            async with aiomqtt.Client(
                settings["host"],
                settings["port"],
                username=settings["user"],
                password=settings["password"],
                identifier="listener",
                tls_context=None
                if settings["ca"] is None
                else ssl.create_default_context(cafile=settings["ca"]),
                protocol=aiomqtt.ProtocolVersion.V5 if v5 else aiomqtt.ProtocolVersion.V311,
                clean_session=None if v5 else False,
                properties=properties,
                clean_start=False if v5 else MQTT_CLEAN_START_FIRST_ONLY,
            ) as client:
                await client.subscribe("callsteward/#", qos=1)
                print("up", flush=True)
                async for message in client.messages:
                    at_ns = time.monotonic_ns()
                    body = json.loads(cloudevents.message(bytes(message.payload)))
                    told = {"at_ns": at_ns, "topic": message.topic.value, "retained": bool(message.retain)}
                    told |= {key: body[key] for key in KEPT if key in body}
                    out.write(json.dumps(told) + "\n")
        out.flush()
        print("down", flush=True)
        await asyncio.sleep(0.05)


async def _until_told(settings: dict[str, Any], out: IO[str]) -> None:
    listening = asyncio.create_task(_listen(settings, out))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, listening.cancel)
    with suppress(asyncio.CancelledError):
        await listening


def main() -> None:
    with Path(sys.argv[2]).open("a", buffering=1) as out:
        asyncio.run(_until_told(json.loads(sys.argv[1]), out))


if __name__ == "__main__":
    main()
