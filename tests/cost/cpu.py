"""CPU time of a process with all that it has started, as the kernel counts it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


@dataclass(frozen=True)
class Spent:
    """Seconds of CPU: of the process itself, and of the processes that it started."""

    own_s: float
    children_s: float

    @property
    def all_s(self) -> float:
        return self.own_s + self.children_s

    def since(self, before: Spent) -> Spent:
        """The time spent after `before`."""
        return Spent(self.own_s - before.own_s, self.children_s - before.children_s)


def spent(pid: int) -> Spent:
    """The time that a process has spent. Raises OSError where it is gone."""
    stats = {entry.name: text for entry in _PROC.iterdir() if (text := _stat(entry))}
    if str(pid) not in stats:
        message = f"no process {pid}"
        raise ProcessLookupError(message)
    return spent_by(pid, stats.values())


def spent_by(pid: int, stats: Iterable[str]) -> Spent:
    """The same from the texts of /proc/PID/stat of all processes."""
    fields = {}
    for text in stats:
        # The name in parentheses may hold spaces and parentheses.
        head, _, tail = text.rpartition(")")
        fields[int(head.partition(" ")[0])] = tail.split()
    parents = {one: int(values[1]) for one, values in fields.items()}
    own, reaped = _times(fields[pid])
    living = [sum(_times(fields[one])) for one in parents if _descends(one, pid, parents)]
    return Spent(own, reaped + sum(living))


def _times(values: list[str]) -> tuple[float, float]:
    """Of the process, and of those that it started and that have ended (proc(5): utime to cstime)."""
    user, system, user_of_children, system_of_children = (int(value) / _TICK for value in values[11:15])
    return user + system, user_of_children + system_of_children


def _descends(one: int, pid: int, parents: dict[int, int]) -> bool:
    while one in parents and one != pid:
        one = parents[one]
        if one == pid:
            return True
    return False


def _stat(entry: Path) -> str:
    if not entry.name.isdecimal():
        return ""
    try:
        return (entry / "stat").read_text()
    except OSError:
        return ""
