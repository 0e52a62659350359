"""All rows of one interval, from the store's knowledge of it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache

import msgspec

from callsteward.intervals import scope, sums
from callsteward.intervals.grid import MINUTE_MS
from callsteward.intervals.measures import LINE_MEASURES, OPERATOR_MEASURES
from callsteward.intervals.presence import Change, overlap_ms, staffed_and_available_ms
from callsteward.intervals.row import IntervalKind, IntervalRow, Value
from callsteward.intervals.scope import Contact
from callsteward.intervals.slot_sums import SlotSums
from callsteward.intervals.sums import Concurrency, KeptSums, RowForm, Sums

PhoneTimes = tuple[int | None, int | None]
"""Milliseconds in which an operator's phone could be reached, and in which it was free; None: not known."""
_NOT_KNOWN: PhoneTimes = (None, None)


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

    def rows(self, known: Known) -> list[IntervalRow]:
        """The rows: lines, then operators, each by name.

        Uses only the parts of `known` that are not about calls.
        """
        rows = _Rows(self._scheme, self._start_ms, known)
        return [
            *(
                rows.of_line(name, _kept(self._lines[name]), self._most_of(name))
                for name in sorted(self._lines)
            ),
            *(
                rows.of_operator(name, _kept(self._operators[name]), self._presence_of(name, known))
                for name in sorted(self._operators)
            ),
        ]

    def _of_line(self) -> Sums:
        return Sums(LINE_MEASURES, self._scheme.thresholds_s)

    def _of_operator(self, name: str) -> Sums:
        return Sums(OPERATOR_MEASURES, self._scheme.thresholds_s, name)

    def _most_of(self, line: str) -> int | None:
        """The most calls at once; None if no call was on."""
        concurrency = self._concurrency.get(line)
        return None if concurrency is None else concurrency.most()

    def _presence_of(self, operator: str, known: Known) -> PhoneTimes:
        changes = known.presence.get(operator, ())
        return staffed_and_available_ms(changes, known.watched, self._start_ms, self._end_ms)


def _kept(sums: Sums) -> KeptSums | None:
    return None if sums.empty else sums.kept()


class _Rows:
    """Makes the rows of one interval. A line or operator without sums (None) had no call."""

    def __init__(self, scheme: Scheme, start_ms: int, known: Known) -> None:
        self._scheme = scheme
        self._start_ms = start_ms
        self._observed_ms = _observed_ms(known, start_ms, start_ms + scheme.minutes * MINUTE_MS)

    def of_line(self, name: str, kept: KeptSums | None, most: int | None) -> IntervalRow:
        form = _form(IntervalKind.LINE, self._scheme.thresholds_s)
        unknown = not self._observed_ms and kept is None and most is None
        sums = form.unknown if unknown else form.empty if kept is None else form.row(kept)
        first = {"concurrent_max": None if unknown else most or 0}
        return self._row(IntervalKind.LINE, name, first, sums)

    def of_operator(self, name: str, kept: KeptSums | None, presence: PhoneTimes) -> IntervalRow:
        form = _form(IntervalKind.OPERATOR, self._scheme.thresholds_s)
        unknown = not self._observed_ms and kept is None
        sums = form.unknown if unknown else form.empty if kept is None else form.row(kept)
        first = {"staffed_s": _seconds(presence[0]), "available_s": _seconds(presence[1])}
        return self._row(IntervalKind.OPERATOR, name, first, sums)

    def _row(
        self, kind: IntervalKind, name: str, first: Mapping[str, Value], sums: Mapping[str, Value]
    ) -> IntervalRow:
        return IntervalRow(
            site=self._scheme.site,
            kind=kind,
            name=name,
            start_ms=self._start_ms,
            minutes=self._scheme.minutes,
            thresholds_s=self._scheme.thresholds_s,
            values={"observed_s": _seconds(self._observed_ms), **first, **sums},
        )


@lru_cache(maxsize=4)
def _form(kind: IntervalKind, thresholds_s: tuple[int, ...]) -> RowForm:
    return RowForm(LINE_MEASURES if kind is IntervalKind.LINE else OPERATOR_MEASURES, thresholds_s)


def rows(scheme: Scheme, start_ms: int, known: Known) -> list[IntervalRow]:
    """The rows of the interval that begins at `start_ms`: lines, then operators, each by name."""
    summing = Summing(scheme, start_ms)
    summing.take(known.contacts)
    summing.take_spans(known.spans)
    return summing.rows(known)


def rows_of_sums(
    scheme: Scheme, kind: IntervalKind, start_ms: int, sums: SlotSums, known: Known, name: str | None = None
) -> list[IntervalRow]:
    """The rows of one kind of the interval that begins at `start_ms`, by name, from the sums over it.

    `name`: only this one. The phones are in the sums, too.
    """
    made = _Rows(scheme, start_ms, known)
    of_line = kind is IntervalKind.LINE
    kept = sums.lines if of_line else sums.operators
    names = sorted({*(scheme.lines if of_line else scheme.operators), *kept})
    if name is not None:
        names = [name] if name in names else []
    if of_line:
        return [made.of_line(one, kept.get(one), sums.most.get(one)) for one in names]
    return [made.of_operator(one, kept.get(one), sums.staffed.get(one, _NOT_KNOWN)) for one in names]


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
