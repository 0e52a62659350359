"""One measure: a real Asterisk and its callers, a broker with TLS, the daemon with everything on."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tests.compiled.build import environment
from tests.cost.cpu import Spent, spent
from tests.cost.profile import shares
from tests.cost.result import Cost
from tests.lab.asterisk import Asterisk
from tests.lab.broker import Mosquitto
from tests.lab.errors import LabUnavailable
from tests.lab.ports import free_port
from tests.live.daemon import Daemon, wait_for
from tests.live.settings import Settings
from tests.live.subscriber import ACL, PASSWORD, USER, Received, Subscriber
from tests.soak.pbx import LINE, NAMES, Crowd, prepare_settings
from tests.soak.vitals import Metrics

Progress = Callable[[str], None]

NAME = "cost"
TOKEN = "a token for the cost, in the lab alone"
# Before it is measured: what only the first calls bring is made.
WARM_UP_S = 8.0
SETTLE_S = 30.0
LATE_S = 1.0
# As Prometheus asks by default.
SCRAPE_EVERY_S = 15.0
PY_SPY = Path(sys.executable).with_name("py-spy")
SAMPLES_A_SECOND = 200


@dataclass(frozen=True)
class Plan:
    """Each rate is measured for `seconds`, then profiled for `profile_s`. `core`: a compiled one's folder.

    `stacks`: a folder that is to keep the profiles, as flame graph programs read them.
    """

    rates: tuple[float, ...]
    seconds: float
    profile_s: float
    core: Path | None = None
    stacks: Path | None = None


@dataclass(frozen=True)
class Measured:
    """`idle_s`: CPU seconds of the daemon in a minute without a call."""

    idle_s: float
    costs: list[Cost]


def measure(plan: Plan, progress: Progress) -> Measured:
    """Raises LabError where it cannot be played."""
    if plan.profile_s and not PY_SPY.exists():
        message = "py-spy is missing: make cost installs it"
        raise LabUnavailable(message)
    ports = free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="callsteward-cost-") as temporary:
        folder = Path(temporary)
        pbx = Asterisk(first=False)
        crowd = Crowd(pbx)
        broker = Mosquitto(users={USER: PASSWORD}, tls=True, acl=ACL, persistence=False, log_type="error")
        with pbx, broker, Subscriber(broker) as subscriber, crowd:
            settings = prepare_settings(folder, pbx, broker, name=NAME, **everything_on(pbx, *ports))
            with Daemon(folder, NAME, settings) as daemon:
                daemon.environment = {"PYTHONPATH": environment(plan.core)["PYTHONPATH"]}
                daemon.start()
                subscriber.wait(NAME, "status", lambda body: body["asterisk"] == "connected")
                bench = _Bench(pbx, crowd, broker, subscriber, daemon, Metrics(ports[0], TOKEN))
                progress("warming up")
                bench.call(min(plan.rates), WARM_UP_S)
                progress("without a call")
                idle_s = bench.idle()
                return Measured(idle_s, [bench.cost(rate, plan, progress, folder) for rate in plan.rates])


def everything_on(pbx: Asterisk, web_port: int, agi_port: int) -> Settings:
    """Settings of a usual site, beside the shipped configuration."""
    return {
        "web": {"enabled": True, "port": web_port, "token": TOKEN},
        "agi": {"enabled": True, "port": agi_port},
        "callback": {"enabled": True},
        "operators": {name: {"name": f"Operator {name}"} for name in NAMES},
        "tags": {"enabled": True},
        "rating": {"enabled": True, "prompts_dir": f"/lab/{pbx.name}/prompts"},
        "commands": {"http": True, "mqtt": True},
        "profiles": {"standard": {"rating": "stay", "greeting_s": 1}},
        # Nobody speaks: a talk counts by its time.
        "asterisk": {"talk_detect": "auto"},
    }


class _Bench:
    """All of it at work."""

    def __init__(
        self,
        pbx: Asterisk,
        crowd: Crowd,
        broker: Mosquitto,
        subscriber: Subscriber,
        daemon: Daemon,
        metrics: Metrics,
    ) -> None:
        self._pbx = pbx
        self._crowd = crowd
        self._broker = broker
        self._subscriber = subscriber
        self._daemon = daemon
        self._metrics = metrics

    def call(self, rate: float, seconds: float) -> tuple[int, int, list[Received]]:
        """Calls placed and failed, and their records, once all are over and each record has come."""
        placed_before, failed_before = self._crowd.totals()
        since = self._subscriber.count()
        self._crowd.call(rate)
        until = time.monotonic() + seconds
        while (left_s := until - time.monotonic()) > 0:
            self._metrics.read("callsteward_open_calls")
            time.sleep(min(SCRAPE_EVERY_S, left_s))
        self._crowd.rest(SETTLE_S)
        wait_for(lambda: not self._pbx.request_list("/channels"), SETTLE_S, "Asterisk's channels to end")
        placed, failed = self._crowd.totals()
        placed -= placed_before

        def records() -> list[Received]:
            return self._subscriber.of(NAME, f"calls/{LINE}/ended", since=since)

        with contextlib.suppress(AssertionError):
            wait_for(lambda: len(records()) >= placed, SETTLE_S, "every call's record")
        return placed, failed - failed_before, records()

    def idle(self, seconds: float = 10.0) -> float:
        """CPU seconds in a minute without a call."""
        before = spent(self._daemon.pid)
        time.sleep(seconds)
        return 60 / seconds * spent(self._daemon.pid).since(before).all_s

    def cost(self, rate: float, plan: Plan, progress: Progress, folder: Path) -> Cost:
        progress(f"measuring at {rate:g} calls a second")
        before = self._spent()
        placed, failed, records = self.call(rate, plan.seconds)
        daemon, asterisk, broker = (now.since(then) for now, then in zip(self._spent(), before, strict=True))
        found: dict[str, float] = {}
        if plan.profile_s:
            progress(f"profiling at {rate:g} calls a second")
            file = (plan.stacks or folder) / f"stacks-{rate:g}"
            with _profiled(self._daemon.pid, plan.profile_s, file) as stacks:
                self.call(rate, plan.profile_s)
            found = shares(stacks.read_text().splitlines())
        return Cost(
            rate=rate,
            seconds=plan.seconds,
            calls=placed,
            failed=failed,
            records=len({record.body["call_id"] for record in records}),
            late=sum(record.at - _epoch(record.body["ended_at"]) > LATE_S for record in records),
            daemon=daemon,
            asterisk_s=asterisk.all_s,
            broker_s=broker.all_s,
            shares=found,
        )

    def _spent(self) -> tuple[Spent, Spent, Spent]:
        return spent(self._daemon.pid), spent(self._pbx.pid), spent(self._broker.pid)


@contextlib.contextmanager
def _profiled(pid: int, seconds: float, stacks: Path) -> Iterator[Path]:
    """Samples of a process; the file has them afterwards."""
    command = [
        str(PY_SPY), "record", "--pid", str(pid),
        "--rate", str(SAMPLES_A_SECOND), "--duration", f"{seconds:.0f}",
        "--gil", "--format", "raw", "--full-filenames", "--nonblocking", "--output", str(stacks),
    ]  # fmt: skip
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        yield stacks
        process.wait(SETTLE_S)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _epoch(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()
