"""The sums of a quarter of an hour, or of a day made of such, as they are stored. Pure.

Sums over a longer time are made by merging these: counts and durations are added, of the most concurrent
calls the highest number counts, and an operator's phone is known where it is known in each part that was
watched. Thresholds of waits may be changed later, since waits are counted by the second.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from callsteward.intervals import scope
from callsteward.intervals.measures import LINE_MEASURES, OPERATOR_MEASURES, Measure
from callsteward.intervals.presence import Change, staffed_and_available_ms
from callsteward.intervals.scope import Contact
from callsteward.intervals.sums import Concurrency, KeptSums, Sums
from callsteward.record.rated import RatedSums, add_call, add_sums

SLOT_MINUTES = 15
DAY_MINUTES = 24 * 60

LINE_NAMES = [measure.name for measure in LINE_MEASURES]
OPERATOR_NAMES = [measure.name for measure in OPERATOR_MEASURES]


class SlotSums(msgspec.Struct):
    """The sums of each line and operator.

    `served` are operators who had a client, `most` the concurrent calls of each line. `staffed`: by operator,
    the milliseconds in which the phone could be reached and in which it was free; an operator who is not
    there has a phone whose state was not known, if `watched`. `unreadable`: some record could not be read.
    """

    lines: dict[str, KeptSums]
    operators: dict[str, KeptSums]
    served: list[str]
    most: dict[str, int]
    staffed: dict[str, tuple[int, int]]
    watched: bool
    unreadable: bool = False
    rated: RatedSums | None = None
    line_measures: list[str] = []
    operator_measures: list[str] = []

    @property
    def waits(self) -> bool:
        """True if a callback of one of the calls is not over yet."""
        return any((sums.totals[_OPEN] or 0) > 0 for sums in self.lines.values())

    def encoded(self) -> bytes:
        self.line_measures, self.operator_measures = LINE_NAMES, OPERATOR_NAMES
        return zlib.compress(_encoder.encode(self))


_OPEN = LINE_NAMES.index("callbacks_open")
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(SlotSums)

OnlyPart = Literal["lines", "operators", "rated"]


class _Common(msgspec.Struct):
    watched: bool
    unreadable: bool = False
    rated: msgspec.Raw = msgspec.Raw()
    line_measures: list[str] = []
    operator_measures: list[str] = []


class _OfLines(_Common, kw_only=True):
    lines: dict[str, KeptSums]
    most: dict[str, int]


class _OfOperators(_Common, kw_only=True):
    operators: dict[str, KeptSums]
    staffed: dict[str, tuple[int, int]]


# What is not asked for is passed over: most of a report's time would be the making of its objects.
_of_lines = msgspec.msgpack.Decoder(_OfLines)
_of_operators = msgspec.msgpack.Decoder(_OfOperators)
_of_rated = msgspec.msgpack.Decoder(_Common)
_rated = msgspec.msgpack.Decoder(RatedSums)
# Of sums made before there were any: nothing, or null.
_NO_RATED = (b"", msgspec.msgpack.encode(None))


def _part(text: bytes, only: OnlyPart) -> SlotSums:
    sums = SlotSums(lines={}, operators={}, served=[], most={}, staffed={}, watched=False)
    some: _Common
    if only == "lines":
        some = of_lines = _of_lines.decode(text)
        sums.lines, sums.most = of_lines.lines, of_lines.most
    elif only == "operators":
        some = of_operators = _of_operators.decode(text)
        sums.operators, sums.staffed = of_operators.operators, of_operators.staffed
    else:
        some = _of_rated.decode(text)
    if bytes(some.rated) not in _NO_RATED:
        sums.rated = _rated.decode(some.rated) if only == "rated" else {}
    sums.watched, sums.unreadable = some.watched, some.unreadable
    sums.line_measures, sums.operator_measures = some.line_measures, some.operator_measures
    return sums


def decoded(stored: bytes, only: OnlyPart | None = None) -> SlotSums:
    """Stored sums. A measure that did not exist when they were made has no value in them.

    `only`: no more than this part of them, and when the daemon watched.
    """
    text = zlib.decompress(stored)
    sums = _decoder.decode(text) if only is None else _part(text, only)
    _arranged(sums.lines.values(), sums.line_measures, LINE_NAMES)
    _arranged(sums.operators.values(), sums.operator_measures, OPERATOR_NAMES)
    return sums


def of_present_measures(sums: SlotSums) -> bool:
    """True if sums were made of the measures of today."""
    return (
        sums.line_measures == LINE_NAMES
        and sums.operator_measures == OPERATOR_NAMES
        and sums.rated is not None
    )


def _arranged(kept: Iterable[KeptSums], then: Sequence[str], now: Sequence[str]) -> None:
    if then == now:
        return
    for sums in kept:
        values = dict(zip(then, sums.totals, strict=True))
        sums.totals = [values.get(name) for name in now]


class Around(Protocol):
    """The store's knowledge of a time, except its calls."""

    @property
    def watched(self) -> Sequence[tuple[int, int]]: ...

    @property
    def presence(self) -> Mapping[str, Sequence[Change]]: ...


