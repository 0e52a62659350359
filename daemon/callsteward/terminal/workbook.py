"""Rows as a workbook of Excel: numbers are numbers, moments are dates, and no cell is a formula."""

from __future__ import annotations

import io
from collections.abc import Iterable
from datetime import datetime, tzinfo
from typing import IO, Any

from callsteward.exceptions import CallstewardError
from callsteward.terminal.files import Cells, Columns, moments
from callsteward.terminal.visible import visible

# The most rows of a sheet, its heading included.
MOST_ROWS = 1_048_576
_WIDTH = 14
_WIDE = 20


class Workbook:
    """One sheet with a fixed heading and filters. Times are of `zone`."""

    def __init__(self, out: IO[bytes], columns: Columns, zone: tzinfo) -> None:
        try:
            import xlsxwriter
        except ModuleNotFoundError as error:
            message = "xlsx needs XlsxWriter: pip install 'callsteward[xlsx]'"
            raise CallstewardError(message) from error
        self._out = out
        self._names = list(columns)
        self._zone = zone
        self._moments = moments(columns)
        # A workbook is finished at its end, and not written from beginning to end: a pipe cannot take it.
        self._made = io.BytesIO()
        # Row by row through a temporary file: a year of slots needs no memory.
        self._book: Any = xlsxwriter.Workbook(
            self._made, {"constant_memory": True, "default_date_format": "yyyy-mm-dd hh:mm:ss"}
        )
        self._sheet: Any = self._book.add_worksheet("callsteward")
        bold = self._book.add_format({"bold": True})
        for column, name in enumerate(columns):
            self._sheet.set_column(column, column, _WIDE if name in self._moments else _WIDTH)
            self._sheet.write_string(0, column, name, bold)
        self._sheet.freeze_panes(1, 0)
        self._row = 0

    def write(self, rows: Iterable[Cells]) -> None:
        """Raises CallstewardError if a sheet has no more room."""
        for row in rows:
            self._row += 1
            if self._row >= MOST_ROWS:
                self._book.close()
                message = f"a sheet holds {MOST_ROWS - 1} rows: choose a shorter time, or --output csv"
                raise CallstewardError(message)
            for column, name in enumerate(self._names):
                self._put(column, name, row[name])

    def _put(self, column: int, name: str, value: Any) -> None:
        if value is None:
            return
        if name in self._moments:
            # A sheet knows no time zones.
            local = datetime.fromisoformat(value).astimezone(self._zone)
            self._sheet.write_datetime(self._row, column, local.replace(tzinfo=None))
        elif isinstance(value, bool):
            self._sheet.write_boolean(self._row, column, value)
        elif isinstance(value, int | float):
            self._sheet.write_number(self._row, column, value)
        else:
            self._sheet.write_string(self._row, column, visible(str(value)))

    def close(self) -> None:
        self._sheet.autofilter(0, 0, self._row, len(self._names) - 1)
        self._book.close()
        self._out.write(self._made.getbuffer())
        self._out.flush()
