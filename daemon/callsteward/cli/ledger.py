"""What the commands on the ledger share: opening it, reading numbers, printing.

A number is printed masked.
"""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, tzinfo
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from callsteward import config, features

if TYPE_CHECKING:
    from callsteward.callback.ledger import Ledger
    from callsteward.outgoing.forbidding import Forbidding
    from callsteward.record.numbering import NumberFormat
    from callsteward.store.records import Store

T = TypeVar("T")

ListFile = Annotated[
    Path, typer.Argument(metavar="FILE.csv", exists=True, dir_okay=False, help="A CSV file with the numbers.")
]


class NumberStyle(StrEnum):
    """How numbers without a plus are written."""

    E164 = "e164"
    NATIONAL = "national"


NumbersOption = Annotated[
    NumberStyle | None,
    typer.Option(
        "--numbers",
        help="How numbers without a plus are written: national, as the site's region dials (89031234567,"
        " 9031234567), or e164, with country code (79031234567). Without it one that can be two numbers is"
        " refused.",
    ),
]
ColumnOption = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN",
        help="Where the numbers stand, by its heading or its place from 1. Default: the first, and where none"
        " is there the one that has them is proposed.",
    ),
]


def form_of(style: NumberStyle | None) -> NumberFormat | None:
    """The format of a list or of what an admin typed."""
    from callsteward.record.numbering import NumberFormat

    return None if style is None else NumberFormat(style.value)


def list_reader(
    settings: config.Config, style: NumberStyle | None
) -> tuple[Callable[[str], str | None], Callable[[str], str]]:
    """What reads the numbers of a list, and what says why one that looks like a number is none."""
    from callsteward.outgoing.guard import Guard

    guard = Guard(settings)
    form = form_of(style)

    def why(cell: str) -> str:
        several = guard.readings(cell) if form is None and guard.ambiguous(cell) else ()
        if not several:
            return ""
        return (
            f"can be {' or '.join(several)}: say how the list writes numbers, --numbers national (as dialled"
            f" in {settings.site.region}) or --numbers e164 (with country code)"
        )

    return (lambda text: guard.read(text, form)), why


def with_store(settings: config.Config, act: Callable[[Store], Awaitable[T]], *, create: bool = False) -> T:
    """What `act` returns. `create`: the database is made where it is missing, for what puts something in."""

    async def run() -> T:
        from callsteward.store.records import Store

        store = await Store.open(settings.store.url, create=create)
        try:
            return await act(store)
        finally:
            await store.close()

    return asyncio.run(run())


def with_ledger(settings: config.Config, act: Callable[[Ledger], Awaitable[T]]) -> T:
    async def run(store: Store) -> T:
        from callsteward.callback.ledger import Ledger

        # A step made here is told on the feed, too: the daemon finds it in the outbox.
        return await act(Ledger(store.engine, settings.site.name, features.announce(settings)))

    return with_store(settings, run)


def forbidding(settings: config.Config, store: Store) -> Forbidding:
    """The way onto the do-not-call list; what it cancels is told on the feed, as in `with_ledger`."""
    return features.forbidding(
        store.engine, settings.site.name, now_ms=now_ms, announce=features.announce(settings)
    )


def read_numbers(
    settings: config.Config, written: Sequence[str], style: NumberStyle | None = None
) -> list[str]:
    from callsteward.outgoing.guard import Guard

    guard = Guard(settings)
    numbers = []
    for text in written:
        number = guard.read(text, form_of(style))
        if number is None:
            several = guard.readings(text) if style is None and guard.ambiguous(text) else ()
            if several:
                message = (
                    f"{text!r} can be {' or '.join(several)}: write it so, or say with --numbers how numbers"
                    f" without a plus are written (national: as dialled in {settings.site.region}; e164: with"
                    " country code)"
                )
                raise typer.BadParameter(message, param_hint="NUMBER")
            message = f"{text!r} is no telephone number of {settings.site.region} or with a country code"
            raise typer.BadParameter(message, param_hint="NUMBER")
        numbers.append(number)
    return list(dict.fromkeys(numbers))


def list_text(file: Path) -> str:
    """What stands in a file to import; another character set than UTF-8 is said."""
    from callsteward.outgoing import office_file

    found = office_file.text_of(file)
    if found.charset != "UTF-8":
        typer.echo(f"{file.name} is read as {found.charset}", err=True)
    return found.text


def print_json(values: dict[str, Any]) -> None:
    import msgspec

    typer.echo(msgspec.json.encode(values).decode())


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.table import Table

    from callsteward.terminal import tables

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(tables.cell, row))
    tables.console().print(table)


def clock(ms: int, zone: tzinfo) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, zone):%Y-%m-%d %H:%M:%S}"


def rfc3339(ms: int) -> str:
    from callsteward.record.moments import stamped

    return stamped(ms)


def now_ms() -> int:
    return int(datetime.now(UTC).timestamp() * 1000)


def who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "admin"
