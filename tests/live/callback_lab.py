"""A PBX, a daemon that calls back, and shows with real phones on it."""

from __future__ import annotations

import json
import os
import queue
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from callsteward import faults
from tests.lab.asterisk import Asterisk
from tests.lab.lanes import TECHNOLOGIES, Lane, every_lane
from tests.lab.pbx_config import REPOSITORY

COMMAND = Path(sys.executable).with_name("callsteward")
SHOW_LIMIT_S = 120
STOP_S = 8.0


def _toml(value: object) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)


def settings(pbx: Asterisk, database: Path, **callback: object) -> dict[str, Any]:
    """A line for each lane, so that each show has operators and an outside line of its own."""
    lines = [
        {
            "name": f"lane{lane.index}",
            "dids": [lane.did(10)],
            "operators": [lane.operator(1), lane.operator(2)],
            "profile": "quick",
            "callback_dial": f"{lane.technology}/{{number}}@{lane.outside(1).endpoint}",
        }
        for lane in every_lane(pbx.driver)
    ]
    technology = TECHNOLOGIES[pbx.driver]
    return {
        "site": {"name": "lab"},
        "asterisk": {
            "url": pbx.ari.base_url.removesuffix("/ari"),
            "password": pbx.ari.password,
            "talk_detect": "on",
        },
        "endpoints": {"operators": [f"{technology}/1[0-9][0-9]", f"{technology}/1[0-9][0-9][0-9]"]},
        "lines": lines,
        "profiles": {"quick": {"greeting_s": 1}},
        "mqtt": {"enabled": False},
        "store": {"url": f"sqlite:///{database}"},
        "privacy": {"hmac_key": "a key for the lab"},
        "callback": {
            "enabled": True,
            "ring_s": 6,
            "operator_ring_s": 5,
            "same_operator_s": 2,
            "operator_dial": f"{technology}/{{operator}}",
            "max_parallel": 20,
            "caller_id": "+74950000000",
            "per_number_a_day": 100,
        }
        | callback,
    }


class Daemon:
    """`callsteward run` in a process of its own. Use as a context manager."""

    def __init__(self, folder: Path, name: str, values: Mapping[str, Any]) -> None:
        self.config = folder / f"{name}.toml"
        self.config.write_text("".join(f"{key} = {_toml(value)}\n" for key, value in values.items()))
        self.config.chmod(0o600)
        self.log_file = folder / f"{name}.log"
        self.recording = folder / f"{name}.jsonl"
        self.database = Path(str(values["store"]["url"]).removeprefix("sqlite:///"))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.running:
            self.end(signal.SIGTERM)

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, *, fault: str = "", limit_s: float = 30) -> None:
        """Start it, armed to be killed at a fault point or not, and wait until Asterisk is connected."""
        environment = {key: value for key, value in os.environ.items() if key != faults.VARIABLE}
        if fault:
            environment[faults.VARIABLE] = fault
        with self.log_file.open("ab") as log:
            said = log.tell()
            self._process = subprocess.Popen(
                [COMMAND, "run", "-c", self.config, "--record", self.recording],
                cwd=REPOSITORY,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
            )
        self.until(lambda: b'"ari_connected"' in self.log_file.read_bytes()[said:], limit_s, "connect")

    def until(self, happened: Any, limit_s: float, what: str) -> None:
        deadline = time.monotonic() + limit_s
        while not happened():
            if not self.running or time.monotonic() > deadline:
                tail = self.log_file.read_text()[-3000:]
                message = f"the daemon did not {what} (running: {self.running}):\n{tail}"
                raise AssertionError(message)
            time.sleep(0.02)

    def wait(self, limit_s: float) -> int:
        """Its exit code, once it has ended."""
        assert self._process is not None
        return self._process.wait(limit_s)

    def end(self, how: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(how)
        return self._process.wait(STOP_S)

    def freeze(self) -> None:
        """Stop it dead: it lives, and does nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def callbacks(self) -> list[dict[str, Any]]:
        """The ledger's rows, oldest first."""
        return self._rows("SELECT * FROM callbacks ORDER BY id")

    def steps(self, origin_call_id: str) -> list[dict[str, Any]]:
        return self._rows(
            "SELECT t.* FROM callback_transitions t JOIN callbacks c ON c.id = t.callback"
            " WHERE c.origin_call_id = ? ORDER BY t.id",
            origin_call_id,
        )

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(row["record"]) for row in self._rows("SELECT record FROM calls ORDER BY id")]

    def _rows(self, query: str, *values: str) -> list[dict[str, Any]]:
        connection = sqlite3.connect(self.database, timeout=10)
        try:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(query, values)]
        finally:
            connection.close()


@dataclass(frozen=True)
class Played:
    """A show as the phones played it."""

    name: str
    lane: Lane
    acts: list[dict[str, Any]] = field(default_factory=list)
    error: str = ""

    def rings(self, who: str) -> list[float]:
        """When INVITEs reached a phone, Unix seconds."""
        return [float(act["t"]) for act in self.acts if act["do"] == "ring" and act["who"] == who]

    @property
    def invites(self) -> int:
        """INVITEs that the client's phone received."""
        return len(self.rings("client"))

    def rows(self, rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """Of a table's rows those of this show's lane."""
        return [row for row in rows if row["line"] == f"lane{self.lane.index}"]


class Playing:
    """A show that runs, in a process of its own."""

    def __init__(self, pbx: Asterisk, name: str, lane: int, shows: str = "tests.live.callback_show") -> None:
        self.name = name
        self.lane = Lane(lane, pbx.driver)
        self._process = subprocess.Popen(
            [
                sys.executable, "-m", shows, name,
                "--sip-port", str(pbx.sip_port), "--lane", str(lane), "--driver", pbx.driver,
                "--ari-url", pbx.ari.base_url, "--ari-authorization", pbx.ari.authorization,
            ],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip

    def cue(self) -> None:
        """Let a show go on that waits for it (`cues.until_cue`)."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def end(self) -> Played:
        """Wait for its end."""
        try:
            out, errors = self._process.communicate(timeout=SHOW_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            out, _ = self._process.communicate()
            errors = f"did not end within {SHOW_LIMIT_S} s"
        acts = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
        acts.sort(key=lambda act: act["t"])
        error = ""
        if self._process.returncode:
            error = errors.strip() or f"exit code {self._process.returncode}"
        return Played(self.name, self.lane, acts, error)


def play_all(
    pbx: Asterisk, names: Sequence[str], at_once: int, shows: str = "tests.live.callback_show"
) -> dict[str, Played]:
    """Play shows, each on a lane of its own, so many at a time."""
    waiting: queue.SimpleQueue[tuple[int, str]] = queue.SimpleQueue()
    for place, name in enumerate(names):
        waiting.put((place, name))
    played: dict[str, Played] = {}

    def work() -> None:
        while True:
            try:
                lane, name = waiting.get_nowait()
            except queue.Empty:
                return
            played[name] = Playing(pbx, name, lane, shows).end()
            done = played[name]
            print(f"[{len(played)}/{len(names)}] {name}: {done.invites} INVITEs {done.error}", flush=True)

    workers = [threading.Thread(target=work, name=f"show {index}") for index in range(at_once)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return played
