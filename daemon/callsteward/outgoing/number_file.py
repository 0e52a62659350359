"""A list of telephone numbers that an admin imports: all of it or nothing.

It may have a heading. The numbers are in the first column unless `column` names another one. The first line
is a heading if there are words in the numbers' cell; a mistyped number there is an error, as on any other
line.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import NamedTuple, NoReturn

from callsteward.exceptions import CallstewardError
from callsteward.outgoing import office_file
from callsteward.outgoing.office_file import Fault, SheetRow

MOST_ROWS = 1_000_000
"""A longer list is refused before any of it is written."""
_NAMED = 10

ReadNumber = Callable[[str], str | None]
"""Makes a number E.164; None for a text that is no number."""

ExplainNumber = Callable[[str], str]
"""Explains why a text that looks like a number is none; empty if there is nothing to add."""


def no_reason(_cell: str) -> str:
    return ""


# 7,9031E+10: what a spreadsheet shows, and saves, where its column is too narrow for the number.
_ROUNDED = re.compile(r"\+?[0-9]+[.,][0-9]+E\+?[0-9]{1,2}\Z", re.IGNORECASE)
_ROUNDED_TAIL = re.compile(r"[0-9]+E\+[0-9]{1,2}\Z", re.IGNORECASE)
# A number that a program took for a fraction: 79031234567.0
_FRACTION = re.compile(r"(?<=[0-9])[.,]0+\Z")
_DASHES = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2212"), "-")
# A text with this many digits is a number, if a mistyped one.
_FEWEST = 5
_LOOKS = re.compile(r"\+?[0-9][0-9 ().-]{4,}\Z")
# Words in the heading of the column of numbers.
_PHONE = re.compile(r"тел|моб|номер|абонент|phone|mobile|number|msisdn|caller", re.IGNORECASE)


# Words in the heading of the column of comments.
_COMMENT = re.compile(r"коммент|примеч|причин|comment|reason|note|why", re.IGNORECASE)
_LONGEST_COMMENT = 500


class NumberRow(NamedTuple):
    """A row with a number."""

    number: str
    """E.164."""
    column: int
    """The column of the number, from 0."""
    cells: list[str]
    heading: list[str]
    """The cells of the heading; empty without one."""

    @property
    def others(self) -> Iterator[tuple[str, str]]:
        """The other cells that are not empty, each with its heading before it."""
        for place, cell in enumerate(self.cells):
            if place != self.column and cell:
                yield (self.heading[place] if place < len(self.heading) else ""), cell


def each(
    text: str,
    name: str,
    read: ReadNumber,
    take: Callable[[NumberRow], str],
    column: str | None = None,
    why: ExplainNumber = no_reason,
) -> int:
    """Give each row to `take`, which returns its mistake, or an empty text. Returns the number of rows taken.

    `column`: the column of the numbers, by its heading or counted from 1. Raises CallstewardError with all
    wrong lines, the first ten by their number in the file `name`; also if there is no number at all.
    """
    if not text.strip():
        _refuse(f"{name}: the file is empty")
    found = office_file.rows(text, lambda cell: _looks(cell, read))
    sample = list(islice(found, office_file.SAMPLE))
    place = _column([row.cells for row in sample if isinstance(row, SheetRow)], name, read, column)
    wrong: list[str] = []
    heading: list[str] = []
    taken = 0
    for count, row in enumerate(chain(sample, found)):
        if isinstance(row, Fault):
            wrong.append(f"{name}:{row.line}: {row.why}")
            break
        if taken >= MOST_ROWS:
            wrong.append(f"{name}:{row.line}: more than {MOST_ROWS} numbers")
            break
        cell = row.cells[place] if place < len(row.cells) else ""
        number = read(_plain(cell))
        if number is None:
            if count == 0 and _titles(cell):
                heading = row.cells
            else:
                wrong.append(f"{name}:{row.line}: {_no_number(row.cells, place, cell, why)}")
            continue
        fault = take(NumberRow(number, place, row.cells, heading))
        if fault:
            wrong.append(f"{name}:{row.line}: {fault}")
        else:
            taken += 1
    if wrong:
        more = f"\n… and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
        _refuse("\n".join(wrong[:_NAMED]) + more)
    if not taken:
        _refuse(f"{name}: there is no telephone number in it")
    return taken


def comment_of(entry: NumberRow) -> str:
    """The comment of a row: its cells with such a heading, else all cells but the number."""
    others = list(entry.others)
    own = [cell for title, cell in others if _COMMENT.search(title)]
    if not own and not any(map(_COMMENT.search, entry.heading)):
        own = [cell for _, cell in others]
    return ", ".join(own)[:_LONGEST_COMMENT]


def _refuse(why: str) -> NoReturn:
    message = f"{why}\nnothing was imported"
    raise CallstewardError(message)


def _titles(cell: str) -> bool:
    """True for a heading: text without digits, or words with some, such as Phone 1."""
    digits = sum(char.isdigit() for char in cell)
    return not digits or (digits < _FEWEST and any(char.isalpha() for char in cell))


def _plain(cell: str) -> str:
    return _FRACTION.sub("", cell).translate(_DASHES)


def _looks(cell: str, read: ReadNumber) -> bool:
    """True for a number, a mistyped one, or one that a spreadsheet has spoiled."""
    return bool(_LOOKS.match(cell) or _ROUNDED.match(cell)) or read(_plain(cell)) is not None


def _no_number(cells: Sequence[str], place: int, cell: str, why: ExplainNumber) -> str:
    # In a file with commas between its cells, 7,9031E+10 is two cells.
    tail = cells[place + 1] if place + 1 < len(cells) else ""
    rounded = f"{cell},{tail}" if cell.isdigit() and _ROUNDED_TAIL.match(tail) else cell
    if _ROUNDED.match(rounded):
        return (
            f"{rounded[:40]!r} is a number that Excel has rounded: its last digits are gone. In Excel give"
            " the column the format Number without decimal places, then save the file again"
        )
    return f"{cell[:40]!r} {why(_plain(cell)) or 'is no telephone number'}"


def _column(sample: Sequence[Sequence[str]], name: str, read: ReadNumber, wanted: str | None) -> int:
    """The column of the numbers, from 0."""
    heading = sample[0] if sample and not any(_looks(cell, read) for cell in sample[0]) else ()
    width = max(map(len, sample), default=1)
    if wanted is not None:
        return _named(wanted, heading, width, name)
    body = sample[1:] if heading else sample
    counts = Counter(place for row in body for place, cell in enumerate(row) if _looks(cell, read))
    likely = [place for place, count in sorted(counts.items()) if 2 * count >= len(body)]
    if len(likely) > 1:
        called = [place for place in likely if place < len(heading) and _PHONE.search(heading[place])]
        likely = called if len(called) == 1 else likely
    if likely in ([], [0]):
        return 0
    told = ", ".join(_called(place, heading) for place in likely)
    if len(likely) > 1:
        _refuse(f"{name}: telephone numbers may stand in {told}: say which with --column, such as --column 1")
    _refuse(
        f"{name}: the telephone numbers seem to stand in {told}, not in the first: if so, add"
        f" --column {likely[0] + 1}"
    )


def _called(place: int, heading: Sequence[str]) -> str:
    title = heading[place] if place < len(heading) else ""
    return f"column {place + 1}" + (f" ({title[:40]})" if title else "")


def _named(wanted: str, heading: Sequence[str], width: int, name: str) -> int:
    if wanted.isdigit():
        if not 1 <= int(wanted) <= width:
            _refuse(f"{name}: there is no column {wanted}; the file has {width}")
        return int(wanted) - 1
    titles = [title.casefold() for title in heading]
    if titles.count(wanted.casefold()) == 1:
        return titles.index(wanted.casefold())
    if not heading:
        _refuse(f"{name}: the file has no heading: say the column by its place, such as --column 2")
    near = difflib.get_close_matches(wanted.casefold(), titles, n=1)
    mean = f"; did you mean {heading[titles.index(near[0])]!r}?" if near else ""
    _refuse(f"{name}: there is no one column {wanted!r} in its heading: {_listed(heading)}{mean}")


def _listed(heading: Iterable[str]) -> str:
    titles = [title for title in heading if title]
    return ", ".join(titles[:_NAMED]) + (" …" if len(titles) > _NAMED else "")
