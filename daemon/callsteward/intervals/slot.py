"""All rows of one interval, from what the store knows of it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from callsteward.intervals import scope, sums
from callsteward.intervals.grid import MINUTE_MS
from callsteward.intervals.measures import LINE_MEASURES, OPERATOR_MEASURES, Measure
from callsteward.intervals.presence import Change, overlap_ms, staffed_and_available_ms
from callsteward.intervals.row import IntervalRow, Kind, Value
from callsteward.intervals.scope import Contact


class Scheme(msgspec.Struct, frozen=True, kw_only=True):
    """What rows there are, by the configuration: those of its lines and operators are there without calls."""

    site: str
    minutes: int
    thresholds_s: tuple[int, ...]
    lines: tuple[str, ...]
    operators: tuple[str, ...]


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What the store knows of a span of time.

    `contacts` arrived in it. `spans` are (line, from, to) of all calls with a client that were on in it.
    `watched` are the spans in which the daemon heard Asterisk, `watched_since_ms` the first moment of which
    that is known at all. `presence`: by operator, the changes of their phone's state.
    """

    contacts: Sequence[Contact] = ()
    spans: Sequence[tuple[str, int, int]] = ()
    watched: Sequence[tuple[int, int]] = ()
    watched_since_ms: int | None = None
    presence: Mapping[str, Sequence[Change]] = {}

    def within(self, start_ms: int, end_ms: int) -> Known:
        """What of it concerns [start_ms, end_ms): the calls that arrived then, and what was on."""
        return msgspec.structs.replace(
            self,
            contacts=[contact for contact in self.contacts if start_ms <= contact.at_ms < end_ms],
            spans=[span for span in self.spans if span[1] < end_ms and span[2] > start_ms],
        )


def rows(scheme: Scheme, start_ms: int, known: Known) -> list[IntervalRow]:
    """The rows of the interval that begins at `start_ms`: lines, then operators, each by name."""
    end_ms = start_ms + scheme.minutes * MINUTE_MS
    observed_ms = _observed_ms(known, start_ms, end_ms)
    made: list[IntervalRow] = []

    def add(kind: Kind, name: str, values: dict[str, Value]) -> None:
        observed_s = None if observed_ms is None else observed_ms / 1000
        made.append(
            IntervalRow(
                site=scheme.site,
                kind=kind,
                name=name,
                start_ms=start_ms,
                minutes=scheme.minutes,
                thresholds_s=scheme.thresholds_s,
                values={"observed_s": observed_s, **values},
            )
        )

    by_line: dict[str, list[Contact]] = {name: [] for name in scheme.lines}
    by_operator: dict[str, list[Contact]] = {name: [] for name in scheme.operators}
    for contact in known.contacts:
        by_line.setdefault(contact.record.line, []).append(contact)
        for operator in scope.operators_of(contact.record):
            by_operator.setdefault(operator, []).append(contact)
    for line in sorted(by_line):
        spans = [(begins, ends) for name, begins, ends in known.spans if name == line]
        if observed_ms == 0 and not by_line[line] and not spans:
            add(Kind.LINE, line, {"concurrent_max": None, **_unobserved(LINE_MEASURES, scheme)})
            continue
        concurrent = sums.concurrent_max(spans, start_ms, end_ms)
        values = sums.line_row(by_line[line], scheme.thresholds_s)
        add(Kind.LINE, line, {"concurrent_max": concurrent, **values})
    for operator in sorted(by_operator):
        changes = known.presence.get(operator, ())
        staffed, available = staffed_and_available_ms(changes, known.watched, start_ms, end_ms)
        presence = {"staffed_s": _seconds(staffed), "available_s": _seconds(available)}
        if observed_ms == 0 and not by_operator[operator]:
            add(Kind.OPERATOR, operator, {**presence, **_unobserved(OPERATOR_MEASURES, scheme)})
            continue
        values = sums.operator_row(by_operator[operator], operator, scheme.thresholds_s)
        add(Kind.OPERATOR, operator, {**presence, **values})
    return made


def keys(kind: Kind, thresholds_s: Collection[int]) -> list[str]:
    """The keys of a row's values, in order: a contract, new ones go to the end of their group."""
    thresholds = tuple(thresholds_s)
    if kind is Kind.LINE:
        return ["observed_s", "concurrent_max", *sums.keys(LINE_MEASURES, thresholds)]
    return ["observed_s", "staffed_s", "available_s", *sums.keys(OPERATOR_MEASURES, thresholds)]


def _observed_ms(known: Known, start_ms: int, end_ms: int) -> int | None:
    if known.watched_since_ms is None or end_ms <= known.watched_since_ms:
        return None
    return overlap_ms(known.watched, start_ms, end_ms)


def _unobserved(measures: Sequence[Measure], scheme: Scheme) -> dict[str, Value]:
    return sums.unobserved_row(measures, scheme.thresholds_s)


def _seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / 1000
