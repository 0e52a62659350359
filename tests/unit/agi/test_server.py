"""Conversations with the FastAGI server over a real socket."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import structlog

from callsteward.agi.request import AgiError, AgiRequest
from callsteward.agi.server import Server
from callsteward.exceptions import CallstewardError
from tests.lab.ports import free_port

HEAD = "agi_network: yes\nagi_network_script: {}\nagi_uniqueid: 17.1\nagi_callerid: 79031234567\n\n"
LIMIT_S = 5


async def answer(request: AgiRequest) -> Mapping[str, str]:
    return {"CALLSTEWARD_A": request.params.get("x", ""), "CALLSTEWARD_B": 'a "b"'}


async def slow(_request: AgiRequest) -> Mapping[str, str]:
    await asyncio.sleep(60)
    return {}


async def refusing(_request: AgiRequest) -> Mapping[str, str]:
    message = "not today"
    raise AgiError(message)


async def faulty(_request: AgiRequest) -> Mapping[str, str]:
    message = "a fault"
    raise RuntimeError(message)


SCRIPTS = {"answer": answer, "slow": slow, "refusing": refusing, "faulty": faulty}


async def failures(server: Server, count: int) -> None:
    """Wait until this many questions have failed."""
    async with asyncio.timeout(LIMIT_S):
        while server.failed < count:  # noqa: ASYNC110 - the server has no reason to tell anybody
            await asyncio.sleep(0.01)


@asynccontextmanager
async def serving(**limits: Any) -> AsyncIterator[tuple[Server, int]]:
    port = free_port()
    server = Server(
        "127.0.0.1", port, SCRIPTS, **{"answer_s": 0.2, "request_s": 0.2, "reply_s": 0.2} | limits
    )
    task = asyncio.create_task(server.run())
    try:
        async with asyncio.timeout(LIMIT_S):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.01)
                    continue
                writer.close()
                await writer.wait_closed()
                break
            await failures(server, 1)  # the probe's own connection
        server.failed = 0
        yield server, port
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def converse(port: int, said: bytes, *replies: bytes) -> list[bytes]:
    """All that the server sent until it closed; each of its commands is answered by the next of `replies`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    heard: list[bytes] = []
    try:
        async with asyncio.timeout(LIMIT_S):
            writer.write(said)
            for reply in replies:
                heard.append(await reader.readline())
                writer.write(reply)
            heard += (await reader.read()).splitlines(keepends=True)
    finally:
        writer.close()
        await writer.wait_closed()
    return heard


OK = b"200 result=1\n"


async def test_a_question_is_answered_by_channel_variables() -> None:
    async with serving() as (server, port):
        heard = await converse(port, HEAD.format("answer?x=7").encode(), OK, OK, OK)
    assert heard == [
        b'SET VARIABLE CALLSTEWARD_A "7"\n',
        b'SET VARIABLE CALLSTEWARD_B "a \\"b\\""\n',
        b'SET VARIABLE CALLSTEWARD_ANSWER "ok"\n',
    ]
    assert (server.answered, server.failed) == (1, 0)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (HEAD.format("nothing").encode(), "no such script; there is answer, faulty, refusing, slow"),
        (HEAD.format("refusing").encode(), "not today"),
        (HEAD.format("faulty").encode(), "RuntimeError"),
        (HEAD.format("slow").encode(), "no answer within 0.2 s"),
        (b"GET / HTTP/1.0\r\n\n\n", "a line is not `agi_name: value`"),
        (b"agi_network: yes\n", "no request within 0.2 s"),
        (b"x" * 20_000 + b"\n\n", "a request of more than 16384 bytes"),
        (b"", "no request within 0.2 s"),
    ],
)
async def test_an_unanswerable_question_fails_at_once_and_is_logged(said: bytes, reason: str) -> None:
    with structlog.testing.capture_logs() as logs:
        async with serving() as (server, port):
            logs.clear()
            heard = await converse(port, said)
    assert heard == [b"FAILURE\n"]
    assert (server.answered, server.failed) == (0, 1)
    assert [entry["reason"] for entry in logs if entry["action"] == "agi_failed"] == [reason]
    assert "79031234567" not in repr(logs)


async def test_a_refused_variable_fails() -> None:
    async with serving() as (server, port):
        heard = await converse(port, HEAD.format("answer").encode(), b"510 Invalid or unknown command\n")
    assert heard[1:] == [b"FAILURE\n"]
    assert server.failed == 1


@pytest.mark.parametrize("reply", [b"nonsense\n", b"x" * 20_000 + b"\n"])
async def test_a_malformed_reply_fails(reply: bytes) -> None:
    async with serving() as (server, port):
        heard = await converse(port, HEAD.format("answer").encode(), reply)
    assert heard[1:] == [b"FAILURE\n"]
    assert server.failed == 1


async def test_a_silent_asterisk_is_given_up() -> None:
    async with serving() as (server, port):
        heard = await converse(port, HEAD.format("answer").encode(), b"")
    assert heard[1:] == [b"FAILURE\n"]
    assert server.failed == 1


@pytest.mark.parametrize("reply", [b"HANGUP\n", b"511 Command Not Permitted on a dead channel\n"])
async def test_after_a_hang_up_no_answer_is_sent(reply: bytes) -> None:
    async with serving() as (server, port):
        heard = await converse(port, HEAD.format("answer").encode(), reply)
    assert len(heard) == 1
    assert (server.answered, server.failed) == (0, 0)


async def test_a_connection_that_ends_midway_harms_nobody() -> None:
    async with serving() as (server, port):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"agi_network: yes\nagi_net")
        writer.write_eof()
        await failures(server, 1)
        writer.close()
        await writer.wait_closed()
        assert len(await converse(port, HEAD.format("answer").encode(), OK, OK, OK)) == 3


async def test_a_crowd_is_turned_away_and_the_next_is_served() -> None:
    async with serving(max_connections=2, answer_s=1) as (server, port):
        asking = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        for _, writer in asking:
            writer.write(HEAD.format("slow").encode())
        await asyncio.sleep(0.05)
        assert await converse(port, HEAD.format("answer").encode()) == [b"FAILURE\n"]
        for _, writer in asking:
            writer.close()
            await writer.wait_closed()
        await failures(server, 3)
        assert len(await converse(port, HEAD.format("answer").encode(), OK, OK, OK)) == 3


async def test_a_crowd_that_is_silent_keeps_nobody_out() -> None:
    async with serving(max_connections=2, request_s=1) as (_, port):
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(200)]
        assert len(await converse(port, HEAD.format("answer").encode(), OK, OK, OK)) == 3
        for _, writer in silent:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


async def test_a_taken_port_is_reported() -> None:
    async with serving() as (_, port):
        with pytest.raises(CallstewardError, match=f"cannot listen for FastAGI on 127.0.0.1:{port}"):
            await Server("127.0.0.1", port, SCRIPTS).run()
