"""Clients' telephone numbers on the command line: written there, or in a file as offices keep it.

What `dnc` and `zones` share. A number is printed masked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from callsteward.terminal.wrong import wrong

if TYPE_CHECKING:
    from callsteward.config import Config
    from callsteward.record.numbering import NumberFormat

ListFile = Annotated[
    Path, typer.Argument(metavar="FILE.csv", exists=True, dir_okay=False, help="A CSV file with the numbers.")
]
_NUMBER = typer.Argument(metavar="NUMBER", help="A telephone number, written in any usual way.")
NumberArgument = Annotated[str, _NUMBER]
NumbersArgument = Annotated[list[str], _NUMBER]


class NumberStyle(StrEnum):
    """How numbers without a plus are written."""

    E164 = "e164"
    NATIONAL = "national"


NumbersOption = Annotated[
    NumberStyle | None,
    typer.Option(
        "--numbers",
        metavar="STYLE",
        help="How numbers without a plus are written: national, as the site's region dials (89031234567,"
        " 9031234567), or e164, with country code (79031234567). Without it one that can be two numbers is"
        " refused.",
    ),
]
ColumnOption = Annotated[
    str | None,
    typer.Option(
        "--column",
        metavar="NAME",
        help="Where the numbers stand, by its heading or its place from 1. Default: the first, and where none"
        " is there the one that has them is proposed.",
    ),
]


def form_of(style: NumberStyle | None) -> NumberFormat | None:
    """The format of a list or of what an admin typed."""
    from callsteward.record.numbering import NumberFormat

    return None if style is None else NumberFormat(style.value)


def list_reader(
    settings: Config, style: NumberStyle | None
) -> tuple[Callable[[str], str | None], Callable[[str], str]]:
    """Two functions for a list: one reads a number, one explains why a text is no number."""
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


def read_numbers(settings: Config, written: Sequence[str], style: NumberStyle | None = None) -> list[str]:
    """The numbers as E.164, each once. What is no number, or could be several, ends the command with 2."""
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
                wrong(message, "NUMBER")
            wrong(
                f"{text!r} is no telephone number of {settings.site.region} or with a country code", "NUMBER"
            )
        numbers.append(number)
    return list(dict.fromkeys(numbers))


def list_text(file: Path) -> str:
    """The text of a file to import. Prints the character set if it is not UTF-8."""
    from callsteward.outgoing import office_file

    found = office_file.text_of(file)
    if found.charset != "UTF-8":
        typer.echo(f"{file.name} is read as {found.charset}", err=True)
    return found.text
