"""`callsteward calls` and `callsteward report calls`: the stored call records.

The two differ in what they are for: `calls` answers a question at a terminal, `report calls` feeds a program.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from callsteward.record.call import CallRecord, Outcome
from callsteward.terminal.groups import renamed, report
from callsteward.terminal.options import (
    ALL_SITES,
    ConfigOption,
    ExcelOption,
    FileOption,
    FromOption,
    GivenFromOption,
    GivenToOption,
    LineOption,
    OptionalLimitOption,
    OutputOption,
    ReportOutputOption,
    SiteOption,
    ToOption,
    UtcOption,
    load,
    report_span,
    span,
    tell_expired,
    tell_unknown_line,
    tell_unknown_site,
    words,
)
from callsteward.terminal.printing import Form, Wanted, printer, tell_count, wanted

if TYPE_CHECKING:
    from datetime import tzinfo

    from callsteward.config import Config
    from callsteward.store.records import CallQuery, Store


def add_to(app: typer.Typer) -> None:
    app.command("calls")(calls)
    report(app).command("calls", cls=renamed({"--only": "--line"}))(report_calls)


def calls(
    config_file: ConfigOption,
    from_: FromOption = None,
    to: ToOption = None,
    line: LineOption = None,
    site: SiteOption = None,
    outcome: Annotated[
        Outcome | None, typer.Option(metavar="OUTCOME", help=f"Only calls that ended so: {words(Outcome)}.")
    ] = None,
    limit: OptionalLimitOption = None,
    output: OutputOption = None,
    file: FileOption = None,
    excel: ExcelOption = False,
) -> None:
    """List stored calls, oldest first. A call counts by the time it started."""
    settings = load(config_file)
    asked = wanted(output, file, excel=excel)
    zone = settings.site.zone
    from_ms, to_ms = span(from_, to, zone)
    from callsteward.store.records import CallQuery

    query = CallQuery(site=_one(site), line=line, from_ms=from_ms, to_ms=to_ms, outcome=outcome, limit=limit)
    _print_calls(settings, query, asked, zone)


def report_calls(
    config_file: ConfigOption,
    from_: GivenFromOption = "today",
    to: GivenToOption = "today",
    line: LineOption = None,
    site: SiteOption = None,
    utc: UtcOption = False,
    output: ReportOutputOption = None,
    file: FileOption = None,
    excel: ExcelOption = False,
) -> None:
    """One row a call, oldest first. A call counts by the time it started."""
    settings = load(config_file)
    asked = wanted(output, file, excel=excel, in_a_pipe=Form.CSV)
    zone = ZoneInfo("UTC") if utc else settings.site.zone
    from_ms, to_ms = report_span(from_, to, zone)
    from callsteward.store.records import CallQuery

    _print_calls(settings, CallQuery(site=_one(site), line=line, from_ms=from_ms, to_ms=to_ms), asked, zone)


def _one(site: str | None) -> str | None:
    """The one site that was asked for; None for all."""
    return None if site == ALL_SITES else site


def _print_calls(settings: Config, query: CallQuery, asked: Wanted, zone: ZoneInfo) -> None:
    from callsteward.store.expired import said_expired
    from callsteward.store.once import with_store

    async def put(store: Store) -> tuple[int, str, str]:
        tell_unknown_site(await store.sites() if query.site else (), query.site)
        expired = await said_expired(store.engine, query.site or settings.site.name, query.from_ms, zone)
        return (*await _put_out(store, query, asked, zone), expired)

    count, ended, expired = with_store(settings, put)
    times = f"; times are of {zone.key}" if asked.excel or asked.form is Form.XLSX else ""
    tell_count(count, "calls", ended + times)
    tell_expired(expired)
    tell_unknown_line(settings, query.line)


async def _put_out(store: Store, query: CallQuery, asked: Wanted, zone: tzinfo) -> tuple[int, str]:
    """How many calls were printed, and of those in a table how they ended."""
    from callsteward.terminal import tables

    found: list[CallRecord] = []
    with printer(tables.records_listing(zone), asked, zone) as out:
        async for record in store.calls(query):
            if asked.form is Form.TABLE:
                found.append(record)
            else:
                out.write([record])
        out.write(await _with_later(store, found))
    return out.count, f" ({tables.outcomes(found)})" if found else ""


async def _with_later(store: Store, found: list[CallRecord]) -> list[CallRecord]:
    """A table is for people: it has what was decided after the record was made."""
    import msgspec

    from callsteward.tags.book import TagBook

    later = {
        site: await TagBook(store.engine, site).decided_later(
            [item.call_id for item in found if item.site == site]
        )
        for site in {item.site for item in found}
    }
    return [
        msgspec.structs.replace(item, callback=later[item.site].get(item.call_id, item.callback))
        for item in found
    ]
