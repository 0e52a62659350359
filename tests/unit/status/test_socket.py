"""The local socket: who may ask, files in its place, and that it does not hold the daemon up."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from callsteward.config import Config, StoreSettings
from callsteward.status import socket as socket_module
from callsteward.status.report import Report
from callsteward.status.socket import NotRunningError, StatusSocket, ask, socket_path

WELL = Report(running=True, site="lab", problems=[])


async def well() -> Report:
    return WELL


@asynccontextmanager
async def listening(path: Path, answer: socket_module.MakeReport = well) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(StatusSocket(path, answer).run())
    async with asyncio.timeout(60):
        while not path.is_socket():  # noqa: ASYNC110, ASYNC240
            await asyncio.sleep(0.01)
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_one_line_is_the_answer_and_nobody_else_may_open_the_socket(tmp_path: Path) -> None:
    path = tmp_path / "calls.sock"
    async with listening(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert await asyncio.to_thread(ask, path) == WELL
    assert not path.exists()


async def test_a_folder_whose_name_is_longer_than_a_socket_address(tmp_path: Path) -> None:
    folder = tmp_path / ("long-" * 30)
    folder.mkdir()
    async with listening(folder / "calls.sock"):
        assert await asyncio.to_thread(ask, folder / "calls.sock") == WELL


async def test_a_socket_that_a_killed_daemon_left_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "calls.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with pytest.raises(NotRunningError, match="no daemon runs for this configuration"):
        ask(path)
    async with listening(path):
        async with asyncio.timeout(60):
            while True:
                with suppress(NotRunningError):
                    assert await asyncio.to_thread(ask, path) == WELL
                    return


async def test_a_file_in_place_of_the_socket_stays_and_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "calls.sock"
    path.write_text("somebody's")
    with capture_logs() as logs:
        task = asyncio.create_task(StatusSocket(path, well).run())
        async with asyncio.timeout(60):
            while not logs:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    assert not task.done()
    task.cancel()
    (log,) = logs
    assert (log["action"], log["path"], log["error"]) == ("status_socket_failed", str(path), "File exists")
    assert path.read_text() == "somebody's"
    with pytest.raises(NotRunningError, match="nobody listens on"):
        ask(path)


async def test_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "calls.sock"
    monkeypatch.setattr(socket_module, "_may_ask", lambda _peer: False)
    async with listening(path):
        with pytest.raises(NotRunningError, match="ask as root or as the daemon's own user"):
            await asyncio.to_thread(ask, path)


def test_the_user_who_started_the_daemon_may_ask() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert socket_module._may_ask(ours)


def test_a_user_that_is_neither_root_nor_the_daemons_may_not(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    monkeypatch.setattr(socket_module, "_ROOT", -1)
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000)
    with ours, theirs:
        assert not socket_module._may_ask(ours)


async def test_a_daemon_that_hangs_is_said_to_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never() -> Report:
        await asyncio.Event().wait()
        return WELL

    async with listening(tmp_path / "calls.sock", never):
        with pytest.raises(NotRunningError, match="the daemon gave no answer within 0 s: it hangs"):
            await asyncio.to_thread(ask, tmp_path / "calls.sock", within_s=0.2)
    monkeypatch.setattr(socket_module, "_WITHIN_S", 0.1)
    async with listening(tmp_path / "calls.sock", never):
        with pytest.raises(NotRunningError, match="gave no answer: ask as root"):
            await asyncio.to_thread(ask, tmp_path / "calls.sock")


async def test_of_many_requests_at_once_a_few_are_answered_at_a_time(tmp_path: Path) -> None:
    now = most = 0

    async def slowly() -> Report:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.02)
        now -= 1
        return WELL

    path = tmp_path / "calls.sock"
    many = 3 * socket_module._AT_ONCE
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(many) as pool:
        async with listening(path, slowly):
            answers = await asyncio.gather(*[loop.run_in_executor(pool, ask, path) for _ in range(many)])
    assert answers == [WELL] * many
    assert 1 < most <= socket_module._AT_ONCE


async def test_an_answer_of_another_version_is_named(tmp_path: Path) -> None:
    path = tmp_path / "calls.sock"

    async def other(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'{"schema": "callsteward.local_status/2"}\n')
        writer.close()

    async with await asyncio.start_unix_server(other, path):
        with pytest.raises(NotRunningError, match="this command is of another version"):
            await asyncio.to_thread(ask, path)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("sqlite:////srv/calls.db", "/srv/calls.sock"),
        ("sqlite://", None),
        ("postgresql://calls@127.0.0.1/calls", "callsteward-main.sock"),
    ],
)
def test_where_it_is(url: str, name: str | None) -> None:
    found = socket_path(Config(store=StoreSettings(url=url)))
    assert found == (None if name is None else Path(name))
