"""Options that several commands share."""

from __future__ import annotations

import os
import sys
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn, TypeVar, overload
from zoneinfo import ZoneInfo

import typer

from callsteward.config import Config
from callsteward.config.nearest import meant
from callsteward.terminal import dates

DEFAULT_CONFIG = Path("/etc/callsteward/callsteward.toml")
"""Where the shipped unit has it."""
CONFIG_VARIABLE = "CALLSTEWARD_CONFIG"

ConfigOption = Annotated[
    Path,
    typer.Option(
        "--config",
        "-c",
        envvar=CONFIG_VARIABLE,
        # The variable counts before the default in newer typer alone.
        default_factory=lambda: Path(os.environ.get(CONFIG_VARIABLE) or DEFAULT_CONFIG),
        show_default=str(DEFAULT_CONFIG),
        metavar="FILE",
        help="The TOML file; config/callsteward.toml is a commented example.",
    ),
]
OptionalConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="The TOML file; without it every key has its default."),
]


def before_command(context: typer.Context) -> bool:
    """Whether a command of a group follows. A configuration before it would not count: refused."""
    if context.invoked_subcommand is None:
        return False
    source = context.get_parameter_source("config_file")
    if source is not None and source.name == "COMMANDLINE":
        wrong(f"it stands before {context.invoked_subcommand!r}: write it behind", "--config")
    return True


class Form(StrEnum):
    """How records are printed."""

    TABLE = "table"
    JSONL = "jsonl"


class ListForm(StrEnum):
    """How a list of stored calls is printed."""

    TABLE = "table"
    JSONL = "jsonl"
    CSV = "csv"


OutputForm = TypeVar("OutputForm", bound=StrEnum)

FormOption = Annotated[Form | None, typer.Option(help="Default: a table on a terminal, jsonl in a pipe.")]
StartedFromOption = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="WHEN",
        help="Calls started at or after: today, yesterday, monday, 22.11.2026, 2026-11-22 (in the site's"
        " timezone) or 2026-11-22T08:30:00+03:00.",
    ),
]
ExcelOption = Annotated[
    bool,
    typer.Option(
        "--excel",
        help="csv as Excel reads it where a comma is the decimal sign (Russian, German …): semicolons,"
        " decimal commas, a byte order mark, and times of the site's timezone.",
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
    """Milliseconds since 1970 of a moment, or of a date: its start or, with end_of_day, its end."""
    found = dates.read(text, datetime.now(zone))
    if found is not None and not isinstance(found, datetime):
        found = dates.start_of(found + timedelta(days=1) if end_of_day else found, zone)
    if found is None:
        wrong(
            f"{text!r} is no date or time; write today, yesterday, monday, 22.11.2026, 2026-11-22 or"
            f" 2026-11-22T08:30:00+03:00 (without an offset: {zone.key})",
            option,
        )
    return round(found.timestamp() * 1000)


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


def tell_unknown_line(settings: Config, line: str | None) -> None:
    """Say that the configuration has no such line: an earlier one may have had it, so it is no error."""
    known = [*(one.name for one in settings.lines), settings.default_line]
    if line is not None and line not in known:
        typer.echo(f"warning: the configuration has no line {line!r}{meant(line, known)}", err=True)


def wrong(message: str, option: str) -> NoReturn:
    """End with exit code 2, naming the option."""
    raise typer.BadParameter(message, param_hint=option)


def as_excel(output: OutputForm | None, csv: OutputForm, *, excel: bool) -> OutputForm | None:
    """The form asked for: --excel alone means csv, and goes with no other."""
    if excel and output not in {None, csv}:
        wrong("it is a form of csv: add --output csv, or leave --output out", "--excel")
    return csv if excel else output
