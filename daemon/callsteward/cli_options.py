"""Options that several commands share."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn
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


def wrong(message: str, option: str) -> NoReturn:
    """End with exit code 2, naming the option."""
    raise typer.BadParameter(message, param_hint=option)
