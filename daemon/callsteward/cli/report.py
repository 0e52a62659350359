"""`callsteward report`: intervals, operators and calls for WFM tools, notebooks and people."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from callsteward import config
from callsteward.cli import ratings as cli_ratings
from callsteward.terminal.options import ConfigOption, ExcelOption, as_excel, span, wrong

if TYPE_CHECKING:
    from collections.abc import Sequence

    from callsteward.intervals.row import IntervalRow
    from callsteward.reports.report import Writer


class Subject(StrEnum):
    INTERVALS = "intervals"
    OPERATORS = "operators"


class Every(StrEnum):
    QUARTER = "15m"
    HALF = "30m"
    HOUR = "60m"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class ReportForm(StrEnum):
    TABLE = "table"
    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"
    XLSX = "xlsx"


_BINARY = frozenset({ReportForm.PARQUET, ReportForm.XLSX})
# How the start of a long slot is written.
_STARTS = {Every.DAY: "%Y-%m-%d", Every.WEEK: "%Y-%m-%d", Every.MONTH: "%Y-%m"}


FromOption = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="WHEN",
        help="today, yesterday, monday, 22.11.2026, 2026-11-22 (in the site's timezone) or"
        " 2026-11-22T08:30:00+03:00. Default: today.",
    ),
]
ToOption = Annotated[
    str | None,
    typer.Option("--to", metavar="WHEN", help="Up to; a date includes that day. Default: today."),
]
EveryOption = Annotated[
    Every | None,
    typer.Option(
        help="Length of a slot; day, week (from Monday) and month are the site's and whole. Default:"
        " intervals.minutes of the configuration."
    ),
]
OnlyOption = Annotated[
    str | None, typer.Option("--only", metavar="NAME", help="Only this line, or this operator.")
]
UtcOption = Annotated[
    bool, typer.Option("--utc", help="Read dates and show times in UTC, not in the site's timezone.")
]
ReportFormOption = Annotated[
    ReportForm | None,
    typer.Option("--output", help="Default: by --file's ending, else a table on a terminal, csv in a pipe."),
]
FileOption = Annotated[
    Path | None, typer.Option("--file", metavar="FILE", help="Write there, not to standard output.")
]

report = typer.Typer(no_args_is_help=True, help="Reports over stored calls, for WFM tools and people.")
report.command("ratings")(cli_ratings.ratings_report)


@report.command()
def intervals(
    config_file: ConfigOption,
    from_: FromOption = None,
    to: ToOption = None,
    every: EveryOption = None,
    name: OnlyOption = None,
    utc: UtcOption = False,
    output: ReportFormOption = None,
    excel: ExcelOption = False,
    file: FileOption = None,
) -> None:
    """Sums per slot and line.

    Every slot of the time asked for has its row, also an empty one: zeros where nobody called, empty cells
    where nothing was observed. Slots are aligned to UTC. Rows hold sums, so that they can be added up; only
    the table has averages.
    """
    _sums(Subject.INTERVALS, config_file, from_, to, every, name, utc, output, excel, file)


@report.command()
def operators(
    config_file: ConfigOption,
    from_: FromOption = None,
    to: ToOption = None,
    every: EveryOption = None,
    name: OnlyOption = None,
    utc: UtcOption = False,
    output: ReportFormOption = None,
    excel: ExcelOption = False,
    file: FileOption = None,
) -> None:
    """Sums per slot and operator; otherwise as `report intervals`."""
    _sums(Subject.OPERATORS, config_file, from_, to, every, name, utc, output, excel, file)


@report.command()
def calls(
    config_file: ConfigOption,
    from_: FromOption = None,
    to: ToOption = None,
    name: OnlyOption = None,
    utc: UtcOption = False,
    output: ReportFormOption = None,
    excel: ExcelOption = False,
    file: FileOption = None,
) -> None:
    """One row a call."""
    settings = config.load(config_file)
    zone, form = _shape(settings, utc, output, excel, file)
    from_ms, to_ms = _span(from_, to, zone)
    asyncio.run(_calls(settings, from_ms, to_ms, name, zone, form, excel, file))


def _sums(
    subject: Subject,
    config_file: Path,
    from_: str | None,
    to: str | None,
    every: Every | None,
    name: str | None,
    utc: bool,
    output: ReportForm | None,
    excel: bool,
    file: Path | None,
) -> None:
    settings = config.load(config_file)
    zone, form = _shape(settings, utc, output, excel, file)
    from_ms, to_ms = _span(from_, to, zone)
    asyncio.run(_intervals(settings, subject, from_ms, to_ms, every, name, zone, form, excel, file))


def _shape(
    settings: config.Config, utc: bool, output: ReportForm | None, excel: bool, file: Path | None
) -> tuple[ZoneInfo, ReportForm]:
    output = as_excel(output, ReportForm.CSV, excel=excel)
    if output is None and file is not None and file.suffix.lower().removeprefix(".") in set(ReportForm):
        output = ReportForm(file.suffix.lower().removeprefix("."))
    form = output or (ReportForm.TABLE if file is None and _on_a_terminal() else ReportForm.CSV)
    if form is ReportForm.TABLE and file is not None:
        wrong("a table is for a terminal: add --output csv, jsonl, parquet or xlsx", "--file")
    if form in _BINARY and file is None and _on_a_terminal():
        wrong(f"{form.value} is binary: add --file FILE, or send it into a pipe", "--output")
    return ZoneInfo("UTC") if utc else settings.site.zone, form


def _on_a_terminal() -> bool:
    return sys.stdout.isatty()


def _span(from_: str | None, to: str | None, zone: ZoneInfo) -> tuple[int, int]:
    from_ms, to_ms = span(from_ or "today", to or "today", zone)
    if to_ms - from_ms > timedelta(days=3660).total_seconds() * 1000:
        wrong("more than ten years", "--from")
    return from_ms, to_ms


async def _intervals(
    settings: config.Config,
    subject: Subject,
    from_ms: int,
    to_ms: int,
    every: Every | None,
    name: str | None,
    zone: ZoneInfo,
    form: ReportForm,
    excel: bool,
    file: Path | None,
) -> None:
    from rich.console import Console
    from rich.progress import Progress

    from callsteward.intervals.periods import Period, periods
    from callsteward.intervals.row import Kind
    from callsteward.reports import report as reporting
    from callsteward.reports import table as report_table
    from callsteward.store.records import Store
    from callsteward.terminal import tables

    kind = Kind.LINE if subject is Subject.INTERVALS else Kind.OPERATOR
    columns = reporting.columns(kind, settings.intervals.answer_within_s)
    shown: list[IntervalRow] = []
    count = 0
    stderr = Console(stderr=True)
    store = await Store.open(settings.store.url, create=False)
    try:
        with (
            Progress(console=stderr, transient=True, disable=not stderr.is_terminal) as progress,
            reporting.Target(file) as out,
        ):
            writer = None if form is ReportForm.TABLE else _writer(form, out, columns, zone, excel=excel)
            if every in _STARTS:
                spans = periods(from_ms, to_ms, Period(every.value), zone)
                steps, slots = len(spans), f"{len(spans)} slots of a {every.value}"
                pages = reporting.of_periods(settings, store, kind, spans, name)
            else:
                minutes = settings.intervals.minutes if every is None else int(every.value.removesuffix("m"))
                steps = -(-(to_ms - from_ms) // reporting.CHUNK_MS)
                slots = f"{(to_ms - from_ms) // (minutes * 60_000)} slots of {minutes} min"
                pages = reporting.intervals(settings, store, kind, from_ms, to_ms, minutes, name)
            task = progress.add_task("days", total=steps)
            async for rows in pages:
                count += len(rows)
                if writer is None:
                    shown += rows
                else:
                    writer.write(reporting.cells(row, zone) for row in rows)
                progress.advance(task)
            if writer is not None:
                writer.close()
    finally:
        await store.close()
    if form is ReportForm.TABLE:
        console = tables.console()
        outside = report_table.outside(shown)
        console.print(
            report_table.interval_table(
                shown,
                kind,
                zone,
                console.width,
                left_out=outside,
                form="%H:%M" if every is None else _STARTS.get(every, "%H:%M"),
            )
        )
        if outside:
            slots += f", {len(outside)} of them empty before the first call or after the last and not shown"
    typer.echo(f"{count} rows: {slots}, {zone.key}" if count else "no rows", err=True)


async def _calls(
    settings: config.Config,
    from_ms: int,
    to_ms: int,
    line: str | None,
    zone: ZoneInfo,
    form: ReportForm,
    excel: bool,
    file: Path | None,
) -> None:
    from callsteward.record.call import CallRecord, encode
    from callsteward.reports import report as reporting
    from callsteward.store.records import CallQuery, Store
    from callsteward.terminal import tables

    found: list[CallRecord] = []
    count = 0
    store = await Store.open(settings.store.url, create=False)
    query = CallQuery(line=line, from_ms=from_ms, to_ms=to_ms)
    try:
        with reporting.Target(file) as out:
            writer = None
            if form in {ReportForm.CSV, *_BINARY}:
                writer = _writer(form, out, tables.CSV_COLUMNS, zone, excel=excel)
            async for record in store.calls(query):
                count += 1
                if form is ReportForm.TABLE:
                    found.append(record)
                elif writer is None:
                    # The record as it was published, lists and all.
                    out.write(encode(record) + b"\n")
                else:
                    writer.write([tables.flat(record)])
            if writer is not None:
                writer.close()
            out.flush()
    finally:
        await store.close()
    if form is ReportForm.TABLE:
        console = tables.console()
        console.print(tables.records_table(found, zone, width=console.width))
    times = f"; times are of {zone.key}" if excel or form is ReportForm.XLSX else ""
    typer.echo(f"calls: {count}{times}" if count else "no such calls", err=True)


def _writer(
    form: ReportForm, out: IO[bytes], columns: Sequence[str], zone: ZoneInfo, *, excel: bool
) -> Writer:
    from callsteward.reports import report as reporting

    if form is ReportForm.CSV:
        return reporting.Csv(out, columns, excel=zone if excel else None)
    if form is ReportForm.JSONL:
        return reporting.JsonLines(out, columns)
    if form is ReportForm.XLSX:
        from callsteward.reports.workbook import Workbook

        return Workbook(out, columns, reporting.is_moment, zone)
    return reporting.Parquet(out, columns)
