"""One soak: calls at a rate for a while, then the books are held against each other."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tests.lab.asterisk import Asterisk
from tests.lab.broker import Mosquitto
from tests.live.daemon import Daemon, wait_for
from tests.live.subscriber import ACL, PASSWORD, USER, Subscriber
from tests.soak.pbx import LINE, Crowd, prepare_settings
from tests.soak.vitals import Sample, Watch, slope_mib_a_minute

Progress = Callable[[str, float], None]
"""What goes on, and how much of it is done (0 to 1)."""

RAMP = (5, 10, 20, 30, 40, 60, 80, 100)
RAMP_STEP_S = 10.0
# Of the highest rate that went well: what a machine carries for ten minutes is less than for ten seconds.
OF_HIGHEST = 0.7
# Late is what a second of work could not keep up with.
LATE_S = 1.0
SETTLE_S = 30.0
MAX_SLOPE = 1.0
WARM_UP = 1 / 3


@dataclass(frozen=True)
class Soaked:
    """What came of it. `calls` by Asterisk's CDR; `records` and `messages` count each call_id's."""

    rate: float
    seconds: float
    placed: int
    failed: int
    calls: frozenset[str]
    records: Counter[str]
    messages: Counter[str]
    incomplete: int
    open_calls: int
    journal_bytes: int
    samples: tuple[Sample, ...]
    outcomes: Counter[str]

    @property
    def warm(self) -> tuple[Sample, ...]:
        """The samples after the warm-up."""
        return self.samples[round(len(self.samples) * WARM_UP) :]

    @property
    def slope(self) -> float:
        """Growth of memory after the warm-up, MiB a minute."""
        return slope_mib_a_minute(self.warm)

    def faults(self) -> list[str]:
        """Everything that is not as it should be."""
        found: list[str] = []

        def expect(good: bool, what: str) -> None:
            if not good:
                found.append(what)

        expect(self.placed > 0, "no call was placed")
        expect(self.failed == 0, f"{self.failed} of {self.placed} calls failed at the phones")
        for name, counted in (("records", self.records), ("messages", self.messages)):
            lost = self.calls - counted.keys()
            foreign = counted.keys() - self.calls
            twice = [call for call, count in counted.items() if count > 1]
            expect(not lost, f"{name}: {len(lost)} of {len(self.calls)} calls are lost: {sorted(lost)[:3]}")
            expect(not foreign, f"{name}: {len(foreign)} of no call in the CDR: {sorted(foreign)[:3]}")
            expect(not twice, f"{name}: {len(twice)} calls stand twice: {twice[:3]}")
        expect(self.incomplete == 0, f"{self.incomplete} records are incomplete")
        expect(self.open_calls == 0, f"{self.open_calls} calls are still open")
        expect(self.journal_bytes == 0, f"the journal still has {self.journal_bytes} bytes")
        expect(self.slope < MAX_SLOPE, f"memory grows by {self.slope:.2f} MiB a minute")
        first, last = self.warm[0], self.samples[-1]
        # A database connection or two may come and go; a leak has one for each call or each minute.
        for name, before, after in (
            ("descriptors", first.descriptors, last.descriptors),
            ("threads", first.threads, last.threads),
        ):
            expect(after <= before + 3, f"{name}: {before} after the warm-up, {after} at the end")
        return found


def soak(seconds: float, rate: float | None, progress: Progress) -> Soaked:
    """Soak a daemon for `seconds` at `rate` calls a second, or at what this machine carries."""
    with tempfile.TemporaryDirectory(prefix="callsteward-soak-") as temporary:
        folder = Path(temporary)
        pbx = Asterisk()
        crowd = Crowd(pbx)
        broker = Mosquitto(users={USER: PASSWORD}, tls=True, acl=ACL)
        with pbx, broker, Subscriber(broker) as subscriber, crowd:
            daemon = Daemon(folder, "soak", prepare_settings(folder, pbx, broker))
            with daemon:
                daemon.start()
                subscriber.wait("soak", "status", lambda body: body["asterisk"] == "connected")
                if rate is None:
                    rate = OF_HIGHEST * _highest(crowd, subscriber, progress)
                with Watch(daemon.pid) as watch:
                    _carry(crowd, rate, seconds, progress)
                crowd.rest()
                return _books(pbx, crowd, daemon, subscriber, folder, watch, rate, seconds)


def _carry(crowd: Crowd, rate: float, seconds: float, progress: Progress) -> None:
    crowd.call(rate)
    began = time.monotonic()
    while (gone := time.monotonic() - began) < seconds:
        progress(f"{rate:g} calls a second", gone / seconds)
        time.sleep(0.5)


def _highest(crowd: Crowd, subscriber: Subscriber, progress: Progress) -> float:
    """The highest rate of the ramp at which every call went well and its record came at once."""
    best = float(RAMP[0])
    for rate in RAMP:
        _, failed = crowd.totals()
        since = subscriber.count()
        _carry(crowd, rate, RAMP_STEP_S, progress)
        crowd.rest()
        time.sleep(LATE_S)
        placed_well = crowd.totals()[1] == failed
        late = [
            message
            for message in subscriber.of("soak", f"calls/{LINE}/ended", since=since)
            if message.at - _epoch(message.body["ended_at"]) > LATE_S
        ]
        if not placed_well or late:
            break
        best = float(rate)
    return best


def _epoch(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()


def _books(
    pbx: Asterisk,
    crowd: Crowd,
    daemon: Daemon,
    subscriber: Subscriber,
    folder: Path,
    watch: Watch,
    rate: float,
    seconds: float,
) -> Soaked:
    def calls() -> frozenset[str]:
        # A busy operator makes two rows of one call.
        return frozenset(row.unique_id for row in pbx.cdr() if row.context == "from-soak")

    def messages() -> Counter[str]:
        return Counter(message.body["call_id"] for message in subscriber.of("soak", f"calls/{LINE}/ended"))

    wait_for(lambda: not pbx.request_list("/channels"), SETTLE_S, "Asterisk's channels to end")
    # Where some are lost, the faults say which.
    with contextlib.suppress(AssertionError):
        wait_for(lambda: calls() <= messages().keys(), SETTLE_S, "every call's record")
    # A gauge follows within a second.
    time.sleep(2)
    now = subscriber.of("soak", f"lines/{LINE}/now")[-1].body
    database = sqlite3.connect(folder / "soak.db", timeout=10)
    try:
        rows = database.execute("SELECT call_id, complete, outcome FROM calls").fetchall()
    finally:
        database.close()
    journal = folder / "soak.journal"
    placed, failed = crowd.totals()
    return Soaked(
        rate=rate,
        seconds=seconds,
        placed=placed,
        failed=failed,
        calls=calls(),
        records=Counter(row[0] for row in rows),
        messages=messages(),
        incomplete=sum(not row[1] for row in rows),
        open_calls=sum(now[name] for name in ("waiting", "ringing", "talking", "on_hold")),
        journal_bytes=journal.stat().st_size if journal.exists() else 0,
        samples=tuple(watch.samples),
        outcomes=Counter(row[2] for row in rows),
    )
