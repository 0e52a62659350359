"""`python -m tests.bench.delivery`: does every message arrive, whatever is killed?

Recorded real calls are played to the real daemon; broker and daemon are killed (SIGKILL) again and again in
the midst of it; a subscriber whose session outlives its connections hears everything. Then the store says
what ought to have arrived.

Two things are not callsteward's to promise, and are kept out: what a PBX says to nobody (the calls stand
still while the daemon is dead, and it is killed when it has taken off its socket what was said), and what a
broker acknowledges and loses when it is killed itself before it hands it over (Mosquitto keeps its queues
in memory: it is killed while its subscriber is connected, nothing limits what it may have on the way, and
what it has written has been read).
"""

from __future__ import annotations

import argparse
import asyncio
import random
import ssl
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiomqtt

from callsteward.ari.events import epoch_ms
from callsteward.ari.stamp import stamp
from callsteward.callback import history
from callsteward.callback import messages as callback_messages
from callsteward.demo.ari_server import FakeAri
from callsteward.feed import messages
from callsteward.record.callback_id import callback_id
from callsteward.store.records import Store
from tests.bench.listener import Listener
from tests.bench.load import interleaved
from tests.lab.broker import Mosquitto
from tests.live.daemon import Daemon
from tests.live.stored import Stored

SITE = "main"
SECRET = "s3cret"
LISTENER = "listener"
# As config/mosquitto/acl has it.
PREFIX = "homeassistant"
ACL = f"""user callsteward
topic readwrite callsteward/#
topic readwrite {PREFIX}/+/callsteward_{SITE}/+/config
user {LISTENER}
topic read callsteward/#
topic read {PREFIX}/#
"""
# How many calls are on at a time, and how many times faster than life they go.
AT_ONCE = 100
SPEED = 10.0
SETTLE_S = 60.0


@dataclass
class Figures:
    """The figures of one run. All lists are empty if all is well."""

    version: str
    calls: int
    broker_kills: int = 0
    daemon_kills: int = 0
    seconds: float = 0.0
    stored: int = 0
    incomplete: int = 0
    arrived: int = 0
    callbacks: int = 0
    callbacks_arrived: int = 0
    events: int = 0
    duplicates: int = 0
    boots: int = 0
    missing: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    order_errors: list[str] = field(default_factory=list)
    sequence_errors: list[str] = field(default_factory=list)
    left: int = 0
    announced: set[str] = field(default_factory=set)
    """Topics of Home Assistant's that the broker keeps in the end."""

    def __str__(self) -> str:
        return (
            f"MQTT {self.version}: {self.calls} calls played in {self.seconds:.0f} s, broker killed"
            f" {self.broker_kills} times, daemon {self.daemon_kills} times ({self.boots} boots heard)\n"
            f"  records: {self.stored} stored ({self.incomplete} of them with a gap), {self.arrived} arrived;"
            f" steps of callbacks: {self.callbacks} made, {self.callbacks_arrived} arrived\n"
            f"  missing {len(self.missing)}, unknown {len(self.unknown)}, out of order"
            f" {len(self.order_errors)}, gaps in seq {len(self.sequence_errors)}, left in the outbox"
            f" {self.left}\n"
            f"  {self.duplicates} came again with the message_id they had; {self.events} call events besides"
        )


class Player:
    """Sends the frames in their own time, and stands still while it is told to."""

    def __init__(self, ari: FakeAri, frames: Sequence[bytes]) -> None:
        self._ari = ari
        self._frames = frames
        self.place = 0
        self.last = b""
        self.still = asyncio.Event()
        self._go = asyncio.Event()
        self._go.set()
        self._began_s = 0.0

    async def run(self) -> None:
        first_ms = _ms(self._frames[0])
        self._began_s = time.monotonic()
        for place, frame in enumerate(self._frames):
            self.place = place
            at_ms = _ms(frame)
            wait_s = self._began_s + (at_ms - first_ms) / 1000 / SPEED - time.monotonic()
            if wait_s > 0.001:
                await asyncio.sleep(wait_s)
            if not self._go.is_set():
                stopped_s = time.monotonic()
                self.still.set()
                await self._go.wait()
                self._began_s += time.monotonic() - stopped_s
            self._ari.now_ms = at_ms
            await self._ari.send(frame)
            self.last = frame
        self.place = len(self._frames)

    async def stop(self) -> None:
        """Returns once no more is sent."""
        self.still.clear()
        self._go.clear()
        await self.still.wait()

    def go_on(self) -> None:
        self._go.set()


