"""`make latency`: from an event on the ARI websocket to its message at a subscriber.

Recorded real calls come in at a steady rate to the real daemon with the real Mosquitto (TLS) behind it;
sender, daemon, broker and subscriber are processes of their own, and the moments are time.monotonic(), one
clock for all of them. The frames are given to the tracker once more afterwards: a message is held against
the very frame that made it say so. What time makes it say (a limit that runs out) is left out.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from callsteward import config as configuration
from callsteward.ari import events
from callsteward.calls.tracker import Tracker
from callsteward.config import Config
from callsteward.demo.ari_server import FakeAri
from callsteward.feed import messages
from callsteward.record.facts import CallEnded, CallHappened, Fact
from tests.bench.delivery import ACL, LISTENER, SECRET, settings_for
from tests.bench.listener import Listener
from tests.bench.steady import RAMP_S, Sent, stream
from tests.lab.broker import Mosquitto
from tests.live.daemon import Daemon

TARGET_MS = 50.0


@dataclass(frozen=True)
class Figures:
    """Milliseconds at `rate` new calls a second. `late_ms`: how far the sender itself fell behind (p99)."""

    rate: int
    frames_s: float
    events: list[float]
    records: list[float]
    late_ms: float

    @property
    def met(self) -> bool:
        return bool(self.events and self.records) and share(self.events + self.records, 0.99) < TARGET_MS

    def __str__(self) -> str:
        return (
            f"{self.rate} calls/s ({self.frames_s:.0f} events/s):"
            f" call events p50 {share(self.events, 0.5):.1f} ms, p99 {share(self.events, 0.99):.1f} ms"
            f" of {len(self.events)};"
            f" records p50 {share(self.records, 0.5):.1f} ms, p99 {share(self.records, 0.99):.1f} ms"
            f" of {len(self.records)}; the sender was late by {self.late_ms:.1f} ms (p99)"
        )


class QuickAri(FakeAri):
    """Sends without keeping its lists in step: nobody asks for them again."""

    async def quick(self, frame: str) -> None:
        for socket in self._sockets:
            await socket.send_str(frame)


async def measure(rate: int, seconds: float) -> Figures:
    """Calls come in for RAMP_S and `seconds` more, of which what is said then is counted."""
    start_ms = int(time.time() * 1000)
    frames = stream(rate, RAMP_S + seconds, start_ms)
    with (
        tempfile.TemporaryDirectory(prefix="callsteward-latency-") as name,
        Mosquitto(
            users={LISTENER: "for-reading"}, tls=True, acl=ACL, persistence=False, log_type="error"
        ) as broker,
    ):
        folder = Path(name)
        async with QuickAri(password=SECRET) as ari:
            ari.now_ms = start_ms
            settings = settings_for(f"sqlite:///{folder}/calls.db", ari, broker, "5") | {
                "callback": {"enabled": False}
            }
            with (
                Daemon(folder, "main", settings) as daemon,
                Listener(broker, LISTENER, "5", folder) as ear,
            ):
                await asyncio.to_thread(daemon.start)
                sent_ns, began_ns = await _play(ari, frames, RAMP_S + seconds)
                await asyncio.sleep(2)
                heard = ear.heard()
                config = configuration.load(daemon.config)
    played = frames[: len(sent_ns)]
    from_ns = began_ns + int(RAMP_S * 1e9)
    late = [
        (at_ns - began_ns) / 1e6 - sent.due_s * 1000
        for sent, at_ns in zip(played, sent_ns, strict=True)
        if at_ns >= from_ns
    ]
    made_ns = _made(config, played, sent_ns)
    return Figures(
        rate,
        len(late) / seconds,
        _delays(heard, "callsteward.call-event/1", made_ns, from_ns),
        _delays(heard, "callsteward.call/1", made_ns, from_ns),
        share(late, 0.99),
    )


async def _play(ari: QuickAri, frames: list[Sent], seconds: float) -> tuple[list[int], int]:
    """Send each frame when it is due; when each was sent, and when the first was due."""
    sent_ns: list[int] = []
    began_ns = time.monotonic_ns()
    for sent in frames:
        if sent.due_s > seconds:
            break
        wait_s = sent.due_s - (time.monotonic_ns() - began_ns) / 1e9
        if wait_s > 0.0005:
            await asyncio.sleep(wait_s)
        sent_ns.append(time.monotonic_ns())
        await ari.quick(sent.frame)
    return sent_ns, began_ns


def _made(config: Config, frames: list[Sent], sent_ns: list[int]) -> dict[str, int]:
    """By message_id: when the frame was sent that makes the daemon say it."""
    tracker = Tracker(config)
    made: dict[str, int] = {}
    for sent, at_ns in zip(frames, sent_ns, strict=True):
        event = events.decode(sent.frame)
        if event is None:
            continue
        now_ms = events.epoch_ms(event.timestamp)
        if now_ms is not None:
            tracker.advance(now_ms)
        for fact in tracker.handle(event):
            name = _message_id(config.site.name, fact)
            if name is not None:
                made.setdefault(name, at_ns)
    return made


def _message_id(site: str, fact: Fact) -> str | None:
    if isinstance(fact, CallEnded):
        return messages.call_ended(fact.record).message_id
    return messages.call_event(site, fact).message_id if isinstance(fact, CallHappened) else None


def _delays(heard: list[dict[str, Any]], schema: str, made_ns: dict[str, int], from_ns: int) -> list[float]:
    """Milliseconds from frame to message."""
    of_schema = [message for message in heard if message["schema"] == schema]
    return [
        (message["at_ns"] - made_ns[message["message_id"]]) / 1e6
        for message in of_schema
        if made_ns.get(message["message_id"], 0) >= from_ns
    ]


def share(values: list[float], part: float) -> float:
    """The value that `part` of all do not exceed; 0 of none."""
    if len(values) < 2:
        return values[0] if values else 0.0
    return statistics.quantiles(values, n=1000, method="inclusive")[round(part * 1000) - 1]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rate", type=int, action="append", help="calls a second; default: 50 and 200")
    parser.add_argument("--seconds", type=float, default=20, help="how long is measured at each rate")
    arguments = parser.parse_args()
    missed = False
    for rate in arguments.rate or [50, 200]:
        figures = asyncio.run(measure(rate, arguments.seconds))
        missed |= not figures.met
        print(figures, "ok" if figures.met else f"MISSED: p99 under {TARGET_MS:.0f} ms", flush=True)
    raise SystemExit(missed)


if __name__ == "__main__":
    main()
