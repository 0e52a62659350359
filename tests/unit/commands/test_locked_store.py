"""The reply to a command is true even if another process holds the store's lock.

The daemon runs as a process of its own, beside a real SQLite file or a real PostgreSQL, whose tables somebody
else has locked: a backup, an admin's transaction left open. What the answer says is held against what
the store has once the lock is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import create_async_engine

from callsteward.ari.events import epoch_ms
from callsteward.demo.ari_server import FakeAri
from callsteward.store.engine import async_url
from tests.lab.errors import LabUnavailable
from tests.lab.ports import free_port
from tests.lab.postgresql import PostgreSql

CAPTURE = Path(__file__).parents[2] / "replay" / "captures" / "client_bye.jsonl"
COMMAND = Path(sys.executable).with_name("callsteward")
TOKEN = "a token nobody guesses"
NUMBER = "+79000000001"

# Another process: it takes the lock, says so, and holds it until its standard input ends.
LOCK_SQLITE = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
database.execute("ROLLBACK")
"""
LOCK_POSTGRESQL = """
import asyncio, sys
import asyncpg

async def hold():
    connection = await asyncpg.connect(sys.argv[1])
    async with connection.transaction():
        await connection.execute("LOCK TABLE call_tags, do_not_call IN ACCESS EXCLUSIVE MODE")
        print("locked", flush=True)
        await asyncio.to_thread(sys.stdin.read)
    await connection.close()

asyncio.run(hold())
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/calls.db"
        return
    try:
        with PostgreSql() as server:
            yield server.url()
    except LabUnavailable as error:
        if os.environ.get("CALLSTEWARD_REQUIRE_LIVE") == "1":
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))


@contextmanager
def locked(url: str) -> Iterator[None]:
    script, where = (
        (LOCK_SQLITE, url.removeprefix("sqlite:///")) if url.startswith("sqlite") else (LOCK_POSTGRESQL, url)
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, where], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        yield
        holder.communicate(timeout=10)
        assert holder.returncode == 0
    finally:
        holder.kill()
        holder.wait()


@asynccontextmanager
async def daemon(url: str, folder: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """The daemon with one call in its store; a client of its HTTP door."""
    port = free_port()
    config = folder / "c.toml"
    async with FakeAri(password="hidden words") as ari:
        ari.now_ms = epoch_ms("2026-11-22T02:00:00.000+0000")
        config.write_text(
            f"""
[asterisk]
url = "{ari.url}"
password = "hidden words"
[mqtt]
enabled = false
[store]
url = "{url}"
[tags]
enabled = true
late_s = 600
[web]
enabled = true
port = {port}
token = "{TOKEN}"
[commands]
http = true
"""
        )
        config.chmod(0o600)
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen([COMMAND, "run", "-c", config], stderr=log)  # noqa: ASYNC220
        try:
            async with asyncio.timeout(60):
                await ari.connected()
            await ari.play(CAPTURE.read_bytes().splitlines())
            async with aiohttp.ClientSession(
                f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {TOKEN}"}
            ) as http:
                yield http
        finally:
            process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.wait, 15) == 0


async def sent(http: aiohttp.ClientSession, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    async with http.post(f"/api/v1/{path}", json=body) as answer:
        return answer.status, await answer.json()


async def final(http: aiohttp.ClientSession, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """The reply to the same command after the first one has come to its end."""
    async with asyncio.timeout(60):
        while True:
            _, reply = await sent(http, path, body)
            if reply["status"] != "pending":
                return reply
            await asyncio.sleep(0.2)


async def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    engine = create_async_engine(async_url(url))
    try:
        async with engine.connect() as connection:
            return [tuple(row) for row in await connection.execute(sqlalchemy.text(query))]
    finally:
        await engine.dispose()


async def call_id(url: str) -> str:
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(sqlalchemy.exc.SQLAlchemyError):
                found = await rows(url, "SELECT call_id FROM calls")
                if found:
                    return str(found[0][0])
            await asyncio.sleep(0.1)


async def test_a_tag_under_a_lock_is_pending_and_then_done_once(url: str, tmp_path: Path) -> None:
    async with daemon(url, tmp_path) as http:
        path = f"calls/{await call_id(url)}/tags"
        body = {"id": "tag-1", "tag": "ticket", "value": "INC-1"}
        began = time.monotonic()
        with locked(url):
            status, reply = await sent(http, path, body)
            assert (status, reply["status"], reply["reason"]) == (202, "pending", "in_progress")
            # It replies within its ten seconds: the lock is held until it has replied.
            assert time.monotonic() - began > 9
            assert await rows_seen(url, "call_tags") in ([], None)
            # Sent again meanwhile it is the same command, not a second one.
            again = asyncio.create_task(sent(http, path, body))
            await asyncio.sleep(1)
        assert (await again)[1]["status"] in {"pending", "done"}
        done = await final(http, path, body)
        assert (done["status"], done["id"]) == ("done", "tag-1")
        assert await rows(url, "SELECT tag, value FROM call_tags") == [("ticket", "INC-1")]


async def test_a_number_under_a_lock_is_on_the_list_where_the_answer_says_so_and_else_never(
    url: str, tmp_path: Path
) -> None:
    async with daemon(url, tmp_path) as http:
        await call_id(url)
        body = {"id": "dnc-1", "action": "add", "number": NUMBER}
        with locked(url):
            status, reply = await sent(http, "dnc", body)
            assert (status, reply["status"]) in {(202, "pending"), (503, "failed")}
            listening = asyncio.create_task(final(http, "dnc", body)) if status == 202 else None
            await asyncio.sleep(3)
        reply = reply if listening is None else await listening
        await asyncio.sleep(2)
        listed = await rows(url, "SELECT number FROM do_not_call")
        assert listed == ([(NUMBER,)] if reply["status"] == "done" else [])
        # An integration that tries again has it done once.
        assert (await final(http, "dnc", {**body, "id": "dnc-2"}))["status"] == "done"
        assert await rows(url, "SELECT number FROM do_not_call") == [(NUMBER,)]


async def rows_seen(url: str, table: str) -> list[tuple[Any, ...]] | None:
    """The rows of a table that others see; None if the lock keeps them from reading."""
    if not url.startswith("sqlite"):
        return None
    return await rows(url, f"SELECT * FROM {table}")
