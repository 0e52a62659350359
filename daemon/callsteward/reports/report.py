"""`callsteward report`: what is stored, as rows of intervals or of calls, in the form a consumer reads.

Intervals are aligned to UTC and written in UTC, so that no change of clocks makes a slot come twice or not
at all; the local time stands beside it with its offset.
"""

from __future__ import annotations

import codecs
import csv
import re
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

import msgspec

from callsteward.clock import DAY_MS
from callsteward.config import Config
from callsteward.exceptions import CallstewardError
from callsteward.intervals import grid, slot
from callsteward.intervals.measures import MEASURES, Unit
from callsteward.intervals.row import IntervalRow, Kind
from callsteward.intervals.scheme import scheme
from callsteward.intervals.store import IntervalStore
from callsteward.store.records import Store
from callsteward.terminal.visible import visible

if TYPE_CHECKING:
    from types import TracebackType

# Read at a time: a year needs no more memory than a day.
CHUNK_MS = DAY_MS

Cells = dict[str, Any]
_encoder = msgspec.json.Encoder()
_SECONDS = {measure.name for measure in MEASURES if measure.unit is Unit.SECONDS}
_SECONDS |= {"observed_s", "staffed_s", "available_s"}


async def intervals(
    config: Config, store: Store, kind: Kind, from_ms: int, to_ms: int, minutes: int, name: str | None = None
) -> AsyncIterator[list[IntervalRow]]:
    """A day's rows at a time, each slot of [from_ms, to_ms) with each line (or operator), in order.

    Lines and operators are those of the configuration and those that had calls then. `name`: only this one.
    Raises StoreError.
    """
    source = IntervalStore(store.engine, config.site.name)
    wanted = await _wanted(config, source, from_ms, to_ms, minutes)
    starts = grid.slots(from_ms, to_ms, minutes)
    a_day = CHUNK_MS // (minutes * grid.MINUTE_MS)
    for first in range(0, len(starts), a_day):
        some = starts[first : first + a_day]
        known = await source.known(some[0], some[-1] + starts.step, wanted.operators)
        yield [
            row
            for start_ms in some
            for row in slot.rows(wanted, start_ms, known.within(start_ms, start_ms + starts.step))
            if row.kind is kind and name in {None, row.name}
        ]


async def of_periods(
    config: Config, store: Store, kind: Kind, spans: Sequence[tuple[int, int]], name: str | None = None
) -> AsyncIterator[list[IntervalRow]]:
    """The rows of each span [from, to), one span at a time: days, weeks, months. Otherwise as `intervals`."""
    source = IntervalStore(store.engine, config.site.name)
    if not spans:
        return
    wanted = await _wanted(config, source, spans[0][0], spans[-1][1], 0)
    for from_ms, to_ms in spans:
        summing = slot.Summing(
            msgspec.structs.replace(wanted, minutes=(to_ms - from_ms) // grid.MINUTE_MS), from_ms
        )
        async for contacts in source.contacts(from_ms, to_ms):
            summing.take(contacts)
        async for on in source.spans(from_ms, to_ms):
            summing.take_spans(on)
        known = await source.around(from_ms, to_ms, wanted.operators)
        yield [row for row in summing.rows(known) if row.kind is kind and name in {None, row.name}]


async def _wanted(
    config: Config, source: IntervalStore, from_ms: int, to_ms: int, minutes: int
) -> slot.Scheme:
    lines, operators = await source.names(from_ms, to_ms)
    wanted = scheme(config, minutes)
    return msgspec.structs.replace(
        wanted,
        lines=tuple(dict.fromkeys((*(wanted.lines if config.lines else ()), *lines))) or wanted.lines,
        operators=tuple(dict.fromkeys((*wanted.operators, *operators))),
    )


def cells(row: IntervalRow, zone: tzinfo) -> Cells:
    """A row as the cells of a file, under `columns`."""
    local = datetime.fromtimestamp(row.start_ms / 1000, UTC).astimezone(zone)
    return {
        "site": row.site,
        row.kind.value: row.name,
        "start": grid.iso(row.start_ms),
        "end": grid.iso(row.end_ms),
        "start_local": local.isoformat(),
        "minutes": row.minutes,
        **row.values,
    }


def columns(kind: Kind, thresholds_s: Sequence[int]) -> list[str]:
    """The columns of a file of intervals, in order: a contract, new ones go to the end of their group."""
    return ["site", kind.value, "start", "end", "start_local", "minutes", *slot.keys(kind, thresholds_s)]


class Writer(Protocol):
    """Takes rows, a day at a time."""

    def write(self, rows: Iterable[Cells]) -> None: ...

    def close(self) -> None: ...


class JsonLines:
    """One JSON object a line."""

    def __init__(self, out: IO[bytes], names: Sequence[str]) -> None:
        self._out = out
        self._names = names

    def write(self, rows: Iterable[Cells]) -> None:
        for row in rows:
            self._out.write(_encoder.encode({name: row[name] for name in self._names}) + b"\n")

    def close(self) -> None:
        self._out.flush()


class Csv:
    """RFC 4180 with a header and UTF-8; what was not observed is an empty cell.

    A text that a spreadsheet would take for a formula has an apostrophe in front. `excel`: as Excel reads it
    where the comma is the decimal sign, with times in this zone.
    """

    def __init__(self, out: IO[bytes], names: Sequence[str], *, excel: tzinfo | None = None) -> None:
        self._out = out
        self._zone = excel
        if excel is not None:
            out.write(codecs.BOM_UTF8)
        self._writer = csv.DictWriter(
            _Text(out),
            names,
            delimiter="," if excel is None else ";",
            lineterminator="\n" if excel is None else "\r\n",
        )
        self._writer.writeheader()

    def write(self, rows: Iterable[Cells]) -> None:
        self._writer.writerows({name: self._cell(name, value) for name, value in row.items()} for row in rows)

    def _cell(self, name: str, value: Any) -> Any:
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, str):
            value = visible(value)
        if self._zone is None:
            return f"'{value}" if isinstance(value, str) and _RUNS.match(value) else value
        if isinstance(value, float):
            return str(value).replace(".", ",")
        if isinstance(value, str) and is_moment(name):
            # Without an offset, which Excel cannot read.
            return f"{datetime.fromisoformat(value).astimezone(self._zone):%Y-%m-%d %H:%M:%S}"
        return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value

    def close(self) -> None:
        self._out.flush()


