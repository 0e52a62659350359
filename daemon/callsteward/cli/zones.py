"""`callsteward zones`: where clients are, where their number does not tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from callsteward.cli.numbers import (
    ColumnOption,
    ListFile,
    NumberArgument,
    NumbersOption,
    list_reader,
    list_text,
    read_numbers,
)
from callsteward.exceptions import CallstewardError
from callsteward.record.moments import rfc3339
from callsteward.terminal.files import Holds
from callsteward.terminal.groups import group
from callsteward.terminal.listings import plain_listing
from callsteward.terminal.options import ConfigOption, ExcelOption, FileOption, OutputOption, load
from callsteward.terminal.printing import Listing, print_rows, wanted
from callsteward.terminal.said import who

if TYPE_CHECKING:
    from callsteward.config import Config
    from callsteward.outgoing.zones import Placed
    from callsteward.store.records import Store


def add_to(app: typer.Typer) -> None:
    zones = group(
        app,
        "zones",
        "Clients' own time zones, for calling hours: they count whatever the clients' numbers say.",
    )
    zones.command("import")(import_list)
    zones.command("list")(list_clients)
    zones.command("remove")(remove)


def import_list(
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
    from callsteward.store.once import with_store

    settings = load(config_file)
    reads, why = list_reader(settings, style)
    read = read_list(list_text(file), str(file), reads, column, why)

    async def put(store: Store) -> None:
        await ClientZones(store.engine).put(read, by=who())

    with_store(settings, put, create=True)
    typer.echo(f"imported {len(read)}", err=True)


def list_clients(
    config_file: ConfigOption,
    output: OutputOption = None,
    file: FileOption = None,
    excel: ExcelOption = False,
) -> None:
    """Who is on the list; numbers masked."""
    settings = load(config_file)
    asked = wanted(output, file, excel=excel)
    from callsteward.outgoing.zones import ClientZones
    from callsteward.store.once import with_store

    found = with_store(settings, lambda store: ClientZones(store.engine).listed())
    print_rows(found, _listing(settings), asked, settings.site.zone, what="clients")


def remove(number: NumberArgument, config_file: ConfigOption, style: NumbersOption = None) -> None:
    """Take a client off the list: their number's zones count again."""
    from callsteward.outgoing.zones import ClientZones
    from callsteward.store.once import with_store

    settings = load(config_file)
    (read,) = read_numbers(settings, [number], style)

    async def take_off(store: Store) -> bool:
        return await ClientZones(store.engine).remove(read)

    if not with_store(settings, take_off):
        message = "this number is not on the list"
        raise CallstewardError(message)
    typer.echo("removed", err=True)


_COLUMNS = {
    "client_masked": Holds.TEXT,
    "client_ref": Holds.TEXT,
    "zone": Holds.TEXT,
    "added_at": Holds.MOMENT,
    "added_by": Holds.TEXT,
}
_HEADS = {"client": "client_masked", "zone": "zone", "since": "added_at", "by": "added_by"}


def _listing(settings: Config) -> Listing[Placed]:
    from callsteward.record.number import Numbers

    numbers = Numbers(settings.site.region, settings.privacy.key)

    def cells(entry: Placed) -> dict[str, Any]:
        return {
            "client_masked": numbers.masked(entry.number),
            "client_ref": numbers.ref(entry.number),
            "zone": entry.zone,
            "added_at": rfc3339(entry.added_at_ms),
            "added_by": entry.added_by,
        }

    return plain_listing(_COLUMNS, _HEADS, settings.site.zone, cells)
