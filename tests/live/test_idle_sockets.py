"""A crowd of sockets that say nothing, on every door of a daemon, beside a real Mosquitto."""

from __future__ import annotations

import asyncio
import resource
import socket
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.broker import Mosquitto
from tests.lab.pbx_config import REPOSITORY
from tests.lab.ports import free_port
from tests.live.availability import lab_or_skip
from tests.live.daemon import Daemon, wait_for
from tests.live.integration import connected
from tests.live.settings import SHIPPED, Settings, merged

pytestmark = [pytest.mark.live, pytest.mark.takes(35)]

ACL = (REPOSITORY / "config" / "mosquitto" / "acl").read_text()
CROWD = 1_500
"""On each door; a process has 1,024 descriptors unless somebody says otherwise."""


@pytest.fixture
def broker() -> Iterator[Mosquitto]:
    with lab_or_skip(), Mosquitto(users={"integration": "for-commands"}, acl=ACL) as started:
        yield started


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 3 * CROWD + 1_000), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _settings(folder: Path, broker: Mosquitto, ports: dict[str, int]) -> Settings:
    return merged(
        tomllib.loads(SHIPPED.read_text()),
        {
            "asterisk": {
                "connect": "outbound",
                "listen_port": ports["ari"],
                "url": f"http://127.0.0.1:{free_port()}",
                "password": "none",
            },
            "mqtt": {
                "host": broker.host,
                "port": broker.port,
                "username": broker.user,
                "password": broker.password,
            },
            "commands": {"http": True, "mqtt": True},
            "web": {"enabled": True, "port": ports["web"], "token": "a token for the lab, long enough"},
            "agi": {"enabled": True, "port": ports["agi"]},
            "store": {"url": f"sqlite:///{folder / 'calls.db'}"},
            "privacy": {"hmac_key": "a key for the lab"},
        },
    )


def _crowd(port: int) -> list[socket.socket]:
    crowd = []
    for _ in range(CROWD):
        one = socket.socket()
        one.settimeout(5)
        one.connect(("127.0.0.1", port))
        crowd.append(one)
    return crowd


def _descriptors(daemon: Daemon) -> int:
    return len(list(Path(f"/proc/{daemon.pid}/fd").iterdir()))


async def test_idle_sockets_take_neither_the_broker_nor_a_door_nor_the_log(
    broker: Mosquitto, tmp_path: Path, many_descriptors: None
) -> None:
    ports = {name: free_port() for name in ("web", "agi", "ari")}
    with Daemon(tmp_path, "crowd", _settings(tmp_path, broker, ports)) as daemon:
        # The limit of a shell, whatever these tests run with.
        await asyncio.to_thread(daemon.start, until="commands_open")
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (1_024, 1_024))
        before = daemon.log_file.stat().st_size
        crowd: list[socket.socket] = []
        try:
            for port in ports.values():
                crowd += await asyncio.to_thread(_crowd, port)
            assert _descriptors(daemon) < 1_024 - 128
            # The broker is connected to anew, and commands are taken, by both ways.
            await asyncio.to_thread(broker.restart)
            await asyncio.to_thread(daemon.wait_for_log, "commands_open", 40, times=2)
            async with connected(broker, "integration", "replies/#", base="callsteward/main/") as crm:
                await crm.send("dnc", {"id": "crowd-1", "action": "add", "number": "+7 900 000-00-02"})
                assert (await crm.until("replies/crowd-1"))[0]["status"] == "done"
            reader, writer = await asyncio.open_connection("127.0.0.1", ports["web"])
            writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            async with asyncio.timeout(5):
                assert (await reader.read()).startswith(b"HTTP/1.1 401 ")
            writer.close()
            await writer.wait_closed()
            # Silence ends: of who is still there nobody is after a while.
            await asyncio.to_thread(
                wait_for,
                lambda: _descriptors(daemon) < 100,
                30,
                "the crowd's sockets to be closed",
            )
            assert daemon.log_file.stat().st_size - before < 50_000
        finally:
            for one in crowd:
                one.close()
