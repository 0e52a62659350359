"""Whole daemons with [standby]: refused beside each other where they do not belong together."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import asyncpg
import pytest
from aiohttp import web
from pydantic import SecretStr

from callsteward.config import Asterisk, Config, Mqtt, Standby, StoreSettings
from callsteward.daemon.app import Daemon
from callsteward.demo.ari_server import FakeAri
from callsteward.exceptions import StoreError
from callsteward.store import pair_beginning
from tests.lab.postgresql import PostgreSql
from tests.postgresql.test_postgresql import SECRET, running


class OtherPbx(FakeAri):
    """Another Asterisk on the same machine: of the same id, and started at another moment."""

    async def _info(self, request: web.Request) -> web.Response:
        del request
        return web.json_response(
            {
                "system": {"version": "22.10.1", "entity_id": "02:00:00:00:00:01"},
                "status": {"startup_time": "2026-11-23T00:00:00.000+0000"},
            }
        )


@pytest.fixture
async def url(postgresql: PostgreSql) -> AsyncIterator[str]:
    await postgresql.administer("CREATE DATABASE daemons")
    yield postgresql.url(database="daemons")
    await postgresql.administer("DROP DATABASE daemons WITH (FORCE)")


def daemon(url: str, folder: Path, ari: FakeAri, instance: str | None, app: str) -> Daemon:
    own = folder / (instance or "alone")
    own.mkdir(exist_ok=True)
    return Daemon(
        Config(
            asterisk=Asterisk(url=ari.url, password=SecretStr(SECRET), app=app),
            mqtt=Mqtt(enabled=False),
            standby=Standby(instance=instance),
            store=StoreSettings(url=url).placed(own, daemon=True),
        )
    )


async def daemons(url: str) -> list[Mapping[str, object]]:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch("SELECT instance, boot_id, app, acting FROM site_daemons")
        return [dict(row) for row in rows]
    finally:
        await connection.close()


async def until_acting(url: str) -> list[Mapping[str, object]]:
    async with asyncio.timeout(20):
        while True:
            try:
                found = await daemons(url)
            except asyncpg.UndefinedTableError:
                found = []
            if any(row["acting"] for row in found):
                return found
            await asyncio.sleep(0.1)


async def test_a_daemon_with_the_application_of_the_other_one_is_refused(url: str, tmp_path: Path) -> None:
    async with FakeAri(password=SECRET) as ari, running(daemon(url, tmp_path, ari, "a", "callsteward")):
        before = await until_acting(url)
        why = "the daemon 'a' of the site 'main' (on "
        with pytest.raises(StoreError, match=re.escape(why)) as refused:
            await daemon(url, tmp_path, ari, "b", "callsteward").run(asyncio.Event())
        assert "has the same ARI application, 'callsteward'" in str(refused.value)
        assert await daemons(url) == before


async def test_a_daemon_beside_another_pbx_is_refused(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pair_beginning, "ELSEWHERE_S", 1.0)
    async with (
        FakeAri(password=SECRET) as ari,
        OtherPbx(password=SECRET) as other,
        running(daemon(url, tmp_path, ari, "a", "callsteward-a")),
    ):
        before = await until_acting(url)
        with pytest.raises(
            StoreError, match=r"asterisk\.url leads to another Asterisk than that of the daemon 'a'"
        ):
            await daemon(url, tmp_path, other, "b", "callsteward-b").run(asyncio.Event())
        assert await daemons(url) == before


async def test_a_daemon_that_stops_leaves_no_row_behind(url: str, tmp_path: Path) -> None:
    async with FakeAri(password=SECRET) as ari:
        async with running(daemon(url, tmp_path, ari, "a", "callsteward-a")):
            await until_acting(url)
        assert await daemons(url) == []
        # The site is free at once, also for a daemon without [standby].
        alone = daemon(url, tmp_path, ari, None, "callsteward-a")
        async with running(alone):
            await ari.connected()