def settings_for(store: str, ari: FakeAri, broker: Mosquitto, version: str) -> dict[str, Any]:
    return {
        "site": {"name": SITE},
        "asterisk": {"url": ari.url, "password": SECRET},
        "endpoints": {"operators": ["PJSIP/1[0-9][0-9]"], "trunks": ["PJSIP/trunk*"]},
        "lines": [
            {"name": "hotline", "dids": ["100"]},
            {"name": "support", "queues": ["support"], "dids": ["200"]},
            {"name": "freepbx", "queues": ["freepbx"], "dids": ["220"]},
        ],
        "mqtt": {
            "host": broker.host,
            "port": broker.port,
            "username": broker.user,
            "password": broker.password,
            "tls": True,
            "ca_file": str(broker.ca_file),
            "version": version,
        },
        "store": {"url": store},
        "callback": {"enabled": True},
        "privacy": {"hmac_key": "bench"},
    }


async def measure(
    version: str,
    calls: int,
    kills: int,
    say: Callable[[str], None] = lambda _: None,
    *,
    store: str = "",
    **mqtt: Any,
) -> Figures:
    """Play, kill, and look what arrived. `mqtt`: settings besides the usual ones.

    `store`: the address of an empty database; without one it is an SQLite file.
    """
    figures = Figures(version, calls)
    say(f"MQTT {version}: making {calls} calls")
    frames = list(interleaved(calls, AT_ONCE))
    rng = random.Random(calls)
    with (
        tempfile.TemporaryDirectory(prefix="callsteward-delivery-") as name,
        Mosquitto(
            users={LISTENER: "for-reading"}, tls=True, acl=ACL, options="max_inflight_messages 0\n"
        ) as broker,
    ):
        folder = Path(name)
        store = store or f"sqlite:///{folder}/calls.db"
        async with FakeAri(password=SECRET) as ari:
            ari.now_ms = _ms(frames[0])
            settings = settings_for(store, ari, broker, version)
            settings["mqtt"] |= mqtt
            with (
                Daemon(folder, "main", settings) as daemon,
                Listener(broker, LISTENER, version, folder) as ear,
            ):
                await asyncio.to_thread(daemon.start)
                began_s = time.monotonic()
                player = Player(ari, frames)
                playing = asyncio.create_task(player.run())
                killers = [
                    asyncio.create_task(
                        _kill_daemon(figures, player, daemon, ari, _places(frames, kills, 0.7), say)
                    ),
                    asyncio.create_task(
                        _kill_broker(figures, player, broker, ear, _places(frames, kills, 0.3), rng, say)
                    ),
                ]
                await asyncio.gather(playing, *killers)
                figures.seconds = time.monotonic() - began_s
                say("played; waiting for the last messages")
                await _settle(daemon, ear)
                await asyncio.to_thread(daemon.terminate)
                await asyncio.sleep(0.5)
                heard = ear.heard()
                figures.announced = await _announced(broker)
        await _judge(figures, store, heard)
    return figures


def _places(frames: Sequence[bytes], kills: int, share: float) -> list[int]:
    """Where something is killed: spread evenly over the calls."""
    return [int((number + share) / kills * len(frames)) for number in range(kills)]


async def _reach(player: Player, place: int) -> None:
    while player.place < place:  # noqa: ASYNC110
        await asyncio.sleep(0.005)


async def _kill_daemon(
    figures: Figures,
    player: Player,
    daemon: Daemon,
    ari: FakeAri,
    places: list[int],
    say: Callable[[str], None],
) -> None:
    for place in places:
        await _reach(player, place)
        await player.stop()
        # Beside an SQLite file it is called after that, else after the site.
        (journal,) = daemon.config.parent.glob("*.journal")
        await asyncio.to_thread(_journaled, journal, player.last)
        await asyncio.to_thread(daemon.kill)
        figures.daemon_kills += 1
        with suppress(OSError):  # the dead daemon's socket may be closed already
            await ari.drop(rudely=True)
        await asyncio.to_thread(daemon.start)
        say(f"daemon killed at {place}, back")
        player.go_on()


def _journaled(journal: Path, frame: bytes) -> None:
    """Until the daemon has taken the last frame off its socket; its record is on its way then, not out."""
    give_up_s = time.monotonic() + SETTLE_S
    while time.monotonic() < give_up_s:
        tail = journal.read_bytes()[-1_000_000:]
        if not tail or frame in tail:
            return
        time.sleep(0.002)


async def _kill_broker(
    figures: Figures,
    player: Player,
    broker: Mosquitto,
    ear: Listener,
    places: list[int],
    rng: random.Random,
    say: Callable[[str], None],
) -> None:
    for place in places:
        await _reach(player, place)
        await asyncio.to_thread(ear.wait_up)
        # What it has acknowledged it has written to its subscriber, who gets the time to read it: one that
        # has not, and finds nobody to acknowledge to, may give its connection up with the rest unread.
        broker.freeze()
        await asyncio.to_thread(ear.wait_read)
        await asyncio.to_thread(broker.kill)
        figures.broker_kills += 1
        await asyncio.to_thread(ear.wait_down)
        await asyncio.sleep(rng.uniform(0.1, 1.0))
        await asyncio.to_thread(broker.start)
        await asyncio.to_thread(ear.wait_up)
        say(f"broker killed at {place}, back")


