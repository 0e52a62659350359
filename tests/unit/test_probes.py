"""`/healthz` and `/readyz`: what a watcher is told without a token, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from pydantic import SecretStr

from callsteward.config import Config, Web
from callsteward.health import Counters, FeedState, Health, Readings
from callsteward.web.probes import readiness
from callsteward.web.server import HttpDoor

TOKEN = "a token that nobody guesses"


@pytest.fixture
def readings() -> Readings:
    return Readings(
        counters=Counters(),
        asterisk=lambda: (True, "ws://pbx.example/ari"),
        feed=FeedState,
        open_calls=lambda: 4,
        event_lag_s=lambda: 0.0,
        frames_waiting=lambda: 0,
        journal_bytes=lambda: 0,
        tasks=lambda: 1,
        health=Health,
    )


@pytest.fixture
async def client(readings: Readings) -> AsyncIterator[TestClient[Any, Any]]:
    config = Config(web=Web(enabled=True, token=SecretStr(TOKEN)))
    door = HttpDoor(config, None, ready=lambda: readiness(readings))
    async with TestClient(TestServer(door.application())) as opened:
        yield opened


async def test_a_daemon_that_works_is_healthy_and_ready(client: TestClient[Any, Any]) -> None:
    health = await client.get("/healthz")
    assert (health.status, await health.text()) == (200, "ok\n")
    ready = await client.get("/readyz")
    assert (ready.status, await ready.json()) == (200, {"ready": True, "lacking": []})
    assert ready.headers["Cache-Control"] == health.headers["Cache-Control"] == "no-store"
    assert (await client.head("/healthz")).status == 200


@pytest.mark.parametrize(
    ("changes", "lacking"),
    [
        ({"asterisk": lambda: (False, "the password of callsteward@pbx.example is wrong")}, ["asterisk"]),
        ({"health": lambda: Health(disk="refuses", disk_detail="/var/lib/x is full")}, ["disk"]),
        ({"asterisk": lambda: (False, "x"), "health": lambda: Health(disk="hangs")}, ["asterisk", "disk"]),
    ],
)
async def test_a_daemon_that_does_not_follow_calls_is_healthy_and_not_ready(
    readings: Readings, client: TestClient[Any, Any], changes: dict[str, Any], lacking: list[str]
) -> None:
    for name, reads in changes.items():
        setattr(readings, name, reads)
    assert (await client.get("/healthz")).status == 200
    answer = await client.get("/readyz")
    # Neither an address nor a path nor a reason: whoever asks has shown no token.
    assert (answer.status, await answer.json()) == (503, {"ready": False, "lacking": lacking})


async def test_a_broker_that_is_away_changes_nothing(
    readings: Readings, client: TestClient[Any, Any]
) -> None:
    readings.feed = lambda: FeedState(connected=False, waiting=7)
    assert (await client.get("/readyz")).status == 200


@pytest.mark.parametrize("address", ["/metrics", "/healthz/", "/healthz/metrics", "/healthz%2fmetrics", "/"])
async def test_nothing_else_is_open_without_a_token(client: TestClient[Any, Any], address: str) -> None:
    assert (await client.get(address)).status == 401


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_they_can_be_read_alone(client: TestClient[Any, Any], method: str) -> None:
    assert (await client.request(method, "/healthz")).status == 405
