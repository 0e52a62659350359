"""Alerts about operators: paused too long, nobody free while clients wait, everybody away. Pure.

Each is told once, at the moment its limit is crossed, and again only after it was over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from callsteward.record.facts import Alert, LineNow, OperatorNow, OperatorStatus

if TYPE_CHECKING:
    from callsteward.config import StatusesSettings

ANY_REASON: Final = "*"
_NOT_THERE: Final = frozenset({OperatorStatus.PAUSED, OperatorStatus.AWAY, OperatorStatus.UNREACHABLE})


class StatusAlerts:
    """One for a site. `roster`: the operators of a line."""

    def __init__(
        self, settings: StatusesSettings, lines: Iterable[str], roster: Callable[[str], Sequence[str]]
    ) -> None:
        self._settings = settings
        self._lines = tuple(lines)
        self._roster = roster
        self._since: dict[tuple[str, str], int] = {}
        self._told: set[tuple[str, str, str]] = set()

    @property
    def wanted(self) -> bool:
        settings = self._settings
        return bool(settings.pause_limits_s or settings.nobody_free_s or settings.everybody_away_s)

    def look(self, lines: Iterable[LineNow], operators: Iterable[OperatorNow], now_ms: int) -> list[Alert]:
        """The alerts of this moment that were not told before."""
        now = {operator.operator: operator for operator in operators}
        waiting = {line.line for line in lines if line.waiting}
        found = [*self._paused(now), *self._of_lines(now, waiting, now_ms)]
        due = [alert for alert in found if alert.at_ms <= now_ms]
        fresh = [alert for alert in due if _key(alert) not in self._told]
        self._told = {_key(alert) for alert in due}
        return fresh

    def _paused(self, now: Mapping[str, OperatorNow]) -> Iterator[Alert]:
        limits = self._settings.pause_limits_s
        for operator in now.values():
            since_ms = operator.paused_since_ms
            limit_s = limits.get(operator.pause_reason or ANY_REASON, limits.get(ANY_REASON))
            if limit_s is None or since_ms is None or operator.status is not OperatorStatus.PAUSED:
                continue
            line = next((name for name in self._lines if operator.operator in self._roster(name)), "")
            yield _alert("paused_too_long", line or self._lines[0], since_ms, limit_s, operator.operator)

    def _of_lines(
        self, now: Mapping[str, OperatorNow], waiting: Iterable[str], now_ms: int
    ) -> Iterator[Alert]:
        for line in self._lines:
            statuses = [now[name].status for name in self._roster(line) if name in now]
            # Nothing is concluded from what is not known.
            known = bool(statuses) and OperatorStatus.UNKNOWN not in statuses
            nobody_free = known and line in waiting and OperatorStatus.FREE not in statuses
            away = known and _NOT_THERE.issuperset(statuses)
            for rule, holds, limit_s in (
                ("nobody_free", nobody_free, self._settings.nobody_free_s),
                ("everybody_away", away, self._settings.everybody_away_s),
            ):
                if not holds:
                    self._since.pop((rule, line), None)
                elif limit_s is not None:
                    yield _alert(rule, line, self._since.setdefault((rule, line), now_ms), limit_s)


def _alert(rule: str, line: str, since_ms: int, limit_s: float, operator: str | None = None) -> Alert:
    return Alert(
        call_id="",
        line=line,
        rule=rule,
        at_ms=since_ms + int(limit_s * 1000),
        operator=operator,
        limit_s=limit_s,
        since_ms=since_ms,
    )


def _key(alert: Alert) -> tuple[str, str, str]:
    """A pause is a new one when it begins anew; a line's trouble is over before it is told again."""
    since = str(alert.since_ms) if alert.operator is not None else ""
    return alert.rule, alert.operator or alert.line, since
