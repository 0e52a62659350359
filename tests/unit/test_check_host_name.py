"""`callsteward check`: a machine that does not know its own name keeps its Asterisk waiting."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from callsteward.check import Status
from callsteward.check.host_name import host_name
from callsteward.config import Asterisk, Config


def config(url: str = "http://127.0.0.1:8088") -> Config:
    return Config(asterisk=Asterisk(url=url))


@pytest.mark.parametrize("url", ["http://127.0.0.1:8088", "http://localhost:8088", "http://[::1]:8088"])
async def test_a_look_up_that_hangs_is_told_with_what_to_write_into_hosts(url: str) -> None:
    released = threading.Event()
    asked: list[str] = []

    def hangs(name: str) -> None:
        asked.append(name)
        released.wait(300)

    began = time.monotonic()
    found = await host_name(config(url), hangs, wait_s=0.05)
    released.set()
    assert time.monotonic() - began < 60
    assert asked == [socket.gethostname()]
    assert found is not None
    assert (found.check, found.status) == ("host name", Status.WARNING)
    assert found.mend is not None
    assert f"127.0.1.1 {socket.gethostname()}" in found.mend


async def test_a_quick_look_up_is_no_problem() -> None:
    assert await host_name(config(), lambda _: None, wait_s=0.9) is None


async def test_an_unknown_name_is_answered_at_once_and_is_no_problem(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unknown(*_: object) -> object:
        raise socket.gaierror(socket.EAI_NONAME, "not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert await host_name(config(), wait_s=0.9) is None


@pytest.mark.parametrize("url", ["http://pbx.example:8088", "http://192.0.2.7:8088"])
async def test_asterisk_on_another_machine_is_not_checked(url: str) -> None:
    asked: list[str] = []
    assert await host_name(config(url), asked.append, wait_s=0.05) is None
    assert asked == []
