"""The retained gauges: the state of each line and operator, at most once a second per topic.

Pure: it is given the time and returns what is to be published. A gauge is published when it differs from the
last one sent, and the newest wins: a change that is undone within a second is not sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

import msgspec

from callsteward.feed import gauge_messages
from callsteward.feed.gauge_messages import LineNowMessage, OperatorNowMessage
from callsteward.feed.today import Today
from callsteward.feed.topics import Topics
from callsteward.record.call import CallRecord
from callsteward.record.facts import LineNow, OperatorNow, OperatorState

EVERY_S = 1.0
# Operators without a section in the configuration whose idle state is shown. If there is no end of names (a
# pattern that matches every caller), those idle for longest go, and the broker forgets them.
STRANGERS = 1000

Gauge = LineNowMessage | OperatorNowMessage


class _Sent(msgspec.Struct):
    """The last gauge published on a topic, and when (monotonic seconds)."""

    gauge: Gauge | None = None
    at_s: float = float("-inf")


class Gauges:
    """All gauges of a site. Configured lines and operators are there from the start."""

    def __init__(
        self, *, site: str, topics: Topics, today: Today, lines: Iterable[str], operators: Iterable[str]
    ) -> None:
        self._site = site
        self._topics = topics
        self._today = today
        self._day: date | None = None
        self._lines = {name: LineNow(line=name) for name in lines}
        self._idle = tuple(operators)
        self._operators: dict[str, OperatorNow] = {}
        self._sent: dict[str, _Sent] = {}
        self._gone: list[str] = []
        # What may differ from what was sent: (is it a line, its name).
        self._changed: set[tuple[bool, str]] = set()
        self.resend()

    def show(self, lines: Sequence[LineNow], operators: Sequence[OperatorNow], now_ms: int) -> None:
        """All lines and operators at this moment: one that is not named is idle, and nobody knows more."""
        busy = {item.line: item for item in lines}
        for name in self._lines.keys() - busy.keys():
            busy[name] = LineNow(line=name)
        for name, line in busy.items():
            if self._lines.get(name) != line:
                self._changed.add((True, name))
            # A copy: the tracker goes on changing its own.
            self._lines[name] = msgspec.structs.replace(line)
        on_call = {item.operator: item for item in operators}
        for name in (self._operators.keys() | set(self._idle)) - on_call.keys():
            before = self._operators.get(name)
            on_call[name] = before if before is not None and _at_rest(before) else _idle(name, now_ms)
        for name, operator in on_call.items():
            before = self._operators.get(name)
            shown = msgspec.structs.replace(operator)
            if _at_rest(shown):
                # Idle since the last call's end, whatever their status was meanwhile.
                shown.since_ms = before.since_ms if before is not None and _at_rest(before) else now_ms
            if before != shown:
                self._changed.add((False, name))
            self._operators[name] = shown
        too_many = len(self._operators) - len(self._idle) - STRANGERS
        if too_many > 0:
            self._forget(too_many)

    def _forget(self, count: int) -> None:
        at_rest = sorted(
            (operator.since_ms, name)
            for name, operator in self._operators.items()
            if _at_rest(operator) and name not in self._idle
        )
        for _, name in at_rest[:count]:
            del self._operators[name]
            self._changed.discard((False, name))
            topic = self._topics.operator_now(name)
            if self._sent.pop(topic, None) is not None:
                self._gone.append(topic)

    @property
    def gone(self) -> list[str]:
        """Topics that the broker is to forget; each leaves this list when it has."""
        return self._gone

    def add(self, lines: Iterable[str], operators: Iterable[str]) -> None:
        """Lines and operators that are to be shown even while nothing happens to them."""
        for name in lines:
            if name not in self._lines:
                self._lines[name] = LineNow(line=name)
                self._changed.add((True, name))
        self._idle = tuple(dict.fromkeys((*self._idle, *operators)))

    def count(self, record: CallRecord) -> None:
        """Count an ended call into its line's day."""
        self._today.add(record)
        self._lines.setdefault(record.line, LineNow(line=record.line))
        self._changed.add((True, record.line))

    def resend(self) -> None:
        """Forget the gauges sent so far: after a reconnect the broker may have none of them."""
        self._sent.clear()
        self._changed.update((True, name) for name in self._lines)
        self._changed.update((False, name) for name in self._operators)

    def due(self, now_ms: int, now_s: float, *, at_once: bool = False) -> list[tuple[str, Gauge]]:
        """Topics and gauges to publish now. `now_ms` is Asterisk's clock, `now_s` a monotonic one.

        With `at_once` no gauge waits for its second to be over: the last gauges before a stop.
        """
        self._turn_day(now_ms)
        if not self._operators and self._idle:
            self.show(list(self._lines.values()), [], now_ms)
        due: list[tuple[str, Gauge]] = []
        for key in sorted(self._changed):
            topic = self._topic(*key)
            sent = self._sent.setdefault(topic, _Sent())
            if now_s - sent.at_s < EVERY_S and not at_once:
                continue
            gauge = self._gauge(key, now_ms)
            if gauge != sent.gauge:
                due.append((topic, gauge))
                sent.gauge = gauge
                sent.at_s = now_s
            if not _ticks(gauge):
                self._changed.discard(key)
        return due

    def wait_s(self, now_s: float) -> float:
        """How long until a gauge may be due again, if nothing changes meanwhile; at most a second."""
        waits = [
            self._sent[topic].at_s + EVERY_S - now_s
            for is_line, name in self._changed
            for topic in [self._topic(is_line, name)]
            if topic in self._sent
        ]
        return max(0.0, min([EVERY_S, *waits]))

    def _turn_day(self, now_ms: int) -> None:
        day = self._today.day(now_ms)
        if day != self._day:
            self._day = day
            self._today.forget_before(day)
            self._changed.update((True, name) for name in self._lines)

    def _gauge(self, key: tuple[bool, str], now_ms: int) -> Gauge:
        is_line, name = key
        if not is_line:
            return gauge_messages.operator_now(self._site, self._operators[name], now_ms)
        day = self._today.day(now_ms)
        counts = self._today.counts(name, day)
        threshold_s = self._today.threshold_s
        return gauge_messages.line_now(
            self._site, self._lines[name], day.isoformat(), counts, threshold_s, now_ms
        )

    def _topic(self, is_line: bool, name: str) -> str:
        return self._topics.line_now(name) if is_line else self._topics.operator_now(name)


def _ticks(gauge: Gauge) -> bool:
    """True if the gauge changes by itself, as a wait or a hold does."""
    if isinstance(gauge, LineNowMessage):
        return gauge.longest_wait_s is not None
    return gauge.hold_s is not None


def _idle(operator: str, now_ms: int) -> OperatorNow:
    return OperatorNow(operator=operator, state=OperatorState.IDLE, since_ms=now_ms)


def _at_rest(operator: OperatorNow) -> bool:
    return operator.state is OperatorState.IDLE
