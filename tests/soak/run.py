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
from tests.lab.errors import LabError
from tests.lab.ports import free_port
from tests.live.daemon import Daemon, wait_for
from tests.live.subscriber import ACL, PASSWORD, USER, Subscriber
from tests.soak.pbx import LINE, Crowd, prepare_settings
from tests.soak.result import MAX_SLOPE, Soaked, memory_slope, warm
from tests.soak.vitals import Held, Metrics, Watch, held, least

Progress = Callable[[str, float], None]
"""What goes on, and how much of it is done (0 to 1)."""

RAMP = (5.0, 10.0, 20.0, 30.0, 40.0, 60.0, 80.0, 100.0)
RAMP_STEP_S = 10.0
# Of the highest rate that went well: what a machine carries for ten minutes is less than for ten seconds.
OF_HIGHEST = 0.7
# Late is what a second of work could not keep up with.
LATE_S = 1.0
SETTLE_S = 30.0
# Before the calls: how long the daemon is looked at without work. After them: how long it may take to come
# to rest (a connection to Asterisk's HTTP server that is not used is closed after 15 s).
LOOK_S = 4.0
REST_S = 30.0
LONGER_S = 60.0
# The shipped configuration's intervals, and by when the sum of one is made.
INTERVAL_S = 1800.0
SUMMED_S = 20.0
TOKEN = "a token for the soak, in the lab alone"


@dataclass(frozen=True)
class Plan:
    """How long, and how many calls a second: `rate`, or what the machine carries by a ramp of such rates.

    `seconds` are measured, after `warm_up_s`. Where by then memory's slope is not surely under the limit, it
    goes on for `patience_s` at most: a minute in which the heap took one step looks like any minute of a
    leak, and the next ones tell them apart. With `interval_first` the first sum of an interval, for which
    memory is taken once, belongs to the warm-up where it would come while it is measured.
    """

    seconds: float
    warm_up_s: float
    rate: float | None = None
    ramp: tuple[float, ...] = RAMP
    patience_s: float = 0.0
    interval_first: bool = False


def soak(plan: Plan, progress: Progress) -> Soaked:
    """Soak a daemon."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="callsteward-soak-") as temporary:
        folder = Path(temporary)
        pbx = Asterisk(first=False)
        crowd = Crowd(pbx)
        broker = Mosquitto(users={USER: PASSWORD}, tls=True, acl=ACL)
        with pbx, broker, Subscriber(broker) as subscriber, crowd:
            web = {"enabled": True, "port": port, "token": TOKEN}
            with Daemon(folder, "soak", prepare_settings(folder, pbx, broker, web=web)) as daemon:
                daemon.start()
                subscriber.wait("soak", "status", lambda body: body["asterisk"] == "connected")
                # With a rate given, too: what only the first calls bring (connections, threads) is no leak.
                carried = _highest(crowd, subscriber, progress, (plan.rate,) if plan.rate else plan.ramp)
                rate = plan.rate or OF_HIGHEST * carried
                metrics = Metrics(port, TOKEN)
                before = least(lambda: held(daemon.pid, metrics), LOOK_S)
                with Watch(daemon.pid) as watch:
                    began_s = time.monotonic()
                    warm_s = _carry_on(pbx, crowd, rate, plan, watch, progress)
                    seconds = time.monotonic() - began_s
                crowd.rest()
                return _books(
                    pbx, crowd, daemon, subscriber, folder, watch,
                    rate=rate, seconds=seconds, warm_s=warm_s,
                    before=before, metrics=metrics,
                )  # fmt: skip


def _carry_on(
    pbx: Asterisk, crowd: Crowd, rate: float, plan: Plan, watch: Watch, progress: Progress
) -> float:
    """Warm up and measure, for as long as the plan says; the calls go on when this returns.

    Returns when the warm-up was over (time.monotonic()).
    """
    began_s = time.monotonic()
    warm_s = began_s + plan.warm_up_s
    summed_s = began_s + INTERVAL_S - time.time() % INTERVAL_S + SUMMED_S
    if plan.interval_first and warm_s < summed_s < warm_s + plan.seconds + SUMMED_S:
        warm_s = summed_s
    end_s = warm_s + plan.seconds
    latest_s = end_s + plan.patience_s
    crowd.call(rate)
    while True:
        while (now_s := time.monotonic()) < end_s:
            memory = f", {watch.samples[-1].rss_mib:.1f} MiB" if watch.samples else ""
            what = "warming up" if now_s < warm_s else "measuring"
            progress(f"{what} at {rate:g} calls a second{memory}", (now_s - began_s) / (end_s - began_s))
            time.sleep(0.5)
            if not pbx.running:
                # Seen once in 130,000 calls: a task was pushed to a taskprocessor that had no listener any
                # more, as in asterisk#1985 (a channel's end, chan_pjsip).
                message = f"Asterisk ended by itself after {now_s - began_s:.0f} s (see dmesg): no soak"
                raise LabError(message)
        rise = memory_slope(warm(tuple(watch.samples), warm_s))
        if end_s + LONGER_S > latest_s or rise.surely_under(MAX_SLOPE):
            return warm_s
        end_s += LONGER_S


def _highest(crowd: Crowd, subscriber: Subscriber, progress: Progress, ramp: tuple[float, ...]) -> float:
    """The highest rate of the ramp at which every call went well and its record came at once."""
    best = ramp[0]
    for step, rate in enumerate(ramp):
        _, failed = crowd.totals()
        since = subscriber.count()
        progress(f"can it carry {rate:g} calls a second?", step / len(ramp))
        crowd.call(rate)
        time.sleep(RAMP_STEP_S)
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
        best = rate
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
    *,
    rate: float,
    seconds: float,
    warm_s: float,
    before: Held,
    metrics: Metrics,
) -> Soaked:
    def calls() -> frozenset[str]:
        # A busy operator makes two rows of one call.
        return frozenset(row.unique_id for row in pbx.cdr() if row.context == "from-soak")

    def messages() -> Counter[str]:
        return Counter(message.body["call_id"] for message in subscriber.of("soak", f"calls/{LINE}/ended"))

    after = before

    def at_rest() -> bool:
        nonlocal after
        after = held(daemon.pid, metrics)
        return after.no_more_than(before)

    wait_for(lambda: not pbx.request_list("/channels"), SETTLE_S, "Asterisk's channels to end")
    # Where some are lost, the faults say which; where something is held, what.
    with contextlib.suppress(AssertionError):
        wait_for(lambda: calls() <= messages().keys(), SETTLE_S, "every call's record")
    with contextlib.suppress(AssertionError):
        wait_for(at_rest, REST_S, "the daemon to come to rest")
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
        open_calls=sum(now[name] for name in ("waiting", "ringing", "talking", "on_hold"))
        + int(metrics.read("callsteward_open_calls")),
        journal_bytes=journal.stat().st_size if journal.exists() else 0,
        warm_s=warm_s,
        samples=tuple(watch.samples),
        held=(before, after),
        outcomes=Counter(row[2] for row in rows),
    )
