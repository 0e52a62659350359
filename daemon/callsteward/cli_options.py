"""Options that several commands share."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn, overload
from zoneinfo import ZoneInfo

import typer

ConfigOption = Annotated[
    Path,
    typer.Option("--config", "-c", help="The TOML file; config/callsteward.toml is a commented example."),
]
OptionalConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="The TOML file; without it every key has its default."),
]


class Form(StrEnum):
    """How records are printed."""

    TABLE = "table"
    JSONL = "jsonl"


class ListForm(StrEnum):
    """How a list of stored calls is printed."""

    TABLE = "table"
    JSONL = "jsonl"
    CSV = "csv"


FormOption = Annotated[Form | None, typer.Option(help="Default: a table on a terminal, jsonl in a pipe.")]
StartedFromOption = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="WHEN",
        help="Calls started at or after: 2026-11-22 (site's timezone) or 2026-11-22T08:30:00+03:00.",
    ),
]
StartedToOption = Annotated[
    str | None,
    typer.Option("--to", metavar="WHEN", help="Calls started before; a date includes that day."),
]


def chosen(output: Form | None) -> Form:
    """The form asked for, else the one that suits where the output goes."""
    return output or (Form.TABLE if sys.stdout.isatty() else Form.JSONL)


def moment(text: str, zone: ZoneInfo, option: str, *, end_of_day: bool = False) -> int:
    """Milliseconds since 1970 of a date (its start or, with end_of_day, its end) or RFC 3339 time."""
    try:
        found = datetime.fromisoformat(text)
        if end_of_day and len(text) <= len("2026-11-22"):
            found += timedelta(days=1)
        if found.tzinfo is None:
            found = found.replace(tzinfo=zone)
        return round(found.timestamp() * 1000)
    except (ValueError, OverflowError):
        wrong(
            f"{text!r} is no date or time; write 2026-11-22 or 2026-11-22T08:30:00+03:00"
            f" (without an offset: {zone.key})",
            option,
        )


@overload
def span(from_: str, to: str, zone: ZoneInfo) -> tuple[int, int]: ...
@overload
def span(from_: str | None, to: str | None, zone: ZoneInfo) -> tuple[int | None, int | None]: ...
def span(from_: str | None, to: str | None, zone: ZoneInfo) -> tuple[int | None, int | None]:
    """--from and --to in milliseconds since 1970, None for an open end. Refused where nothing is between."""
    from_ms = None if from_ is None else moment(from_, zone, "--from")
    to_ms = None if to is None else moment(to, zone, "--to", end_of_day=True)
    if from_ms is not None and to_ms is not None and from_ms >= to_ms:
        wrong(f"nothing lies between --from {from_} and --to {to}: --to is not after --from", "--to")
    return from_ms, to_ms


def wrong(message: str, option: str) -> NoReturn:
    """End with exit code 2, naming the option."""
    raise typer.BadParameter(message, param_hint=option)
