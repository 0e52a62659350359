"""`callsteward lost`: calls nobody answered. What is needed is imported inside each command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from callsteward.exceptions import CallstewardError
from callsteward.terminal.options import (
    CommentOption,
    ConfigOption,
    ExcelOption,
    FileOption,
    LineOption,
    OutputOption,
    SiteOption,
    before_command,
    load,
    tell_unknown_line,
)
from callsteward.terminal.printing import print_rows, wanted
from callsteward.terminal.said import who

if TYPE_CHECKING:
    from callsteward.record.call import CallRecord
    from callsteward.store.records import Store


def add_to(app: typer.Typer) -> None:
    lost = typer.Typer(
        invoke_without_command=True,
        help="List calls that nobody answered and nobody dealt with since; settle one.",
    )
    lost.callback()(list_lost)
    lost.command("settle")(settle)
    app.add_typer(lost, name="lost")


def list_lost(
    context: typer.Context,
    config_file: ConfigOption,
    line: LineOption = None,
    site: SiteOption = None,
    output: OutputOption = None,
    file: FileOption = None,
    excel: ExcelOption = False,
) -> None:
    """List calls that nobody answered and nobody dealt with since, the one that waits longest first."""
    if before_command(context):
        return
    settings = load(config_file)
    asked = wanted(output, file, excel=excel)
    from callsteward.lost.calls import LostCalls
    from callsteward.store.once import sites_asked, with_store
    from callsteward.terminal.tables import records_listing

    async def read(store: Store) -> list[CallRecord]:
        rows = [
            record
            for name in await sites_asked(store, settings, site)
            for record in await LostCalls(store.engine, name).listed(line)
        ]
        # Each site's are in order already.
        return rows if site is None else sorted(rows, key=lambda row: row.started_at or row.ended_at or "")

    found = with_store(settings, read)
    zone = settings.site.zone
    print_rows(found, records_listing(zone), asked, zone, what="lost calls")
    tell_unknown_line(settings, line)


def settle(
    call_id: Annotated[str, typer.Argument(metavar="ID", help="The call's, as `callsteward lost` lists it.")],
    config_file: ConfigOption,
    comment: CommentOption,
) -> None:
    """Take a lost call off the list, with a comment on what was done."""
    from callsteward.lost.calls import LostCalls
    from callsteward.store.once import with_store

    settings = load(config_file)

    async def put_away(store: Store) -> bool:
        return await LostCalls(store.engine, settings.site.name).settle(call_id, by=who(), comment=comment)

    if not with_store(settings, put_away):
        message = f"{call_id} is not among the lost calls"
        raise CallstewardError(message)
    typer.echo(f"{call_id} is settled", err=True)
