"""The targets of the fuzzer: everything that reads bytes from the network, the phone line or a file.

A target takes any bytes. It may refuse them with the error its module promises; anything else that it
raises is a fault.
"""

from __future__ import annotations

import asyncio
import socket
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

import aiohttp
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from callsteward.agi.request import AgiError, parse
from callsteward.ari import events, rest
from callsteward.ari.marks import pretends
from callsteward.ari.ring import Ring
from callsteward.ari.stamp import stamp
from callsteward.ari.websocket import FRAGMENTS_LIMIT, WebSocket
from callsteward.calls.tracker import Tracker
from callsteward.commands import request as commands
from callsteward.config import Config
from callsteward.exceptions import AriError, CallstewardError, MalformedEventError
from callsteward.feed.inlet import LARGEST_PACKET, Inlet
from callsteward.outgoing import number_file, office_file
from callsteward.outgoing.guard import Guard
from callsteward.rating import ivr_events
from callsteward.record.call import encode
from callsteward.recording.replay import ReplayCounts, replay
from callsteward.store.stored import decode
from tests.fuzz import admin, handshake, names
from tests.fuzz.target import Target
from tests.unit.pump_site import Site

CAPTURES = Path(__file__).resolve().parents[1] / "replay" / "captures"
FOUND = Path(__file__).with_name("found")
"""Inputs that once broke a target, a folder for each: they are tests now."""

_CONFIG = Config()
_PACKETS = (
    b"\x00\x30\x0c\x00\x05topic{...}",
    b"\x07\x32\x80\x80\x01\x00\x03a/b\x00\x01" + b"x" * 300,
    b"\x01\x20\x02\x00\x00\x90\x03\x00\x01\x01\x40\x02\x00\x02",
)
_AGI = (
    b"agi_network: yes\nagi_network_script: arrival?x=1\nagi_uniqueid: 17.1\nagi_callerid: 79031234567\n"
    b"agi_calleridname: unknown\nagi_dnid: 100\nagi_context: from-trunk\nagi_extension: 100\nagi_arg_1: a\n\n"
)
_COMMANDS = (
    b'tag\n{"id":"a","call_id":"1.1","tag":"ticket","value":"INC-7","by":"crm"}',
    b'dnc\n{"id":"b","action":"add","number":"+7 903 123-45-67","comment":"asked"}',
    b'callback\n{"id":"c","action":"cancel","call_id":"1.1"}',
    b'complaint\n{"id":"d","action":"acknowledge","call_id":"1.1","comment":"called"}',
)

_LISTS = (
    "Телефон;Причина\r\n8 903 123-45-67;просил\r\n7,9031E+10;x\r\n".encode("cp1251"),
    b'\xef\xbb\xbfnumber,why\n+79031234567,"asked, ""twice"""\n79000000001,"on\nthe phone"\n',
    "sep=\t\n79031234567\tAsia/Omsk\n".encode("utf-16"),
)
_read = Guard(_CONFIG).read


def _ari(data: bytes) -> None:
    kind, moment = stamp(data)
    assert isinstance(kind, str)
    assert isinstance(moment, str)
    with suppress(MalformedEventError):
        ivr_events.decode(data)
    with suppress(AriError):
        rest._decoded(data, events.Channel)
    try:
        event = events.decode(data)
    except MalformedEventError:
        return
    if event is not None:
        tracker = Tracker(_CONFIG)
        tracker.handle(event)
        tracker.finish()
        assert tracker.open_calls == 0


def _replay(data: bytes) -> None:
    tally = ReplayCounts()
    broken: list[int] = []
    lines = data.split(b"\n")
    records = list(replay(lines, _CONFIG, tally, lambda number, _error: broken.append(number)))
    assert tally.records == len(records)
    assert tally.broken == len(broken)
    assert tally.events + tally.unknown + tally.broken == sum(bool(line.strip()) for line in lines)
    for record in records:
        assert decode(encode(record)) == record


def _journal(data: bytes) -> None:
    """Frames sent to a daemon, then the journal that it left, read by the next daemon."""
    asyncio.run(_taken_up([line for line in data.split(b"\n") if not pretends(line)]))


async def _taken_up(frames: list[bytes]) -> None:
    with tempfile.TemporaryDirectory(prefix="callsteward-fuzz-") as folder:
        site = Site(Path(folder) / "journal")
        for raw in frames:
            await site.pump._work([(raw, 1000.0)])
        site.pump._heard_s = lambda: 1010.0
        await site.pump._heard()
        await site.close()
        again = Site(Path(folder) / "journal")
        await again.pump.rerun()
        await again.close()
    for one in (site, again):
        assert one.counters.tracker_errors == 0
    assert again.tracker.open_legs == site.tracker.open_legs


