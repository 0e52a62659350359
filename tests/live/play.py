"""Plays scenarios with real phones, several at a time, and finds each one's records again."""

from __future__ import annotations

import json
import queue
import subprocess
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from callsteward.record.call import CallRecord
from callsteward.record.number import Numbers
from tests.judge.truth import Truth, epoch
from tests.lab.asterisk import Asterisk
from tests.lab.capture import scenario_command
from tests.lab.field_lanes import FieldLane
from tests.lab.lanes import Lane
from tests.lab.pbx_config import REPOSITORY
from tests.live.lag import TOO_LATE_S, LagMeter

CALLBACKS = "tests.live.callback_scenarios"
CALLBACKS_ON_SITES = "tests.live.callback_field_scenarios"
RATINGS = "tests.live.rating_scenarios"
TAGS = "tests.live.tag_scenarios"

_REPLAY = REPOSITORY / "tests" / "replay"
STREAMS = (_REPLAY / "streams", _REPLAY / "streams16", _REPLAY / "field")
LIMIT_S = 150
# Until the PBX has taken the lane's last call down.
BETWEEN_S = 0.5
MORE_TRIES = 2
LONG_S = 30
NEAR_ACT_S = 0.3
_numbers = Numbers("RU", None)


@dataclass(frozen=True)
class Played:
    """One scenario as the phones played it, from `began` to `ended` (Unix seconds)."""

    name: str
    lane: Lane | FieldLane
    truth: Truth
    began: float
    ended: float
    error: str

    def at(self, do: str) -> float:
        """When something was first done, Unix seconds."""
        return next(float(act["t"]) for act in self.truth.acts if act["do"] == do)

    def rings(self, who: str) -> list[float]:
        """When INVITEs reached a phone, Unix seconds."""
        return [float(act["t"]) for act in self.truth.acts if act["do"] == "ring" and act["who"] == who]

    @property
    def invites(self) -> int:
        """INVITEs that the client's phone received."""
        return len(self.rings("client"))

    def rows(self, rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """Of a table's rows those of this lane's line."""
        return [row for row in rows if row["line"] == f"lane{self.lane.index}"]

    @property
    def names(self) -> dict[str, str]:
        """Lane 0's names, which the judge uses, to this lane's."""
        first = type(self.lane)(0, self.lane.driver)
        return dict(zip(_names(first), _names(self.lane), strict=True))

    def records(self, among: Iterable[CallRecord]) -> list[CallRecord]:
        """The records of this scenario's calls, in the order given."""
        clients = set(_masked_lines(self.lane))
        operators = set(self.lane.operators)

        def ours(record: CallRecord) -> bool:
            people = {record.operator, *(attempt.operator for attempt in record.attempts)}
            return record.client_masked in clients or not people.isdisjoint(operators)

        return [
            record
            for record in among
            if ours(record) and self.began <= epoch(record.started_at) <= self.ended
        ]


def masked(lane: Lane | FieldLane, place: int) -> str:
    """An outside line's number as callsteward shows it."""
    return str(_numbers.masked(lane.outside(place).number))


def _masked_lines(lane: Lane | FieldLane) -> list[str]:
    return [str(_numbers.masked(line.number)) for line in lane.outside_lines]


def _names(lane: Lane | FieldLane) -> list[str]:
    return [*lane.operators, *_masked_lines(lane), *lane.numbers]


class Playing:
    """A scenario that is being played, in a process of its own. `module`: see `scenario_command`."""

    def __init__(
        self, pbx: Asterisk, name: str, lane: int | Lane | FieldLane, module: str = CALLBACKS
    ) -> None:
        self.name = name
        self.lane = Lane(lane, pbx.driver) if isinstance(lane, int) else lane
        self._began = time.time()
        self._process = subprocess.Popen(
            scenario_command(pbx, name, self.lane.index, module),
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def cue(self) -> None:
        """Let a scenario go on that waits for it (`Stage.until_cue`)."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def end(self) -> Played:
        """Wait for its end."""
        error = ""
        try:
            out, errors = self._process.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            out, _ = self._process.communicate()
            errors = f"did not end within {LIMIT_S} s"
        if self._process.returncode:
            error = errors.strip() or f"exit code {self._process.returncode}"
        acts = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
        acts.sort(key=lambda act: act["t"])
        return Played(self.name, self.lane, Truth(acts), self._began, time.time(), error)


def play_each(
    pbx: Asterisk, names: Sequence[str], at_once: int, module: str = CALLBACKS
) -> dict[str, Played]:
    """Play scenarios, `at_once` at a time, each on a lane that no other one has."""

    def play_one(place: int) -> Played:
        return Playing(pbx, names[place], place, module).end()

    with ThreadPoolExecutor(at_once) as pool:
        return {played.name: played for played in pool.map(play_one, range(len(names)))}


def longest_first(names: Iterable[str]) -> list[str]:
    """The order that keeps all lanes busy to the end, by how long the recorded streams are."""

    def length_s(name: str) -> float:
        path = next(path for folder in STREAMS if (path := folder / f"{name}.jsonl").exists())
        first, *_, last = path.read_bytes().splitlines()
        return epoch(json.loads(last)["timestamp"]) - epoch(json.loads(first)["timestamp"])

    return sorted(names, key=length_s, reverse=True)


def play(
    pbx: Asterisk, names: Sequence[str], lanes: Sequence[int], kind: type[Lane | FieldLane] = Lane
) -> dict[str, Played]:
    """Play the lab's scenarios, one at a time on each lane; what the phones did, by scenario.

    `kind`: of the site the scenarios are made for.
    """
    free: queue.SimpleQueue[Lane | FieldLane] = queue.SimpleQueue()
    for index in lanes:
        free.put(kind(index, pbx.driver))

    def play_one(name: str) -> Played:
        lane = free.get()
        try:
            return _play(pbx, name, lane, meter)
        finally:
            time.sleep(BETWEEN_S)
            free.put(lane)

    with LagMeter() as meter, ThreadPoolExecutor(len(lanes)) as pool:
        return {played.name: played for played in pool.map(play_one, names)}


def _play(pbx: Asterisk, name: str, lane: Lane | FieldLane, meter: LagMeter) -> Played:
    for more in range(MORE_TRIES, -1, -1):
        played = Playing(pbx, name, lane, module="").end()
        # Phones that trip over a busy machine, or are late with it, say nothing about callsteward.
        late = _late_s(meter, played)
        if not played.error and late <= TOO_LATE_S:
            break
        why = played.error or f"the machine stood still for {late * 1000:.0f} ms"
        print(f"{name}, {more} more tries: {why}", flush=True)
        time.sleep(BETWEEN_S)
    print(f"{name}: {played.ended - played.began:.0f} s {played.error}", flush=True)
    return played


def _late_s(meter: LagMeter, played: Played) -> float:
    """How late the machine was with a scenario: where minutes pass between its acts, with the acts alone."""
    if played.ended - played.began < LONG_S:
        return meter.worst_s(played.began, played.ended)
    moments = [act["t"] for act in played.truth.acts]
    return max((meter.worst_s(at - NEAR_ACT_S, at + NEAR_ACT_S) for at in moments), default=0.0)
