"""`callsteward zones`: where clients are, where their number does not tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from callsteward import config
from callsteward.cli.ledger import (
    ColumnOption,
    ListFile,
    NumbersOption,
    clock,
    list_reader,
    list_text,
    print_json,
    print_table,
    read_numbers,
    rfc3339,
    who,
    with_store,
)
from callsteward.exceptions import CallstewardError
from callsteward.terminal.options import ConfigOption, Form, FormOption, chosen

if TYPE_CHECKING:
    from callsteward.store.records import Store

zones = typer.Typer(
    no_args_is_help=True,
    help="Clients' time zones, for calling hours: a client on this list is called within the hours of their"
    " own zone, whatever their number says.",
)


@zones.command("import")
def _import(
    file: ListFile,
    config_file: ConfigOption,
    column: ColumnOption = None,
    style: NumbersOption = None,
) -> None:
    """Put the clients of a CSV file on the list: in each row a number and an IANA time zone.

    As offices keep it: UTF-8 or Windows-1251; comma, semicolon or tab; with a heading or without. Who is on
    the list already gets the new zone; nobody else's changes. A line that is wrong is named, and nothing is
    imported then.
    """
    from callsteward.outgoing.zones import ClientZones, read_list

    settings = config.load(config_file)
    reads, why = list_reader(settings, style)
    read = read_list(list_text(file), str(file), reads, column, why)

    async def put(store: Store) -> None:
        await ClientZones(store.engine).put(read, by=who())

    with_store(settings, put, create=True)
    typer.echo(f"imported {len(read)}", err=True)


@zones.command("list")
def _list(config_file: ConfigOption, output: FormOption = None) -> None:
    """Who is on the list; numbers masked."""
    from callsteward.outgoing.zones import ClientZones
    from callsteward.record.number import Numbers

    settings = config.load(config_file)
    numbers = Numbers(settings.site.region, settings.privacy.key)
    found = with_store(settings, lambda store: ClientZones(store.engine).listed())
    if chosen(output) is Form.JSONL:
        for item in found:
            print_json(
                {
                    "client_masked": numbers.masked(item.number),
                    "client_ref": numbers.ref(item.number),
                    "zone": item.zone,
                    "added_at": rfc3339(item.added_at_ms),
                    "added_by": item.added_by,
                }
            )
        return
    print_table(
        ("client", "zone", "since", "by"),
        [
            (
                numbers.masked(item.number) or "-",
                item.zone,
                clock(item.added_at_ms, settings.site.zone),
                item.added_by,
            )
            for item in found
        ],
    )
    typer.echo(f"clients: {len(found)}", err=True)


@zones.command("remove")
def _remove(
    number: Annotated[str, typer.Argument(metavar="NUMBER")],
    config_file: ConfigOption,
    style: NumbersOption = None,
) -> None:
    """Take a client off the list: their number's zones count again."""
    from callsteward.outgoing.zones import ClientZones

    settings = config.load(config_file)
    (read,) = read_numbers(settings, [number], style)

    async def remove(store: Store) -> bool:
        return await ClientZones(store.engine).remove(read)

    if not with_store(settings, remove):
        message = "this number is not on the list"
        raise CallstewardError(message)
    typer.echo("removed", err=True)
