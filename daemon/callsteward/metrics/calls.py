"""Calls as Prometheus metrics: by line, never by call, client or operator.

Counters start at 0 with the process, as Prometheus expects; figures that must survive a restart are in the
store and in the intervals on MQTT.
"""

from __future__ import annotations

import collections
import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from callsteward.callback.states import CallbackMoved
from callsteward.rating.states import ComplaintRaised
from callsteward.record.call import CallRecord, Direction
from callsteward.record.facts import Alert, CallEnded, LineNow, OperatorNow, OperatorStatus

# Around the standard's numbers: the answer within 4 to 5 s, 80/20, a hold of 120 or 180 s, a talk of 15 min.
_ANSWER = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30)
_WAIT = (1, 3, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600)
_HOLD = (5, 10, 20, 30, 60, 90, 120, 180, 300, 600)
_TALK = (10, 30, 60, 120, 180, 300, 450, 600, 900, 1200, 1800, 3600)

# A `_created` series beside each counter and histogram says only when the process made it. The library
# switches them for a whole process; these are the only metrics of this one.
disable_created_metrics()  # type: ignore[no-untyped-call]

M = TypeVar("M", Counter, Gauge, Histogram)


def _series(
    registry: CollectorRegistry, kind: type[M], name: str, text: str, labels: Sequence[str], **options: Any
) -> Callable[..., M]:
    """A metric's series by their labels, each looked for once: twenty are counted for every call."""
    return functools.cache(kind(name, text, labels, registry=registry, **options).labels)


class CallMetrics:
    """Counts facts. Every series of a configured line exists from the start, at 0."""

    def __init__(self, registry: CollectorRegistry, lines: Iterable[str]) -> None:
        series = functools.partial(_series, registry)
        self._ended = series(
            Counter,
            "callsteward_calls",
            "Ended calls, by outcome.",
            ("line", "direction", "outcome"),
        )
        self._hangups = series(
            Counter,
            "callsteward_first_hangups",
            "Who hung up first, of connected calls (network: the connection was lost).",
            ("line", "party"),
        )
        self._rules = series(
            Counter,
            "callsteward_rule_checks",
            "Rules of the service standard held against ended calls; only those that applied.",
            ("line", "rule", "result"),
        )
        self._alerts = series(
            Counter,
            "callsteward_alerts",
            "Rules that were broken while the call was still on.",
            ("line", "rule"),
        )
        self._callbacks = series(
            Counter,
            "callsteward_callback_transitions",
            "Steps of callbacks, by the new state.",
            ("line", "state"),
        )
        self._ratings = series(
            Counter,
            "callsteward_ratings",
            "Ended calls, by the result of their rating.",
            ("line", "status"),
        )
        self._scores = series(
            Histogram,
            "callsteward_rating_score",
            "Scores that clients gave, 1 to 5.",
            ("line",),
            buckets=(1, 2, 3, 4, 5),
        )
        self._incomplete = series(
            Counter,
            "callsteward_incomplete_calls",
            "Calls that were not completely observed.",
            ("line",),
        )
        self._answer = series(
            Histogram,
            "callsteward_answer_latency_seconds",
            "From the first ring of the phone that answered to its answer.",
            ("line",),
            buckets=_ANSWER,
        )
        self._wait = series(
            Histogram,
            "callsteward_wait_seconds",
            "From the arrival of inbound calls to their answer, or to their end if nobody answered.",
            ("line", "answered"),
            buckets=_WAIT,
        )
        self._talk = series(
            Histogram,
            "callsteward_talk_seconds",
            "Client connected with an operator, holds taken out.",
            ("line",),
            buckets=_TALK,
        )
        self._hold = series(
            Histogram,
            "callsteward_hold_seconds",
            "Each hold of an ended call.",
            ("line",),
            buckets=_HOLD,
        )
        self._now = series(
            Gauge,
            "callsteward_line_calls",
            "Calls at this moment, by what their client is doing.",
            ("line", "state"),
        )
        self._longest_wait = series(
            Gauge,
            "callsteward_line_longest_wait_seconds",
            "How long the client who waits longest has waited; 0 while nobody waits.",
            ("line",),
        )
        self._operators = series(
            Gauge,
            "callsteward_operators",
            "Operators at this moment, by status.",
            ("status",),
        )
        self.operators(())
        self._lines = set(lines)
        for line in self._lines:
            self._show(LineNow(line=line), 0)
            self._answer(line)
            self._talk(line)
            self._hold(line)
            self._scores(line)
            self._incomplete(line)
            for answered in ("true", "false"):
                self._wait(line, answered)

    def observe(self, fact: object) -> None:
        """Count a fact; a fact without a metric is ignored."""
        match fact:
            case CallEnded(record):
                self._count(record)
            case Alert():
                self._alerts(fact.line, fact.rule).inc()
            case ComplaintRaised(complaint):
                self._alerts(complaint.line, "complaint_escalated").inc()
            case CallbackMoved():
                self._callbacks(fact.callback.line, fact.callback.state.value).inc()

    def gauges(self, lines: Iterable[LineNow], now_ms: int) -> None:
        """Show this moment; a line that is not named has no call. `now_ms` is Asterisk's clock."""
        busy = {line.line: line for line in lines}
        self._lines.update(busy)
        for name in self._lines:
            self._show(busy.get(name) or LineNow(line=name), now_ms)

    def operators(self, operators: Iterable[OperatorNow]) -> None:
        """Count the operators by status, as far as a part says it."""
        counts = collections.Counter(operator.status for operator in operators)
        for status in OperatorStatus:
            self._operators(status.value).set(counts[status])

    def _show(self, line: LineNow, now_ms: int) -> None:
        name = line.line
        self._now(name, "waiting").set(line.waiting)
        self._now(name, "ringing").set(line.ringing)
        self._now(name, "talking").set(line.talking)
        self._now(name, "on_hold").set(line.on_hold)
        since_ms = line.longest_wait_since_ms
        waited_s = 0.0 if since_ms is None else max(0, now_ms - since_ms) / 1000
        self._longest_wait(name).set(waited_s)

    def _count(self, record: CallRecord) -> None:
        line = record.line
        self._ended(line, record.direction.value, record.outcome.value).inc()
        if not record.complete:
            self._incomplete(line).inc()
        if record.answered_at is not None:
            self._hangups(line, record.hangup.first.value).inc()
        self._ratings(line, record.rating.status).inc()
        if record.rating.score is not None:
            self._scores(line).observe(record.rating.score)
        for check in record.standard:
            # "not_applicable" says nothing about anybody's work.
            if check.result.value != "not_applicable":
                self._rules(line, check.rule, check.result.value).inc()
        if record.wait_s is not None and record.direction is Direction.INBOUND:
            answered = "false" if record.answered_at is None else "true"
            self._wait(line, answered).observe(record.wait_s)
        # A value that was not observed is null and is not counted, least of all as 0.
        if record.answer_latency_s is not None:
            self._answer(line).observe(record.answer_latency_s)
        if record.talk_s is not None and record.answered_at is not None:
            self._talk(line).observe(record.talk_s)
        for hold in record.holds:
            self._hold(line).observe(hold.duration_s)
