"""The options of the commands, each defined once: one name, one help, one form of its value everywhere.

How an option was called before stands in `renamed` where its command is registered.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, overload
from zoneinfo import ZoneInfo

import typer

from callsteward.terminal import dates
from callsteward.terminal.printing import Form, PlainForm
from callsteward.terminal.wrong import wrong

if TYPE_CHECKING:
    from callsteward.config import Config

DEFAULT_CONFIG = Path("/etc/callsteward/callsteward.toml")
"""Where the shipped unit has it."""
CONFIG_VARIABLE = "CALLSTEWARD_CONFIG"

_CONFIG_HELP = "The TOML file; config/callsteward.toml is a commented example."

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
        help=_CONFIG_HELP,
    ),
]
OptionalConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", show_default="every key's own", metavar="FILE", help=_CONFIG_HELP),
]

# --- which rows -----------------------------------------------------------------------------------------


def words(choices: type[StrEnum]) -> str:
    """The choices of an option, for its help: `a, b or c`."""
    *first, last = (choice.value for choice in choices)
    return f"{', '.join(first)} or {last}"


LineOption = Annotated[str | None, typer.Option("--line", metavar="NAME", help="Only this line.")]
ALL_SITES = "all"
"""The value of --site that stands for every site of the database."""


SiteOption = Annotated[
    str | None,
    typer.Option(
        "--site",
        metavar="NAME",
        help="Only this site of a database that several share, or all of them. Default: all for calls and"
        " report calls, else the configuration's own.",
    ),
]
OperatorOption = Annotated[str | None, typer.Option("--operator", metavar="NAME", help="Only this operator.")]
_FROM = typer.Option(
    "--from",
    metavar="WHEN",
    help="From this time on: today, yesterday, monday, 22.11.2026, 2026-11-22 (in the site's timezone) or"
    " 2026-11-22T08:30:00+03:00.",
)
_TO = typer.Option("--to", metavar="WHEN", help="Up to this time; a date includes that day.")
FromOption = Annotated[str | None, _FROM]
ToOption = Annotated[str | None, _TO]
GivenFromOption = Annotated[str, _FROM]
"""For commands that need a time, or have a default for it."""
GivenToOption = Annotated[str, _TO]
_LIMIT = typer.Option("--limit", metavar="N", min=1, help="At most this many.")
LimitOption = Annotated[int, _LIMIT]
OptionalLimitOption = Annotated[int | None, _LIMIT]

# --- how they are printed -------------------------------------------------------------------------------


def _output(forms: type[StrEnum], in_a_pipe: Form, more: str = "") -> Any:
    return typer.Option(
        "--output",
        metavar="FORM",
        help=f"{words(forms)}. Default: a table on a terminal, {in_a_pipe} in a pipe{more}.",
    )


_BY_NAME = "; of --file, what its name ends in"
OutputOption = Annotated[Form | None, _output(Form, Form.JSONL, _BY_NAME)]
ReportOutputOption = Annotated[Form | None, _output(Form, Form.CSV, _BY_NAME)]
"""Of the reports that programs for workforce management read: csv is what they take."""
PlainOutputOption = Annotated[PlainForm | None, _output(PlainForm, Form.JSONL)]
FileOption = Annotated[
    Path | None, typer.Option("--file", metavar="FILE", help="Write there, not to standard output.")
]
ExcelOption = Annotated[
    bool,
    typer.Option(
        "--excel",
        help="csv as Excel reads it where a comma is the decimal sign (Russian, German …): semicolons,"
        " decimal commas, a byte order mark, and times of the site's timezone.",
    ),
]
UtcOption = Annotated[
    bool, typer.Option("--utc", help="Read dates and show times in UTC, not in the site's timezone.")
]

# --- what is done ---------------------------------------------------------------------------------------

CommentOption = Annotated[
    str, typer.Option("--comment", metavar="TEXT", help="Why, or what was done; kept with your name.")
]
_FOLDER = typer.Option(
    "--folder", metavar="DIR", help="Write the files into this folder, which is made where it is missing."
)
FolderOption = Annotated[Path, _FOLDER]
OptionalFolderOption = Annotated[Path | None, _FOLDER]


def load(config_file: Path | None, **how: Any) -> Config:
    """As `config.load`, whose packages a mere --help does not need."""
    from callsteward import config

    return config.load(config_file, **how)


def before_command(context: typer.Context) -> bool:
    """True if a command of a group follows. A configuration before it would not count: refused."""
    if context.invoked_subcommand is None:
        return False
    source = context.get_parameter_source("config_file")
    if source is not None and source.name == "COMMANDLINE":
        wrong(f"it stands before {context.invoked_subcommand!r}: write it behind", "--config")
    return True


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


def report_span(from_: str, to: str, zone: ZoneInfo) -> tuple[int, int]:
    """The same for a report, whose rows are as many as its time is long."""
    from_ms, to_ms = span(from_, to, zone)
    if to_ms - from_ms > timedelta(days=3660).total_seconds() * 1000:
        wrong("more than ten years", "--from")
    return from_ms, to_ms


def tell_expired(said: str) -> None:
    """Say that records of the time that was asked for are deleted, where some are."""
    if said:
        typer.echo(f"warning: {said}", err=True)


def tell_unknown_site(known: Sequence[str], site: str | None) -> None:
    """Say that the database has no call of such a site: it may be new, so it is no error."""
    from callsteward.config.nearest import meant

    if site is not None and site not in {*known, ALL_SITES}:
        typer.echo(f"warning: the database has no call of the site {site!r}{meant(site, known)}", err=True)


def tell_unknown_line(settings: Config, line: str | None) -> None:
    """Say that the configuration has no such line: an earlier one may have had it, so it is no error."""
    from callsteward.config.nearest import meant

    known = [*(one.name for one in settings.lines), settings.default_line]
    if line is not None and line not in known:
        typer.echo(f"warning: the configuration has no line {line!r}{meant(line, known)}", err=True)
