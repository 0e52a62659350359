"""The clock is set by an hour while a call is on: the daemon's, Asterisk's, or that of the machine of both.

Debian's libfaketime sets the wall clock of the real processes and leaves time.monotonic() alone, as an
administrator does. The phones' own time is the truth.
"""

from __future__ import annotations

import itertools
import secrets
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from tests.lab.asterisk import Asterisk
from tests.lab.broker import Mosquitto
from tests.lab.faketime import SetClock
from tests.lab.phone_process import Phones
from tests.lab.ports import free_port
from tests.live.availability import lab_or_skip
from tests.live.daemon import Daemon, wait_for
from tests.live.settings import lab_settings, merged
from tests.live.subscriber import Subscriber

pytestmark = [pytest.mark.live, pytest.mark.takes(80)]

NAME = "clock"
HOUR_S = 3600
WATCHDOG_S = 10
# A signal of life comes each second.
ALIVE_S = 4.0
# A phone reports its act some ms before Asterisk does, on a busy machine more.
CLOSE_S = 0.4
# A jump that the machine's clock does not confirm is believed on a link that has been up for this long.
SETTLED_S = 32.0


class Watchdog:
    """systemd, as far as the daemon can tell: notes its signals of life. Context manager."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "notify"
        self.alive_at: list[float] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._thread = threading.Thread(target=self._listen, name="watchdog", daemon=True)

    def __enter__(self) -> Self:
        self._socket.bind(str(self.path))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._socket.close()

    @property
    def longest_s(self) -> float:
        """The longest that it heard nothing."""
        moments = [*self.alive_at, time.monotonic()]
        return max(later - earlier for earlier, later in itertools.pairwise(moments))

    def _listen(self) -> None:
        while said := self._socket.recv(4096):
            if b"WATCHDOG=1" in said:
                self.alive_at.append(time.monotonic())


@dataclass(frozen=True)
class Scene:
    pbx: Asterisk
    clock: SetClock
    daemon: Daemon
    subscriber: Subscriber
    watchdog: Watchdog
    connected_s: float
    metrics: urllib.request.Request

    def set(self, what: str, by_s: int) -> None:
        """Set the clock of Asterisk, of the daemon, or of both at once, as on one machine."""
        if what != "daemon":
            assert self.pbx.clock is not None
            self.pbx.clock.step(by_s)
        if what != "asterisk":
            self.clock.step(by_s)

    def metric(self, name: str) -> float:
        with urllib.request.urlopen(self.metrics, timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        return float(next(line.split()[1] for line in lines if line.startswith(f"{name} ")))

    def status(self) -> dict[str, Any]:
        return self.subscriber.of(NAME, "status")[-1].body


@pytest.fixture(scope="module")
def scene(
    root_22: Path, broker: Mosquitto, subscriber: Subscriber, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("clock")
    port, token = free_port(), secrets.token_hex(16)
    with ExitStack() as stack:
        with lab_or_skip():
            clock = SetClock(folder)
            pbx = stack.enter_context(Asterisk(set_clock=True))
        web = {"web": {"enabled": True, "port": port, "token": token}}
        settings = merged(lab_settings(folder, pbx, broker, name=NAME), web)
        daemon = stack.enter_context(Daemon(folder, NAME, settings))
        watchdog = stack.enter_context(Watchdog(folder))
        daemon.environment = clock.environment | {
            "NOTIFY_SOCKET": str(watchdog.path),
            "WATCHDOG_USEC": str(WATCHDOG_S * 1_000_000),
        }
        daemon.start()
        metrics = urllib.request.Request(
            f"http://127.0.0.1:{port}/metrics", headers={"Authorization": f"Bearer {token}"}
        )
        yield Scene(pbx, clock, daemon, subscriber, watchdog, time.monotonic(), metrics)
        assert daemon.running
        assert daemon.terminate() == 0
        (said,) = daemon.said("daemon_stop")
        assert said["counters"]["tracker_errors"] == 0
        assert said["counters"]["connects"] == 1


def _played(scene: Scene, lane: int, sets: list[tuple[str, int]]) -> dict[str, float]:
    """A call with a talk, a hold and a talk; the clocks are set in the first talk and on hold, in turn."""
    turns = iter(sets)

    def turn() -> None:
        found = next(turns, None)
        if found is not None:
            scene.set(*found)

    with Phones(scene.pbx.sip_port, lane) as phones:
        phones.do("operator", "op1", {"answer_after_s": 1.0})
        phones.do("client", "client")
        phones.do("dial", "client", phones.lane.did(10))
        phones.do("until_talking", "op1")
        phones.say("op1", 3.5)
        phones.do("talk", "client")
        time.sleep(0.5)
        turn()
        time.sleep(1.0)
        phones.do("hush", "client")
        phones.do("hold", "op1")
        time.sleep(1.0)
        turn()
        time.sleep(1.5)
        phones.do("unhold", "op1")
        time.sleep(0.3)
        turn()
        phones.say("op1", 1.0)
        phones.do("bye", "client")
        for who in ("client", "op1"):
            phones.do("until_idle", who)
        at = {act["do"]: act["t"] for act in phones.acts}
    return {
        "duration_s": at["bye"] - at["dial"],
        "talk_s": at["bye"] - at["answer"] - (at["unhold"] - at["hold"]),
        "hold_s": at["unhold"] - at["hold"],
        "answer_latency_s": at["answer"] - at["ring"],
    }


@pytest.mark.parametrize(
    ("lane", "sets"),
    [
        (0, [("both", HOUR_S), ("both", -HOUR_S)]),
        (1, [("both", -HOUR_S), ("both", HOUR_S), ("both", -HOUR_S)]),
        (2, [("daemon", HOUR_S), ("daemon", -HOUR_S)]),
        (3, [("asterisk", HOUR_S), ("asterisk", -HOUR_S)]),
    ],
    ids=["both ahead, then back", "both back, ahead, back", "the daemon's", "another machine's"],
)
def test_a_clock_that_is_set_in_a_call_changes_no_span_of_it(
    scene: Scene, lane: int, sets: list[tuple[str, int]]
) -> None:
    alone = sets[0][0] == "asterisk"
    if alone:
        time.sleep(max(0.0, scene.connected_s + SETTLED_S - time.monotonic()))
    since = scene.subscriber.count()
    before = scene.metric("callsteward_clock_steps_total")
    corrected = len(scene.daemon.said("clock_corrected"))
    truth = _played(scene, lane, sets)
    record = scene.subscriber.wait(NAME, "calls/+/ended", since=since).body
    for name, wanted in truth.items():
        assert record[name] == pytest.approx(wanted, abs=CLOSE_S), name
    assert record["complete"] is True
    assert [hold["by"] for hold in record["holds"]] == ["operator"]
    assert record["hangup"]["first"] == "client"
    assert record["outcome"] == "completed"
    # No limit ran out in an hour that nobody waited.
    assert not scene.subscriber.of(NAME, "alerts/+/+", since=since)
    assert len(scene.subscriber.of(NAME, "calls/+/ended", since=since)) == 1
    # Each is a count, a log line and on `status`.
    wait_for(
        lambda: scene.status()["clock_steps"] == before + len(sets), 5, "every step to be told on status"
    )
    assert scene.metric("callsteward_clock_steps_total") == before + len(sets)
    if not alone:
        assert {abs(round(entry["step_s"])) for entry in scene.daemon.said("clock_step")} == {HOUR_S}
    told = scene.daemon.said("clock_corrected")[corrected:]
    assert len(told) == (0 if sets[0][0] == "daemon" else len(sets))
    for (_, by_s), entry in zip(sets, told, strict=False):
        assert entry["step_s"] == pytest.approx(by_s, abs=CLOSE_S)
    assert scene.watchdog.longest_s < ALIVE_S