# What a spreadsheet takes for the beginning of a formula (OWASP, CSV injection).
_FORMULA = ("=", "+", "-", "@")
# Programs read the other form, for which a masked number (+7903***4567) and a negative one stay as they are.
_RUNS = re.compile(r"[=@]|[+-](?![\d*.,+-]*$)")


class _Text:
    """What csv writes to: text, as UTF-8 bytes."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out

    def write(self, text: str) -> int:
        return self._out.write(text.encode())


class Parquet:
    """A Parquet file with typed columns: durations are doubles, counts are int64, moments UTC timestamps."""

    def __init__(self, out: IO[bytes], names: Sequence[str]) -> None:
        try:
            import pyarrow as pa
            import pyarrow.parquet as pq
        except ModuleNotFoundError as error:
            message = f"parquet needs {error.name}: pip install 'callsteward[parquet]'"
            raise CallstewardError(message) from error
        self._pa: Any = pa
        self._schema = pa.schema([(name, _arrow_type(pa, name)) for name in names])
        self._writer = pq.ParquetWriter(out, self._schema)
        self._moments = [name for name in names if is_moment(name) and name not in _TEXT]

    def write(self, rows: Iterable[Cells]) -> None:
        prepared = [{**row, **{name: _moment(row[name]) for name in self._moments}} for row in rows]
        if prepared:
            self._writer.write_table(self._pa.Table.from_pylist(prepared, schema=self._schema))

    def close(self) -> None:
        self._writer.close()


_TEXT = frozenset(
    {
        "site", "line", "operator", "start_local", "call_id", "direction", "client_masked", "client_ref",
        "hangup_first", "hangup_evidence", "hangup_confidence", "hangup_lost_side", "outcome",
        "callback_decision", "callback_reason", "rating_status", "rules_broken",
    }
)  # fmt: skip


def is_moment(name: str) -> bool:
    return name in {"start", "end", "start_local"} or name.endswith("_at")


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _arrow_type(pa: Any, name: str) -> Any:
    if is_moment(name) and name not in _TEXT:
        return pa.timestamp("ms", tz="UTC")
    if name in _TEXT:
        return pa.string()
    if name == "complete":
        return pa.bool_()
    if name in _SECONDS or name.endswith("_s") or name.startswith("service_level_"):
        return pa.float64()
    return pa.int64()


class Target:
    """Where a report goes: a file, which is there whole or not at all, or standard output."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._part = None if path is None else path.with_name(f".{path.name}.part")
        self.out: IO[bytes] = sys.stdout.buffer

    def __enter__(self) -> IO[bytes]:
        if self._part is not None:
            try:
                self.out = self._part.open("wb")
            except OSError as error:
                message = f"cannot write {self._path}: {error.strerror}"
                raise CallstewardError(message) from error
        return self.out

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._part is None or self._path is None:
            return
        self.out.close()
        if kind is None:
            self._part.replace(self._path)
        else:
            self._part.unlink(missing_ok=True)