class SlotSumming:
    """Sums the calls of one slot."""

    def __init__(self, start_ms: int, end_ms: int) -> None:
        self._start_ms = start_ms
        self._end_ms = end_ms
        self._lines: dict[str, Sums] = {}
        self._operators: dict[str, Sums] = {}
        self._served: set[str] = set()
        self._concurrency: dict[str, Concurrency] = {}
        self._staffed: dict[str, tuple[int, int]] = {}
        self._rated: RatedSums = {}
        self._watched = False
        self.unreadable = False

    def take(self, contacts: Iterable[Contact]) -> None:
        """Add calls that arrived in the slot."""
        for contact in contacts:
            record = contact.record
            _of(self._lines, record.line, LINE_MEASURES).add(contact)
            for operator in scope.operators_of(record):
                _of(self._operators, operator, OPERATOR_MEASURES, operator).add(contact)
            if record.operator is not None:
                self._served.add(record.operator)
            add_call(self._rated, record)

    def take_span(self, line: str, begins_ms: int, ends_ms: int) -> None:
        """A call with a client that was on in the slot."""
        if line not in self._concurrency:
            self._concurrency[line] = Concurrency(self._start_ms, self._end_ms)
        self._concurrency[line].add(begins_ms, ends_ms)

    def take_presence(self, around: Around) -> None:
        """When the daemon received events, and how the operators' phones changed."""
        self._watched = any(
            max(begins, self._start_ms) < min(ends, self._end_ms) for begins, ends in around.watched
        )
        for operator, changes in around.presence.items():
            staffed, available = staffed_and_available_ms(
                changes, around.watched, self._start_ms, self._end_ms
            )
            if staffed is not None and available is not None:
                self._staffed[operator] = staffed, available

    def sums(self) -> SlotSums:
        return SlotSums(
            lines={name: sums.kept() for name, sums in self._lines.items()},
            operators={name: sums.kept() for name, sums in self._operators.items()},
            served=sorted(self._served),
            most={line: concurrency.most() for line, concurrency in self._concurrency.items()},
            staffed=self._staffed,
            watched=self._watched,
            unreadable=self.unreadable,
            rated=self._rated,
            line_measures=LINE_NAMES,
            operator_measures=OPERATOR_NAMES,
        )


def merged(parts: Iterable[SlotSums]) -> SlotSums:
    """The sums over several parts of the time, none of which overlap. The parts themselves stay."""
    lines, operators = _Added(), _Added()
    served: set[str] = set()
    whole = SlotSums(
        lines=lines.sums, operators=operators.sums, served=[], most={}, staffed={}, watched=False, rated={},
        line_measures=LINE_NAMES, operator_measures=OPERATOR_NAMES,
    )  # fmt: skip
    assert whole.rated is not None
    for sums in parts:
        lines.add(sums.lines)
        operators.add(sums.operators)
        served.update(sums.served)
        for line, most in sums.most.items():
            whole.most[line] = max(whole.most.get(line, 0), most)
        if sums.rated is not None:
            add_sums(whole.rated, sums.rated)
        if sums.watched:
            whole.staffed = _staffed(whole, sums)
            whole.watched = True
        whole.unreadable = whole.unreadable or sums.unreadable
    whole.served = sorted(served)
    return whole


def _staffed(whole: SlotSums, part: SlotSums) -> dict[str, tuple[int, int]]:
    """A phone is known where it is known in each part that was watched."""
    if not whole.watched:
        return dict(part.staffed)
    return {
        operator: (before[0] + now[0], before[1] + now[1])
        for operator, before in whole.staffed.items()
        if (now := part.staffed.get(operator)) is not None
    }


class _Added:
    """Sums by name, added up. Those of one part alone are that part's."""

    def __init__(self) -> None:
        self.sums: dict[str, KeptSums] = {}
        self._own: set[str] = set()

    def add(self, more: Mapping[str, KeptSums]) -> None:
        for name, kept in more.items():
            whole = self.sums.get(name)
            if whole is None:
                self.sums[name] = kept
            elif name in self._own:
                whole.add(kept)
            else:
                self._own.add(name)
                self.sums[name] = whole = whole.copy()
                whole.add(kept)


def _of(found: dict[str, Sums], name: str, measures: Sequence[Measure], operator: str | None = None) -> Sums:
    if name not in found:
        # Waits are kept by the second: no thresholds are needed for that.
        found[name] = Sums(measures, (), operator)
    return found[name]
