"""A CSV file with numbers in its first column, as an admin imports it: all of it or nothing.

Comma or semicolon, with a heading or without. A first line is a heading where no digit stands in its first
cell: a number that is mistyped there is as wrong as on any other line.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

from callsteward.exceptions import CallstewardError

MOST_ROWS = 1_000_000
"""A longer list is refused before anything of it is written."""
_NAMED = 10

Read = Callable[[str], str | None]
"""Makes a number E.164, None of what is none."""


def text_of(file: Path) -> str:
    """What stands in a file. Raises CallstewardError."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        message = f"{file}: cannot read it as UTF-8: {error}"
        raise CallstewardError(message) from error


def each(text: str, name: str, read: Read, take: Callable[[list[str]], str]) -> None:
    """Give each row to `take`, which says what is wrong with it, nothing where nothing is.

    Raises CallstewardError with every wrong line, the first ten by their number in the file `name`.
    """
    delimiter = ";" if ";" in text.partition("\n")[0] else ","
    wrong: list[str] = []
    taken = 0
    rows = csv.reader(text.splitlines(), delimiter=delimiter)
    try:
        for row in rows:
            if not any(cell.strip() for cell in row):
                continue
            if taken >= MOST_ROWS:
                wrong.append(f"{name}:{rows.line_num}: more than {MOST_ROWS} numbers")
                break
            fault = take(row)
            if not fault:
                taken += 1
            elif not (rows.line_num == 1 and _heading(row, read)):
                wrong.append(f"{name}:{rows.line_num}: {fault}")
    except csv.Error as error:
        wrong.append(f"{name}:{rows.line_num}: not CSV: {error}")
    if wrong:
        more = f"\n… and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
        message = "\n".join(wrong[:_NAMED]) + more + "\nnothing was imported"
        raise CallstewardError(message)


def no_number(cell: str) -> str:
    """What is wrong with a row whose first cell this is."""
    return f"{cell[:40]!r} is no telephone number"


def _heading(row: list[str], read: Read) -> bool:
    return read(row[0]) is None and not any(char.isdigit() for char in row[0])
