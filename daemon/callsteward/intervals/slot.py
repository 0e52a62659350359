"""All rows of one interval, from the store's knowledge of it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from callsteward.intervals import scope, sums
from callsteward.intervals.grid import MINUTE_MS
from callsteward.intervals.measures import LINE_MEASURES, OPERATOR_MEASURES
from callsteward.intervals.presence import Change, overlap_ms, staffed_and_available_ms
from callsteward.intervals.row import IntervalKind, IntervalRow, Value
from callsteward.intervals.scope import Contact
from callsteward.intervals.slot_sums import SlotSums
from callsteward.intervals.sums import Concurrency, Sums, unobserved_row


class Scheme(msgspec.Struct, frozen=True, kw_only=True):
    """The rows to make by the configuration: those of its lines and operators exist without calls."""

    site: str
    minutes: int
    thresholds_s: tuple[int, ...]
    lines: tuple[str, ...]
    operators: tuple[str, ...]


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """The store's knowledge of a span of time.

    `contacts` are the calls that arrived in it. `spans` are (line, from, to) of all calls with a client that
    were on in it. (Calls given to `Summing` page by page are in neither.) `watched` are the spans in which
    the daemon received events, `watched_since_ms` the first moment for which that is known at all.
    `presence`: by operator, the changes of their phone's state.
    """

    contacts: Sequence[Contact] = ()
    spans: Sequence[tuple[str, int, int]] = ()
    watched: Sequence[tuple[int, int]] = ()
    watched_since_ms: int | None = None
    presence: Mapping[str, Sequence[Change]] = {}

    def within(self, start_ms: int, end_ms: int) -> Known:
        """The part that concerns [start_ms, end_ms): the calls that arrived then, and those that were on."""
        return msgspec.structs.replace(
            self,
            contacts=[contact for contact in self.contacts if start_ms <= contact.at_ms < end_ms],
            spans=[span for span in self.spans if span[1] < end_ms and span[2] > start_ms],
        )


class Summing:
    """The interval that begins at `start_ms`, read page by page: a busy one has thousands of calls."""

    def __init__(self, scheme: Scheme, start_ms: int) -> None:
        self._scheme = scheme
        self._start_ms = start_ms
        self._end_ms = start_ms + scheme.minutes * MINUTE_MS
        self._lines = {name: self._of_line() for name in scheme.lines}
        self._operators = {name: self._of_operator(name) for name in scheme.operators}
        self._concurrency: dict[str, Concurrency] = {}
        self._most: dict[str, int] = {}
        self._staffed: Mapping[str, tuple[int, int]] | None = None

    def take(self, contacts: Iterable[Contact]) -> None:
        """Add calls that arrived in the interval."""
        for contact in contacts:
            line = contact.record.line
            if line not in self._lines:
                self._lines[line] = self._of_line()
            self._lines[line].add(contact)
            for operator in scope.operators_of(contact.record):
                if operator not in self._operators:
                    self._operators[operator] = self._of_operator(operator)
                self._operators[operator].add(contact)

    def take_spans(self, spans: Iterable[tuple[str, int, int]]) -> None:
        """Add (line, from, to) of calls with a client that were on in the interval."""
        for line, begins_ms, ends_ms in spans:
            if line not in self._concurrency:
                self._concurrency[line] = Concurrency(self._start_ms, self._end_ms)
            self._concurrency[line].add(begins_ms, ends_ms)

    def take_sums(self, sums: SlotSums) -> None:
        """Take the sums over the whole interval, instead of its calls; the phones are in them, too."""
        for line, kept in sums.lines.items():
            if line not in self._lines:
                self._lines[line] = self._of_line()
            self._lines[line].add_kept(kept)
        for operator, kept in sums.operators.items():
            if operator not in self._operators:
                self._operators[operator] = self._of_operator(operator)
            self._operators[operator].add_kept(kept)
        self._most, self._staffed = sums.most, sums.staffed

    def rows(self, known: Known) -> list[IntervalRow]:
        """The rows: lines, then operators, each by name.

        Uses only the parts of `known` that are not about calls.
        """
        observed_ms = _observed_ms(known, self._start_ms, self._end_ms)
        return [
            *(self._line_row(name, observed_ms) for name in sorted(self._lines)),
            *(self._operator_row(name, observed_ms, known) for name in sorted(self._operators)),
        ]

    def _of_line(self) -> Sums:
        return Sums(LINE_MEASURES, self._scheme.thresholds_s)

    def _of_operator(self, name: str) -> Sums:
        return Sums(OPERATOR_MEASURES, self._scheme.thresholds_s, name)

    def _line_row(self, name: str, observed_ms: int | None) -> IntervalRow:
        sums = self._lines[name]
        most = self._most_of(name)
        if not observed_ms and sums.empty and most is None:
            unknown = unobserved_row(LINE_MEASURES, self._scheme.thresholds_s)
            return self._row(IntervalKind.LINE, name, observed_ms, {"concurrent_max": None, **unknown})
        return self._row(IntervalKind.LINE, name, observed_ms, {"concurrent_max": most or 0, **sums.row()})

    def _most_of(self, line: str) -> int | None:
        """The most calls at once; None if no call was on."""
        concurrency = self._concurrency.get(line)
        return self._most.get(line) if concurrency is None else concurrency.most()

    def _operator_row(self, name: str, observed_ms: int | None, known: Known) -> IntervalRow:
        staffed, available = self._presence_of(name, known)
        presence = {"staffed_s": _seconds(staffed), "available_s": _seconds(available)}
        sums = self._operators[name]
        if not observed_ms and sums.empty:
            unknown = unobserved_row(OPERATOR_MEASURES, self._scheme.thresholds_s)
            return self._row(IntervalKind.OPERATOR, name, observed_ms, {**presence, **unknown})
        return self._row(IntervalKind.OPERATOR, name, observed_ms, {**presence, **sums.row()})

    def _presence_of(self, operator: str, known: Known) -> tuple[int | None, int | None]:
        if self._staffed is not None:
            return self._staffed.get(operator, (None, None))
        changes = known.presence.get(operator, ())
        return staffed_and_available_ms(changes, known.watched, self._start_ms, self._end_ms)

    def _row(
        self, kind: IntervalKind, name: str, observed_ms: int | None, values: Mapping[str, Value]
    ) -> IntervalRow:
        return IntervalRow(
            site=self._scheme.site,
            kind=kind,
            name=name,
            start_ms=self._start_ms,
            minutes=self._scheme.minutes,
            thresholds_s=self._scheme.thresholds_s,
            values={"observed_s": _seconds(observed_ms), **values},
        )


def rows(scheme: Scheme, start_ms: int, known: Known) -> list[IntervalRow]:
    """The rows of the interval that begins at `start_ms`: lines, then operators, each by name."""
    summing = Summing(scheme, start_ms)
    summing.take(known.contacts)
    summing.take_spans(known.spans)
    return summing.rows(known)


def keys(kind: IntervalKind, thresholds_s: Collection[int]) -> list[str]:
    """The keys of a row's values, in order: a contract, new ones go to the end of their group."""
    thresholds = tuple(thresholds_s)
    if kind is IntervalKind.LINE:
        return ["observed_s", "concurrent_max", *sums.keys(LINE_MEASURES, thresholds)]
    return ["observed_s", "staffed_s", "available_s", *sums.keys(OPERATOR_MEASURES, thresholds)]


def _observed_ms(known: Known, start_ms: int, end_ms: int) -> int | None:
    if known.watched_since_ms is None or end_ms <= known.watched_since_ms:
        return None
    return overlap_ms(known.watched, start_ms, end_ms)


def _seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / 1000
