"""A table as an office keeps it, from its bytes to its rows. Pure but for reading the file.

UTF-8 with a byte order mark or without, UTF-16 (Excel's "Unicode text") and Windows-1251; comma, semicolon or
tab between the cells, or the separator in Excel's own first line `sep=;`. A file that is not clearly such a
table is refused: a row that is read wrongly means a call to a client who asked not to be called.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from callsteward.exceptions import CallstewardError

# If several fit, the first one wins: commas are common in comments.
_DELIMITERS = ("\t", ";", ",")
# The delimiter and the column of the numbers are found by this many rows.
SAMPLE = 200
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_QUOTE = '"'

IsNumber = Callable[[str], bool]
"""True if a cell looks like a telephone number, right or mistyped."""


class SheetRow(NamedTuple):
    """A row: the line of the file in which it begins, from 1, and its cells without surrounding blanks."""

    line: int
    cells: list[str]


class Fault(NamedTuple):
    """The line at which a file stops being a table, and why. Nothing is read after it."""

    line: int
    why: str


class Text(NamedTuple):
    """The text of a file, and the character set in which it was written."""

    text: str
    charset: str


def text_of(file: Path) -> Text:
    """The text of a file. Raises CallstewardError if its character set is not certain."""
    try:
        content = file.read_bytes()
    except OSError as error:
        message = f"{file}: cannot read it: {error.strerror}"
        raise CallstewardError(message) from error
    return text_in(content, str(file))


def text_in(content: bytes, file: str) -> Text:
    """The text of a file's content; `file`: its name, for errors. Raises as `text_of` does."""
    if content.startswith(_WORKBOOKS):
        message = f"{file} is a workbook of Excel: save it there as CSV UTF-8, then import that file"
        raise CallstewardError(message)
    found = _decoded(content, file)
    if "\0" in found.text:
        message = f"{file} is no text: import a CSV file"
        raise CallstewardError(message)
    return found


def _decoded(content: bytes, file: str) -> Text:
    try:
        if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return Text(content.decode("utf-16"), "UTF-16")
        return Text(content.decode("utf-8-sig"), "UTF-8")
    except UnicodeDecodeError as error:
        wrong = error
    line = content.count(b"\n", 0, wrong.start) + 1
    # Hardly a byte of Russian text in Windows-1251 is valid UTF-8; most of a damaged UTF-8 file still is.
    guess = content.decode("utf-8", errors="replace")
    damaged = guess.count("\N{REPLACEMENT CHARACTER}")
    if sum(char > "\x7f" for char in guess) - damaged <= damaged:
        try:
            return Text(content.decode("cp1251"), "Windows-1251")
        except UnicodeDecodeError:
            pass
    message = (
        f"{file}:{line}: neither UTF-8 nor Windows-1251: save the file as CSV UTF-8\nnothing was imported"
    )
    raise CallstewardError(message) from wrong


def rows(text: str, is_number: IsNumber) -> Iterator[SheetRow | Fault]:
    """The rows of a table without empty ones; if the text stops being a table, a Fault comes last."""
    lines = _Lines(text)
    delimiter = lines.told or _delimiter(text, is_number)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        begins = lines.count + 1
        lines.taken.clear()
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield Fault(begins, _why(error, begins, lines.count))
            return
        if cells is None:
            return
        swallowed = _numbers(lines.taken, delimiter, is_number) if len(lines.taken) > 1 else 0
        if swallowed > 1:
            # A quote that is not closed takes all lines up to the next quote into one cell.
            yield Fault(
                begins,
                f"the quote opened here is closed in line {lines.count} only, with {swallowed} telephone"
                " numbers between: is a quote missing, or one too many?",
            )
            return
        cleaned = [clean(cell) for cell in cells]
        if any(cleaned):
            yield SheetRow(begins, cleaned)


def clean(cell: str) -> str:
    """A cell's text without the characters that spreadsheets and messengers put around it."""
    text = " ".join("".join(char for char in cell if char not in _INVISIBLE).split())
    # ="79031234567" and '79031234567 make a spreadsheet treat the digits as text.
    if text.startswith('="') and text.endswith('"') and len(text) > 3:
        return text[2:-1].strip()
    return text.removeprefix("'") if text[1:2].isdigit() or text[1:2] == "+" else text


# Characters of zero width and of writing direction: text copied from an address book has them.
_INVISIBLE = frozenset(
    "\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
)


class _Lines:
    """The lines of a text, kept since they were last cleared."""

    def __init__(self, text: str) -> None:
        self._lines = io.StringIO(text, newline="")
        self.taken: list[str] = []
        self.count = 0
        self.told = ""
        """The delimiter that the first line names; empty if it names none."""
        first = text.partition("\n")[0].strip()
        if first.lower().startswith("sep=") and len(first) == len("sep=;"):
            self.told = first[-1]
            next(self)

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.count += 1
        self.taken.append(line)
        return line


def _delimiter(text: str, is_number: IsNumber) -> str:
    """The delimiter that puts most numbers into one column; among equals, most rows of one width."""

    def worth(delimiter: str) -> tuple[int, int]:
        # Not strict: with the wrong delimiter, correct quotes look wrong.
        reader = csv.reader(islice(_Lines(text), SAMPLE), delimiter=delimiter)
        try:
            sample = [[clean(cell) for cell in row] for row in reader]
        except csv.Error:
            return 0, 0
        columns = Counter(place for row in sample for place, cell in enumerate(row) if is_number(cell))
        width, alike = max(Counter(map(len, sample)).items(), key=lambda item: item[1], default=(0, 0))
        return max(columns.values(), default=0), alike if width > 1 else 0

    return max(_DELIMITERS, key=worth)


def _numbers(lines: Iterable[str], delimiter: str, is_number: IsNumber) -> int:
    """The number of these lines that have a telephone number, quotes ignored."""
    return sum(any(map(is_number, _naive(line, delimiter))) for line in lines)


def _naive(line: str, delimiter: str) -> list[str]:
    return [clean(cell.strip().strip(_QUOTE)) for cell in line.split(delimiter)]


def _why(error: csv.Error, begins: int, ends: int) -> str:
    told = str(error)
    if "unexpected end of data" in told:
        return "the quote opened here is closed nowhere: close it, or leave it out"
    if "expected after" in told:
        if ends > begins:
            return f"the quote opened here runs on into line {ends}: is a quote missing, or one too many?"
        return 'a quote within a cell in quotes: write it twice (""), or put no quotes around the cell'
    return f"not CSV: {told}"