def _agi(data: bytes) -> None:
    try:
        request = parse(data)
    except AgiError:
        return
    assert request.script.replace("-", "a").isalpha()


def _commands(data: bytes) -> None:
    # The topic's last level comes from outside as well.
    name, _, body = data.partition(b"\n")
    try:
        command = commands.parse(name.decode("utf-8", "replace"), body)
    except commands.MalformedCommandError:
        return
    assert command.id


def _lists(data: bytes) -> None:
    taken: list[str] = []

    def take(entry: number_file.NumberRow) -> str:
        taken.append(number_file.comment_of(entry))
        return ""

    with suppress(CallstewardError):
        assert number_file.each(office_file.text_in(data, "list.csv").text, "list.csv", _read, take) == len(
            taken
        )


def _mqtt(data: bytes) -> None:
    """Bytes from a broker. paho may give up the connection with any exception: aiomqtt catches them all."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, reconnect_on_failure=False)
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        client._sock = near
        inlet = Inlet(client)
        # The first byte says how much of what is announced comes, again and again.
        far.sendall(data[1:] * (1 + data[0] % 8) if data else b"")
        far.close()
        for _ in range(1_000):
            try:
                if client.loop_read() != 0:
                    break
            except Exception:  # noqa: BLE001
                break
            assert len(client._in_packet["packet"]) <= LARGEST_PACKET + 1
            assert inlet.cut() == 0 or inlet.cut() > LARGEST_PACKET


def _websocket(data: bytes) -> None:
    """Bytes on an open websocket, from a server in Asterisk's place."""
    asyncio.run(_read_frames(data))


async def _read_frames(data: bytes) -> None:
    near, far = socket.socketpair()
    ring = Ring.new()
    with near, far:
        near.setblocking(False)
        ring.begin(1, 0)
        one = WebSocket.resumed(near, b"", ring, heartbeat_s=60, max_bytes=10_000)
        one._feed(data)
        assert len(one._fragments) < FRAGMENTS_LIMIT
        assert sum(map(len, one._fragments)) <= 10_000
        one.abort()
        while (message := await one.receive()).type is aiohttp.WSMsgType.TEXT:
            assert len(message.data) <= 10_000
    ring.close()


def _websocket_frames() -> Iterator[bytes]:
    for head in (0x81, 0x01, 0x00, 0x80, 0x89, 0x88, 0xC1):
        yield bytes([head, 0x85]) + bytes(4) + b'{"a":'
        yield bytes([head, 0x80]) + bytes(4)


def _frames() -> Iterator[bytes]:
    """One frame of each type that the captures hold."""
    seen: set[str] = set()
    for capture in sorted(CAPTURES.glob("*.jsonl")):
        for line in capture.read_bytes().splitlines():
            kind, _ = stamp(line)
            if kind not in seen:
                seen.add(kind)
                yield line


def _streams() -> Iterator[bytes]:
    """The first frames of each capture that make a call: more than that is the property tests' field."""
    for capture in sorted(CAPTURES.glob("*.jsonl")):
        lines = capture.read_bytes().splitlines()
        wanted = [line for line in lines if events.event_type(line) is not None]
        yield b"\n".join(islice(wanted, 12))


TARGETS = {
    "agi": Target(_agi, lambda: iter((_AGI,)), 1_000, 0.23),
    "ari": Target(_ari, _frames, 4_000, 0.31),
    "commands": Target(_commands, lambda: iter(_COMMANDS), 2_000, 0.25),
    "lists": Target(_lists, lambda: iter(_LISTS), 2_000, 0.02),
    "replay": Target(_replay, _streams, 30_000, 0.14),
    "mqtt": Target(_mqtt, lambda: iter(_PACKETS), 4_000, 0.03),
    "websocket": Target(_websocket, _websocket_frames, 4_000, 0.01),
    "journal": Target(_journal, _streams, 30_000, 0.01),
    **names.TARGETS,
    **handshake.TARGETS,
    **admin.TARGETS,
}


def found_once(name: str) -> Iterator[bytes]:
    """The inputs that once broke a target."""
    for path in sorted((FOUND / name).glob("*")):
        yield path.read_bytes()
