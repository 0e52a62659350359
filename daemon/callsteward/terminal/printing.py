"""Results in the form that was asked for: a table for people, JSON lines for programs, or a file.

A command says with a Listing what its rows are in each form, and gives the rows to a Printer. Results go to
standard output or to --file; how many there were is said on standard error.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import tzinfo
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Generic, TypeVar

import typer

from callsteward.terminal.wrong import wrong

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from callsteward.terminal.files import Cells, Columns, Writer

T = TypeVar("T")


class Form(StrEnum):
    """How rows are printed."""

    TABLE = "table"
    JSONL = "jsonl"
    CSV = "csv"
    XLSX = "xlsx"
    PARQUET = "parquet"


class PlainForm(StrEnum):
    """How one thing is printed that is no list of rows."""

    TABLE = "table"
    JSONL = "jsonl"


_BINARY = frozenset({Form.XLSX, Form.PARQUET})


def on_a_terminal() -> bool:
    return sys.stdout.isatty()


@dataclass(frozen=True, slots=True)
class Wanted:
    """The form that --output, --file and --excel ask for together."""

    form: Form
    file: Path | None = None
    excel: bool = False


def wanted(
    output: Form | None, file: Path | None = None, *, excel: bool = False, in_a_pipe: Form = Form.JSONL
) -> Wanted:
    """The form asked for, else that of the file's name, else the one that suits where the output goes."""
    if excel and output not in {None, Form.CSV}:
        wrong("it is a form of csv: add --output csv, or leave --output out", "--excel")
    form = Form.CSV if excel else output
    if form is None and file is not None and file.suffix.lower().removeprefix(".") in set(Form):
        form = Form(file.suffix.lower().removeprefix("."))
    if form is None:
        form = Form.TABLE if file is None and on_a_terminal() else in_a_pipe
    if form is Form.TABLE and file is not None:
        wrong("a table is for a terminal: add --output csv, jsonl, parquet or xlsx", "--file")
    if form in _BINARY and file is None and on_a_terminal():
        wrong(f"{form.value} is binary: add --file FILE, or send it into a pipe", "--output")
    return Wanted(form, file, excel)


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """How one kind of rows is printed in each form."""

    columns: Columns
    """Of csv, xlsx and parquet: a contract, new ones go to the end."""
    cells: Callable[[T], Cells]
    """A row under these columns."""
    table: Callable[[Sequence[T], int], RenderableType]
    """All rows for people, on a terminal of this width."""
    line: Callable[[T], bytes | Cells] | None = None
    """A row of jsonl, where it says more than the columns can."""


class Printer(Generic[T]):
    """Takes rows, a batch at a time; `count` is how many there were."""

    def __init__(self, put: Callable[[list[T]], None]) -> None:
        self._put = put
        self.count = 0

    def write(self, rows: Iterable[T]) -> None:
        batch = list(rows)
        self.count += len(batch)
        self._put(batch)


@contextmanager
def printer(listing: Listing[T], asked: Wanted, zone: tzinfo) -> Iterator[Printer[T]]:
    """Prints what is written to it; a table at the end. Times of an Excel sheet are of `zone`."""
    from callsteward.terminal.files import Target

    if asked.form is Form.TABLE:
        from callsteward.terminal import plain

        shown: list[T] = []
        yield Printer(shown.extend)
        console = plain.console()
        console.print(listing.table(shown, console.width))
        return
    with Target(asked.file) as out:
        if asked.form is Form.JSONL:
            yield Printer(_lines(listing, out))
            out.flush()
        else:
            writer = _writer(asked, listing.columns, out, zone)
            yield Printer(lambda rows: writer.write(map(listing.cells, rows)))
            writer.close()


def print_rows(
    rows: Sequence[T], listing: Listing[T], asked: Wanted, zone: tzinfo, *, what: str, of: str = ""
) -> None:
    """Print rows that are all at hand, and say how many of `what` there were; as `tell_count`."""
    with printer(listing, asked, zone) as out:
        out.write(rows)
    tell_count(len(rows), what, of=of)


def tell_count(count: int, what: str, more: str = "", *, of: str = "") -> None:
    """`calls: 3`, with what more is to be said of them; else `no calls`. `of`: what the rows sum up."""
    typer.echo(f"{what}: {count}{more}" if count else f"no {of or what}", err=True)


def as_table(output: PlainForm | None) -> bool:
    """True if people will read it: a table was asked for, or nothing was and this is a terminal."""
    return output is PlainForm.TABLE if output is not None else on_a_terminal()


def print_thing(
    output: PlainForm | None, as_json: Callable[[], Any], show: Callable[[Console], object]
) -> None:
    """Print what is no list of rows: as one line of JSON, or as `show` puts it on a console."""
    if as_table(output):
        from callsteward.terminal import plain

        show(plain.console())
        return
    import msgspec

    typer.echo(msgspec.json.encode(as_json()).decode())


def _lines(listing: Listing[T], out: IO[bytes]) -> Callable[[list[T]], None]:
    import msgspec

    encoder = msgspec.json.Encoder()

    def line(row: T) -> bytes:
        if listing.line is None:
            cells = listing.cells(row)
            return encoder.encode({name: cells[name] for name in listing.columns})
        told = listing.line(row)
        return told if isinstance(told, bytes) else encoder.encode(told)

    return lambda rows: out.writelines(line(row) + b"\n" for row in rows)


def _writer(asked: Wanted, columns: Columns, out: IO[bytes], zone: tzinfo) -> Writer:
    from callsteward.terminal import files

    if asked.form is Form.CSV:
        return files.Csv(out, columns, excel=zone if asked.excel else None)
    if asked.form is Form.XLSX:
        from callsteward.terminal.workbook import Workbook

        return Workbook(out, columns, zone)
    return files.Parquet(out, columns)
