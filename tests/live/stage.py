"""Plays the lab's scenarios, several at a time, and finds each one's records again."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from callsteward.record.call import CallRecord
from callsteward.record.number import Numbers
from tests.judge.truth import Truth, epoch
from tests.lab.asterisk import Asterisk
from tests.lab.capture import scenario_command
from tests.lab.field_lanes import FieldLane
from tests.lab.lanes import Lane, OutsideLine
from tests.lab.pbx_config import REPOSITORY
from tests.live.lag import TOO_LATE_S, LagMeter

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

    @property
    def names(self) -> dict[str, str]:
        """Lane 0's names, which the judge uses, to this lane's."""
        first = type(self.lane)(0, self.lane.driver)
        names = dict(zip(first.operators, self.lane.operators, strict=True))
        names |= dict(zip(_masked_lines(first), _masked_lines(self.lane), strict=True))
        if isinstance(first, Lane) and isinstance(self.lane, Lane):
            names[first.did(20)] = self.lane.did(20)
            names[first.park_extension] = self.lane.park_extension
        elif isinstance(first, FieldLane) and isinstance(self.lane, FieldLane):
            names[first.queue("0")] = self.lane.queue("0")
        return names

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


def masked(lane: Lane, place: int) -> str:
    """An outside line's number as callsteward shows it."""
    return _masked(lane.outside(place))


def _masked(line: OutsideLine) -> str:
    return str(_numbers.masked(line.number))


def _masked_lines(lane: Lane | FieldLane) -> list[str]:
    return [_masked(line) for line in lane.outside_lines]


def longest_first(names: Iterable[str]) -> list[str]:
    """The order that keeps all lanes busy to the end, by how long the recorded streams are."""

    def length_s(name: str) -> float:
        path = next(path for folder in STREAMS if (path := folder / f"{name}.jsonl").exists())
        first, *_, last = path.read_bytes().splitlines()
        return epoch(json.loads(last)["timestamp"]) - epoch(json.loads(first)["timestamp"])

    return sorted(names, key=length_s, reverse=True)


def play(
    pbx: Asterisk,
    names: Sequence[str],
    lanes: Sequence[int],
    kind: type[Lane | FieldLane] = Lane,
) -> dict[str, Played]:
    """Play scenarios, one at a time on each lane; what the phones did, by scenario.

    `kind`: of the site the scenarios are made for.
    """
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    for name in names:
        waiting.put(name)
    played: dict[str, Played] = {}

    def work(lane: Lane | FieldLane) -> None:
        while True:
            try:
                name = waiting.get_nowait()
            except queue.Empty:
                return
            result = _play(pbx, name, lane)
            for _ in range(MORE_TRIES):
                # Phones that trip over a busy machine, or are late with it, say nothing about callsteward.
                late = _late_s(meter, result)
                if not result.error and late <= TOO_LATE_S:
                    break
                why = result.error or f"the machine stood still for {late * 1000:.0f} ms"
                print(f"{name} once more: {why}", flush=True)
                time.sleep(BETWEEN_S)
                result = _play(pbx, name, lane)
            played[name] = result
            print(
                f"[{len(played)}/{len(names)}] {name}: {result.ended - result.began:.0f} s"
                f"{' FAILED: ' + result.error if result.error else ''}",
                flush=True,
            )
            time.sleep(BETWEEN_S)

    workers = [
        threading.Thread(target=work, args=(lane,), name=f"lane {lane.index}")
        for lane in (kind(index, pbx.driver) for index in lanes)
    ]
    with LagMeter() as meter:
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    return played


def _late_s(meter: LagMeter, played: Played) -> float:
    """How late the machine was with a scenario: where minutes pass between its acts, with the acts alone."""
    if played.ended - played.began < LONG_S:
        return meter.worst_s(played.began, played.ended)
    moments = [act["t"] for act in played.truth.acts]
    return max(meter.worst_s(at - NEAR_ACT_S, at + NEAR_ACT_S) for at in moments)


def _play(pbx: Asterisk, name: str, lane: Lane | FieldLane) -> Played:
    began = time.time()
    try:
        result = subprocess.run(
            scenario_command(pbx, name, lane.index),
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Played(name, lane, Truth([]), began, time.time(), f"did not end within {LIMIT_S} s")
    acts = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    acts.sort(key=lambda act: act["t"])
    error = ""
    if result.returncode:
        error = result.stderr.strip() or f"exit code {result.returncode}"
    return Played(name, lane, Truth(acts), began, time.time(), error)
