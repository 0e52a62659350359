"""Operators whose phone rings in vain: after a number of rings by queues they are away (RONA). Pure.

A ring counts if the queue gave it up by itself. One that a colleague answered, or whose client left, says
nothing of the operator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from callsteward.calls.directory import Directory

if TYPE_CHECKING:
    from collections.abc import Callable

    from callsteward.ari.events import Dial
    from callsteward.config import Config

_IN_VAIN, _ANSWERED = "NOANSWER", "ANSWER"


class Unanswered(NamedTuple):
    """An operator who did not answer, `times` in a row; `line`: the last one."""

    operator: str
    line: str
    times: int


class UnansweredRings:
    """Counts for one site. `whose`: the operator behind a queue's member."""

    def __init__(self, config: Config, whose: Callable[[str], str | None]) -> None:
        self._config = config
        self._directory = Directory(config)
        self._whose = whose
        self._counts: dict[str, int] = {}
        profiles = {line.name: config.profile(line.name) for line in config.lines}
        self._limits = {name: profile.away_after_unanswered for name, profile in profiles.items()}
        self.wanted = any(self._limits.values())

    def hear(self, event: Dial) -> Unanswered | None:
        """A dial began, went on or ended; returns an operator whose limit is reached with it."""
        caller = event.caller
        if caller is None or caller.dialplan.app_name != "Queue":
            return None
        if event.dialstatus not in {_IN_VAIN, _ANSWERED}:
            return None
        name = event.peer.name
        operator = self._whose(name[: name.rfind("-")])
        if operator is None:
            return None
        if event.dialstatus == _ANSWERED:
            self._counts.pop(operator, None)
            return None
        line = self._directory.line_of_queue(caller.dialplan.app_data.partition(",")[0]) or ""
        limit = self._limits.get(line, 0)
        if not limit:
            return None
        times = self._counts[operator] = self._counts.get(operator, 0) + 1
        if times < limit:
            return None
        del self._counts[operator]
        return Unanswered(operator, line, times)

    def forget(self) -> None:
        """Events were missed: nobody's rings were in a row for sure."""
        self._counts.clear()