async def _announced(broker: Mosquitto) -> set[str]:
    found = set()
    async with aiomqtt.Client(
        broker.host,
        broker.port,
        username=LISTENER,
        password=broker.users[LISTENER],
        tls_context=ssl.create_default_context(cafile=str(broker.ca_file)),
    ) as client:
        await client.subscribe(f"{PREFIX}/#", qos=1)
        with suppress(TimeoutError):
            async with asyncio.timeout(2):
                async for message in client.messages:
                    found.add(message.topic.value)
    return found


async def _settle(daemon: Daemon, ear: Listener) -> None:
    """Until the outbox is empty and the subscriber hears no more."""
    give_up_s = time.monotonic() + SETTLE_S
    size = -1
    while time.monotonic() < give_up_s:
        if await asyncio.to_thread(daemon.waiting) == 0 and ear.size() == size:
            return
        size = ear.size()
        await asyncio.sleep(1.5)


async def _judge(figures: Figures, url: str, heard: list[dict[str, Any]]) -> None:
    store = await Store.open(url)
    made: dict[str, list[str]] = defaultdict(list)
    async for _, record in store.stored(SITE, from_ms=0, to_ms=2**62):
        made[f"callsteward/{SITE}/calls/{record.line}/ended"].append(messages.call_ended(record).message_id)
        figures.stored += 1
        figures.incomplete += not record.complete
    async for step in history.steps(store.engine, SITE, from_ms=0, to_ms=2**62):
        told = callback_messages.callback(SITE, step)
        made[f"callsteward/{SITE}/callbacks/{told.line}"].append(told.message_id)
        figures.callbacks += 1
        assert told.callback_id == callback_id(told.origin_call_id)
    await store.close()
    figures.left = await asyncio.to_thread(Stored(url).waiting)
    came: dict[str, list[str]] = defaultdict(list)
    by_id: Counter[str] = Counter()
    for message in heard:
        if message["schema"] in {"callsteward.call/1", "callsteward.callback/1"}:
            by_id[message["message_id"]] += 1
            if by_id[message["message_id"]] == 1:
                came[message["topic"]].append(message["message_id"])
        figures.events += message["schema"] == "callsteward.call-event/1"
    figures.duplicates = sum(count - 1 for count in by_id.values())
    figures.arrived = sum(len(ids) for topic, ids in came.items() if "/calls/" in topic)
    figures.callbacks_arrived = sum(len(ids) for topic, ids in came.items() if "/callbacks/" in topic)
    for topic in made.keys() | came.keys():
        expected, got = made[topic], came[topic]
        figures.missing += [f"{topic} {name}" for name in expected if name not in set(got)]
        figures.unknown += [f"{topic} {name}" for name in got if name not in set(expected)]
        if [name for name in expected if name in set(got)] != got:
            figures.order_errors.append(topic)
    _judge_sequence(figures, heard)


def _judge_sequence(figures: Figures, heard: list[dict[str, Any]]) -> None:
    """Of each boot, numbers from 1 on without a gap: nothing was dropped."""
    numbers: dict[str, set[int]] = defaultdict(set)
    for message in heard:
        if message["schema"] in {
            "callsteward.call/1",
            "callsteward.callback/1",
            "callsteward.call-event/1",
            "callsteward.alert/1",
            "callsteward.daemon-alert/1",
            # Where the hour or its half passes meanwhile.
            "callsteward.line-interval/1",
            "callsteward.operator-interval/1",
        }:
            numbers[message["boot_id"]].add(message["seq"])
    figures.boots = len(numbers)
    for boot, seen in numbers.items():
        if gaps := set(range(1, max(seen) + 1)) - seen:
            figures.sequence_errors.append(f"{boot}: {sorted(gaps)[:10]}")


def _ms(frame: bytes) -> int:
    moment = epoch_ms(stamp(frame)[1])
    assert moment is not None
    return moment


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=2_000)
    parser.add_argument("--kills", type=int, default=10, help="of the broker, and of the daemon")
    parser.add_argument("--version", choices=["3.1.1", "5"], action="append", help="default: both")
    arguments = parser.parse_args()
    failed = False
    for version in arguments.version or ["3.1.1", "5"]:
        figures = asyncio.run(
            measure(version, arguments.calls, arguments.kills, lambda text: print(f"  {text}", flush=True))
        )
        print(figures, flush=True)
        problems = figures.missing + figures.unknown + figures.order_errors + figures.sequence_errors
        for problem in problems[:10]:
            print(f"  {problem}")
        failed |= bool(problems) or figures.stored < arguments.calls or figures.left > 0
    raise SystemExit(failed)


if __name__ == "__main__":
    main()
