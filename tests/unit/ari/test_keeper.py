"""A connection that outlives its process: killed anywhere, nothing is lost, doubled or out of order."""

import asyncio
import fcntl
import os
import random
import socket
import sys

import aiohttp
import pytest

from callsteward.ari.keeper import RING_NAME, SOCKET_NAME, Keeper, make_room
from callsteward.notify import Notify
from tests.lab.fd_store import FdStore
from tests.lab.pbx_config import REPOSITORY
from tests.lab.ports import free_port

KILLS = int(os.environ.get("CALLSTEWARD_KEEPER_KILLS", "12"))


@pytest.fixture
def store():
    with FdStore() as found:
        yield found


@pytest.fixture
def notify(store: FdStore):
    found = Notify(store.address)
    yield found
    found.close()


@pytest.fixture
def pair():
    """Both ends of a TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        theirs = socket.create_connection(door.getsockname())
        ours, _ = door.accept()
    with ours, theirs:
        yield ours, theirs


async def send(port: int, count: int, rng: random.Random) -> None:
    """Asterisk's part: `count` messages of all sizes over one connection, whatever happens to its reader."""
    async with aiohttp.ClientSession() as session:
        async with asyncio.timeout(60):
            while True:
                try:
                    one = await session.ws_connect(f"http://127.0.0.1:{port}/", protocols=("ari",))
                    break
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(0.02)
        for number in range(count):
            size = rng.choice((0, 30, 120, 1500, 70_000))
            await one.send_str(f"{number} {'x' * size}")
            if number % 5 == 0:
                await asyncio.sleep(rng.random() * 0.01)
        await one.close()


@pytest.mark.parametrize("seed", range(2))
async def test_a_reader_killed_anywhere_loses_nothing(store: FdStore, tmp_path, seed: int):
    rng = random.Random(seed)
    port, path, count = free_port(), tmp_path / "read", 4000
    lives = []
    async with asyncio.TaskGroup() as group:
        group.create_task(send(port, count, rng))
        for life in range(KILLS + 1):
            lines = 0 if life == KILLS else rng.randrange(1, 9000)
            arguments = ["-m", "tests.unit.ari.kept_reader", str(port), str(path), str(lines)]
            command, environment, files = store.command([sys.executable, *arguments])
            process = await asyncio.create_subprocess_exec(
                *command,
                cwd=REPOSITORY,
                env={**os.environ, **environment},
                pass_fds=files,
                stderr=asyncio.subprocess.PIPE,
            )
            # A life lasts a second or two: one that hears nothing any more is a failure, no endless wait.
            async with asyncio.timeout(90):
                _, said = await process.communicate()
            lives.append((process.returncode, said.decode()))
            if process.returncode == 0:
                break
    assert lives[0] == (-9, "listens\n")
    assert {said for _, said in lives[1:]} == {"resumed\n"}
    assert [int(line) for line in path.read_text().split()] == list(range(count))


def test_a_kept_connection_is_continued_by_the_next_process(store: FdStore, notify, pair):
    ours, theirs = pair
    keeper = Keeper(notify, {})
    keeper.begin(ours, 0)
    assert store.names == [RING_NAME, SOCKET_NAME]
    theirs.sendall(b"read by one process, ")
    assert len(keeper.ring.receive(ours)) == 21
    theirs.sendall(b"read by the next")
    keeper.done(8)
    after = Keeper(notify, store.files)
    assert after.resumed is not None
    assert after.resumed.unread == b"one process, "
    assert bytes(after.ring.receive(after.resumed.connection)) == b"read by the next"
    after.resumed.connection.close()
    after.close()
    assert store.names == []
    keeper.close()


def test_a_connection_that_ended_meanwhile_is_read_to_its_end(store: FdStore, notify, pair):
    ours, theirs = pair
    keeper = Keeper(notify, {})
    keeper.begin(ours, 0)
    theirs.sendall(b"read")
    keeper.ring.receive(ours)
    theirs.sendall(b"unread")
    theirs.close()
    after = Keeper(notify, store.files)
    assert after.resumed is not None
    assert after.resumed.unread == b"read"
    assert [bytes(after.ring.receive(after.resumed.connection)) for _ in range(2)] == [b"unread", b""]
    after.resumed.connection.close()
    after.close()
    keeper.close()


def test_bytes_that_come_while_the_kernel_is_asked_change_nothing(store: FdStore, notify, pair, monkeypatch):
    ours, theirs = pair
    keeper = Keeper(notify, {})
    keeper.begin(ours, 0)
    theirs.sendall(b"read by one process, ")
    assert len(keeper.ring.receive(ours)) == 21
    late = [b"one more, ", b"and one more"]

    def asked(*arguments):
        if late:
            theirs.sendall(late.pop(0))
        return ioctl(*arguments)

    ioctl = fcntl.ioctl
    monkeypatch.setattr(fcntl, "ioctl", asked)
    after = Keeper(notify, store.files)
    assert late == []
    assert after.resumed is not None
    assert after.resumed.unread == b"read by one process, "
    assert bytes(after.ring.receive(after.resumed.connection)) == b"one more, and one more"
    after.resumed.connection.close()
    after.close()
    keeper.close()


def test_a_newer_connection_takes_the_place_of_the_older(store: FdStore, notify, pair):
    ours, _ = pair
    keeper = Keeper(notify, {})
    with socket.create_server(("127.0.0.1", 0)) as door, socket.create_connection(door.getsockname()):
        older, _ = door.accept()
        with older:
            keeper.begin(older, 5)
            keeper.forget()
            keeper.forget()
    keeper.begin(ours, 7)
    assert store.names == [RING_NAME, SOCKET_NAME]
    after = Keeper(notify, store.files)
    # The kernel knows nothing of the seven bytes that no one sent.
    assert after.resumed is None
    assert store.names == []
    after.close()
    keeper.close()


@pytest.mark.parametrize("what", ["reset", "no socket", "no ring", "a ring alone", "two"])
def test_a_connection_that_cannot_be_continued_is_closed(store: FdStore, notify, pair, what: str):
    ours, theirs = pair
    keeper = Keeper(notify, {})
    keeper.begin(ours, 0)
    left = store.files
    pipe = os.pipe()
    if what == "reset":
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        theirs.close()
    elif what == "no socket":
        left[SOCKET_NAME].append(os.dup(pipe[0]))
        os.close(left[SOCKET_NAME].pop(0))
    elif what == "no ring":
        left[RING_NAME].append(os.dup(pipe[0]))
        os.close(left[RING_NAME].pop(0))
    elif what == "a ring alone":
        os.close(left.pop(SOCKET_NAME)[0])
    else:
        left[SOCKET_NAME].append(os.dup(ours.fileno()))
    after = Keeper(notify, left)
    assert after.resumed is None
    assert store.names == []
    for files in left.values():
        for file in files:
            with pytest.raises(OSError, match="Bad file"):
                os.fstat(file)
    after.close()
    keeper.close()
    for end in pipe:
        os.close(end)


def test_while_nobody_reads_the_kernel_holds_some_megabytes(pair):
    ours, theirs = pair
    make_room(ours)
    theirs.setblocking(False)
    held = 0
    while True:
        try:
            held += theirs.send(b"x" * 1300)
        except BlockingIOError:
            break
    assert held > 2_000_000
    assert ours.recv(10) == b"x" * 10
