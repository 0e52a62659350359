"""`callsteward report intervals` and `report operators`, for WFM tools, notebooks and people."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from callsteward.terminal.groups import renamed, report
from callsteward.terminal.options import (
    ALL_SITES,
    ConfigOption,
    ExcelOption,
    FileOption,
    GivenFromOption,
    GivenToOption,
    LineOption,
    OperatorOption,
    ReportOutputOption,
    SiteOption,
    UtcOption,
    load,
    report_span,
    tell_expired,
    tell_unknown_line,
    words,
)
from callsteward.terminal.printing import Form, Listing, Wanted, printer, wanted
from callsteward.terminal.said import now_ms

if TYPE_CHECKING:
    from rich.table import Table

    from callsteward.config import Config
    from callsteward.intervals.row import IntervalKind, IntervalRow
    from callsteward.store.records import Store


class Every(StrEnum):
    QUARTER = "15m"
    HALF = "30m"
    HOUR = "60m"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


EveryOption = Annotated[
    Every | None,
    typer.Option(
        metavar="LENGTH",
        help=f"Of a slot: {words(Every)}. The last three are the site's and whole, a week begins on Monday."
        " Default: intervals.minutes of the configuration.",
    ),
]

# How the start of a long slot is written.
_STARTS = {Every.DAY: "%Y-%m-%d", Every.WEEK: "%Y-%m-%d", Every.MONTH: "%Y-%m"}


def add_to(app: typer.Typer) -> None:
    reports = report(app)
    reports.command("intervals", cls=renamed({"--only": "--line"}))(intervals)
    reports.command("operators", cls=renamed({"--only": "--operator"}))(operators)
    reports.command("rebuild")(rebuild)


def intervals(
    config_file: ConfigOption,
    from_: GivenFromOption = "today",
    to: GivenToOption = "today",
    every: EveryOption = None,
    line: LineOption = None,
    site: SiteOption = None,
    utc: UtcOption = False,
    output: ReportOutputOption = None,
    file: FileOption = None,
    excel: ExcelOption = False,
) -> None:
    """Sums per slot and line.

    Every slot of the time asked for has its row, also an empty one: zeros where nobody called, empty cells
    where nothing was observed. Slots are aligned to UTC. Rows hold sums, so that they can be added up; only
    the table has averages. Over all sites the table names lines SITE/NAME.
    """
    from callsteward.intervals.row import IntervalKind

    settings = load(config_file)
    asked = wanted(output, file, excel=excel, in_a_pipe=Form.CSV)
    _print_sums(
        IntervalKind.LINE, settings, asked, _Slots(settings, from_, to, every, utc=utc, site=site), line
    )
    tell_unknown_line(settings, line)


def operators(
    config_file: ConfigOption,
    from_: GivenFromOption = "today",
    to: GivenToOption = "today",
    every: EveryOption = None,
    operator: OperatorOption = None,
    site: SiteOption = None,
    utc: UtcOption = False,
    output: ReportOutputOption = None,
    file: FileOption = None,
    excel: ExcelOption = False,
) -> None:
    """Sums per slot and operator; otherwise as `report intervals`."""
    from callsteward.intervals.row import IntervalKind

    settings = load(config_file)
    asked = wanted(output, file, excel=excel, in_a_pipe=Form.CSV)
    slots = _Slots(settings, from_, to, every, utc=utc, site=site)
    _print_sums(IntervalKind.OPERATOR, settings, asked, slots, operator)


def rebuild(
    config_file: ConfigOption,
    missing: Annotated[
        bool, typer.Option("--missing", help="Only sums that are not made yet, or were left by a rebuild.")
    ] = False,
) -> None:
    """Make all stored sums from the records again, beside a running daemon.

    Reports are right meanwhile: what is not made yet they read from the records. It may be broken off; the
    daemon makes the rest in its course, `--missing` at once. Sums of a time whose records are deleted stay.
    """
    import time

    from rich.console import Console
    from rich.progress import Progress

    from callsteward.intervals.keeping import SumsKeeper
    from callsteward.store.once import with_store

    settings = load(config_file)
    stderr = Console(stderr=True)
    days = 0

    async def work(store: Store) -> None:
        keeper = SumsKeeper(store.engine, settings.site.name)
        if not missing:
            await keeper.stored.doubt()
        with Progress(console=stderr, transient=True, disable=not stderr.is_terminal) as progress:
            task = progress.add_task("days", total=None)

            def step(done: int, of: int) -> None:
                nonlocal days
                days = of
                progress.update(task, completed=done, total=of)

            await keeper.complete(now_ms(), step)

    began_s = time.monotonic()
    try:
        with_store(settings, work)
    except KeyboardInterrupt:
        typer.echo(
            "broken off: the daemon makes the rest in its course, report rebuild --missing at once",
            err=True,
        )
        raise typer.Exit(130) from None
    typer.echo(f"sums of {days} days made in {time.monotonic() - began_s:.0f} s", err=True)


class _Slots:
    """The slots that were asked for: how many, how long, and how their rows are read."""

    def __init__(
        self, settings: Config, from_: str, to: str, every: Every | None, *, utc: bool, site: str | None
    ) -> None:
        self.zone = ZoneInfo("UTC") if utc else settings.site.zone
        self._settings = settings
        self.site = site
        self.from_ms, self._to_ms = report_span(from_, to, self.zone)
        self._every = every
        self.start_form = "%H:%M" if every is None else _STARTS.get(every, "%H:%M")

    def pages(
        self, kind: IntervalKind, name: str | None
    ) -> tuple[Callable[[Store, Config], AsyncIterator[list[IntervalRow]]], int, str]:
        """A function that reads the rows of a site a page at a time, their number, and the slots in words."""
        from callsteward.intervals import report as reporting
        from callsteward.intervals.periods import Period, periods

        from_ms, to_ms, every = self.from_ms, self._to_ms, self._every
        if every in _STARTS:
            spans = periods(from_ms, to_ms, Period(every.value), self.zone)
            return (
                lambda store, settings: reporting.of_periods(settings, store, kind, spans, name),
                len(spans),
                f"{len(spans)} slots of a {every}",
            )
        minutes = self._settings.intervals.minutes if every is None else int(every.value.removesuffix("m"))
        return (
            lambda store, settings: reporting.intervals(settings, store, kind, from_ms, to_ms, minutes, name),
            -(-(to_ms - from_ms) // reporting.CHUNK_MS),
            f"{(to_ms - from_ms) // (minutes * 60_000)} slots of {minutes} min",
        )


def _print_sums(kind: IntervalKind, settings: Config, asked: Wanted, slots: _Slots, name: str | None) -> None:
    import msgspec
    from rich.console import Console
    from rich.progress import Progress

    from callsteward.intervals import report as reporting
    from callsteward.intervals import table as report_table
    from callsteward.intervals.stored_sums import StoredSums
    from callsteward.store.expired import sentence
    from callsteward.store.once import of_site, sites_asked, with_store

    read, steps, words = slots.pages(kind, name)
    outside: frozenset[int] = frozenset()

    def table(rows: Sequence[IntervalRow], width: int) -> Table:
        nonlocal outside
        if slots.site == ALL_SITES:
            rows = [msgspec.structs.replace(row, name=f"{row.site}/{row.name}") for row in rows]
        outside = report_table.outside(rows)
        return report_table.interval_table(
            rows, kind, slots.zone, width, left_out=outside, form=slots.start_form
        )

    listing: Listing[IntervalRow] = Listing(
        columns=reporting.columns(kind, settings.intervals.answer_within_s),
        cells=lambda row: reporting.cells(row, slots.zone),
        table=table,
    )
    stderr = Console(stderr=True)

    async def put(store: Store) -> tuple[int, str]:
        # The heading comes when there is a database to read.
        with (
            printer(listing, asked, slots.zone) as out,
            Progress(console=stderr, transient=True, disable=not stderr.is_terminal) as progress,
        ):
            sites = await sites_asked(store, settings, slots.site)
            task = progress.add_task("days", total=steps * len(sites))
            said = ""
            for one in sites:
                async for rows in read(store, of_site(settings, one)):
                    out.write(rows)
                    progress.advance(task)
                # Sums outlive the records that they were made of.
                known_ms = await StoredSums(store.engine, one).known_since_ms()
                said = said or sentence(known_ms, slots.from_ms, slots.zone)
        return out.count, said

    count, expired = with_store(settings, put)
    if outside:
        words += f", {len(outside)} of them empty before the first call or after the last and not shown"
    tell_expired(expired)
    typer.echo(f"{count} rows: {words}, {slots.zone.key}" if count else "no rows", err=True)
