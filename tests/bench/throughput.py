"""Events per second off a loopback websocket: decode + track + record, beside decoding alone.

A process of its own sends the frames as fast as they are taken, so the reader's core is what limits; it is
the CPU time of the reader that counts, kernel's part included, so that waiting for the sender flatters
neither. Floor and daemon's work take turns, and the medians are compared.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import hashlib
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

import aiohttp

from callsteward.ari import events
from callsteward.calls.tracker import Tracker
from callsteward.config import Config
from callsteward.daemon.core import spare_the_collector
from callsteward.record.facts import CallEnded
from tests.bench import peers
from tests.bench.load import interleaved
from tests.bench.row import Row

CHUNK_FRAMES = 64
# RFC 6455: the handshake's constant, and a close frame with status 1000.
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CLOSE = bytes((0x88, 2)) + (1000).to_bytes(2, "big")
AT_ONCE = 100


def _frame(payload: bytes) -> bytes:
    """An unmasked text frame, as a server sends it (RFC 6455 section 5.2)."""
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    return bytes((0x81, 126)) + size.to_bytes(2, "big") + payload


def _serve(calls: int, port: Connection) -> None:
    """Sends every client the same frames, made once, at the speed it takes them."""
    frames = [_frame(line) for line in interleaved(calls, AT_ONCE)]
    chunks = [b"".join(frames[start : start + CHUNK_FRAMES]) for start in range(0, len(frames), CHUNK_FRAMES)]

    async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        key = next(line.partition(":")[2].strip() for line in head.splitlines() if "-Key:" in line)
        accept = base64.b64encode(hashlib.sha1(f"{key}{_GUID}".encode()).digest()).decode()
        writer.write(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
        )
        for chunk in chunks:
            writer.write(chunk)
            await writer.drain()
        writer.write(_CLOSE)
        await writer.drain()
        await reader.read()
        writer.close()

    async def run() -> None:
        server = await asyncio.start_server(stream, "127.0.0.1", 0)
        port.send((server.sockets[0].getsockname()[1], len(frames)))
        await server.serve_forever()

    asyncio.run(run())


async def _read(url: str, work: Callable[[bytes | str], None]) -> float:
    """Seconds of CPU time to take all frames."""
    async with aiohttp.ClientSession() as session, session.ws_connect(url, max_msg_size=0) as socket:
        began = time.process_time()
        async for message in socket:
            work(message.data)
        return time.process_time() - began


class _Daemon:
    """Decode, track, record: what stands between the socket and the store."""

    def __init__(self) -> None:
        self.tracker = Tracker(Config())
        self.records = 0

    def __call__(self, frame: bytes | str) -> None:
        event = events.decode(frame)
        if event is not None:
            for fact in self.tracker.handle(event):
                if isinstance(fact, CallEnded):
                    self.records += 1


def _floor(frame: bytes | str) -> None:
    events.decode(frame)


def measure(calls: int, rounds: int) -> tuple[list[Row], list[str]]:
    """The rows, and in words which of the other clients is not measured, and why."""
    ours, theirs = multiprocessing.Pipe()
    cores = sorted(os.sched_getaffinity(0))
    server = multiprocessing.get_context("fork").Process(target=_serve, args=(calls, theirs), daemon=True)
    server.start()
    port, count = ours.recv()
    url = f"http://127.0.0.1:{port}/"
    if len(cores) > 1:
        os.sched_setaffinity(server.pid or 0, set(cores[1:]))
        os.sched_setaffinity(0, {cores[0]})
    floor: list[float] = []
    full: list[float] = []
    beside: dict[str, list[float]] = {}
    try:
        with peers.all_there_are(cores[0] if len(cores) > 1 else None) as (running, said):
            spare_the_collector()
            asyncio.run(_read(url, _floor))  # warm-up
            others = [other for other in running if _warm(other, url, count, said)]
            for _ in range(rounds):
                floor.append(asyncio.run(_read(url, _floor)))
                daemon = _Daemon()
                full.append(asyncio.run(_read(url, daemon)))
                assert daemon.records == calls, (daemon.records, calls)
                gc.collect()
                for other in others:
                    beside.setdefault(other.peer.name, []).append(other.take(url, count))
    finally:
        server.terminate()
        server.join()
        os.sched_setaffinity(0, set(cores))
    floor_rate = count / statistics.median(floor)
    full_rate = count / statistics.median(full)
    ratio = statistics.median(bare / whole for bare, whole in zip(floor, full, strict=True))
    rows = [peers.row(other.peer, full, beside[other.peer.name], count) for other in others]
    own = Row(
        "decode + track + record, events/s",
        f"{full_rate:,.0f}",
        f"{floor_rate:,.0f} decoding only",
        f"{ratio:.2f}",
        "at least 0.50",
        ratio >= 0.5,
    )
    return [own, *rows], said


def _warm(other: peers.Running, url: str, count: int, said: list[str]) -> bool:
    try:
        other.take(url, count)
    except peers.NoPeerError as error:
        said.append(f"{other.peer.name} {other.peer.version} is not measured: {error}")
        return False
    return True
