"""Rows as files: CSV, Parquet and JSON lines; every writer takes its rows a batch at a time."""

from __future__ import annotations

import codecs
import csv
import io
import re
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime, tzinfo
from enum import Enum, auto
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from callsteward.exceptions import CallstewardError
from callsteward.terminal.visible import visible

if TYPE_CHECKING:
    from types import TracebackType


class Holds(Enum):
    """The type of a column's cells. Every cell may be None: not observed."""

    TEXT = auto()
    COUNT = auto()
    NUMBER = auto()
    """With a fraction: seconds, shares, means."""
    MOMENT = auto()
    """RFC 3339 in UTC."""
    LOCAL_MOMENT = auto()
    """RFC 3339 with the offset of the site's zone, which a typed file keeps as it is written."""
    TRUTH = auto()


Columns = Mapping[str, Holds]
Cells = dict[str, Any]

_MOMENTS = frozenset({Holds.MOMENT, Holds.LOCAL_MOMENT})


def moments(columns: Columns) -> frozenset[str]:
    """The names of the columns with a moment, whatever its offset."""
    return frozenset(name for name, holds in columns.items() if holds in _MOMENTS)


class Writer(Protocol):
    """Takes rows, a batch at a time."""

    def write(self, rows: Iterable[Cells]) -> None: ...

    def close(self) -> None: ...


class Csv:
    """RFC 4180 with a header and UTF-8; what was not observed is an empty cell.

    A text that a spreadsheet would take for a formula has an apostrophe in front. `excel`: as Excel reads it
    where the comma is the decimal sign, with times in this zone.
    """

    def __init__(self, out: IO[bytes], columns: Columns, *, excel: tzinfo | None = None) -> None:
        self._out = out
        self._zone = excel
        self._moments = moments(columns)
        if excel is not None:
            out.write(codecs.BOM_UTF8)
        self._names = list(columns)
        # Numbers are most of a report's cells, and go into the file as they are.
        as_they_are = {Holds.COUNT} if excel is not None else {Holds.COUNT, Holds.NUMBER}
        self._written = [
            (place, name) for place, (name, holds) in enumerate(columns.items()) if holds not in as_they_are
        ]
        self._text = io.StringIO(newline="")
        self._writer = csv.writer(
            self._text,
            delimiter="," if excel is None else ";",
            lineterminator="\n" if excel is None else "\r\n",
        )
        self._writer.writerow(self._names)
        self._put()

    def write(self, rows: Iterable[Cells]) -> None:
        for row in rows:
            cells = [*map(row.get, self._names)]
            for place, name in self._written:
                cells[place] = self._cell(name, cells[place])
            self._writer.writerow(cells)
            if self._text.tell() > _AT_ONCE:
                self._put()
        self._put()

    def _put(self) -> None:
        self._out.write(self._text.getvalue().encode())
        self._text.seek(0)
        self._text.truncate()

    def _cell(self, name: str, value: Any) -> Any:
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, str):
            value = visible(value)
        if self._zone is None:
            return f"'{value}" if isinstance(value, str) and _RUNS.match(value) else value
        if isinstance(value, float):
            return str(value).replace(".", ",")
        if isinstance(value, str) and name in self._moments:
            # Without an offset, which Excel cannot read.
            return f"{datetime.fromisoformat(value).astimezone(self._zone):%Y-%m-%d %H:%M:%S}"
        return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value

    def close(self) -> None:
        self._out.flush()


# What a spreadsheet takes for the beginning of a formula (OWASP, CSV injection).
_FORMULA = ("=", "+", "-", "@")
# Programs read the other form, for which a masked number (+7903***4567) and a negative one stay as they are.
_RUNS = re.compile(r"[=@]|[+-](?![\d*.,+-]*$)")


# Characters that are written in one go.
_AT_ONCE = 1 << 18

# A group of rows has its own heads in the file: one for each row would be most of it.
_ROW_GROUP = 5_000


class Parquet:
    """A Parquet file with typed columns: numbers are doubles, counts int64, moments UTC timestamps."""

    def __init__(self, out: IO[bytes], columns: Columns) -> None:
        try:
            import pyarrow as pa
            import pyarrow.parquet as pq
        except ModuleNotFoundError as error:
            message = f"parquet needs {error.name}: pip install 'callsteward[parquet]'"
            raise CallstewardError(message) from error
        self._pa: Any = pa
        types = {
            Holds.TEXT: pa.string(),
            Holds.LOCAL_MOMENT: pa.string(),
            Holds.COUNT: pa.int64(),
            Holds.NUMBER: pa.float64(),
            Holds.MOMENT: pa.timestamp("ms", tz="UTC"),
            Holds.TRUTH: pa.bool_(),
        }
        self._schema = pa.schema([(name, types[holds]) for name, holds in columns.items()])
        self._writer = pq.ParquetWriter(out, self._schema)
        self._moments = [name for name, holds in columns.items() if holds is Holds.MOMENT]
        self._rows: list[Cells] = []

    def write(self, rows: Iterable[Cells]) -> None:
        self._rows += ({**row, **{name: _moment(row[name]) for name in self._moments}} for row in rows)
        if len(self._rows) >= _ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(self._pa.Table.from_pylist(self._rows, schema=self._schema))
            self._rows = []

    def close(self) -> None:
        self._flush()
        self._writer.close()


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


class Target:
    """Where rows go: a file, which is there whole or not at all, or standard output."""

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
