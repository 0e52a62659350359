"""`callsteward dnc`: the do-not-call list."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from callsteward import config
from callsteward.cli_ledger import (
    clock,
    print_json,
    print_table,
    read_numbers,
    rfc3339,
    who,
    with_store,
)
from callsteward.cli_options import ConfigOption, Form, FormOption, chosen
from callsteward.exceptions import CallstewardError

if TYPE_CHECKING:
    from callsteward.store.records import Store

dnc = typer.Typer(no_args_is_help=True, help="The do-not-call list: clients who asked not to be called.")


@dnc.command("add")
def _dnc_add(
    numbers: Annotated[list[str], typer.Argument(metavar="NUMBER")],
    config_file: ConfigOption,
    comment: Annotated[str, typer.Option(help="Why, or what was said.")] = "",
) -> None:
    """Put numbers on the list, written in any usual way."""
    from callsteward.callback.do_not_call import DoNotCall

    settings = config.load(config_file)
    read = read_numbers(settings, numbers)

    async def add(store: Store) -> int:
        return await DoNotCall(store.engine).add(read, by=who(), comment=comment)

    added = with_store(settings, add)
    typer.echo(f"added {added}, on the list already {len(read) - added}", err=True)


@dnc.command("remove")
def _dnc_remove(number: Annotated[str, typer.Argument(metavar="NUMBER")], config_file: ConfigOption) -> None:
    """Take a number off the list."""
    from callsteward.callback.do_not_call import DoNotCall

    settings = config.load(config_file)
    (read,) = read_numbers(settings, [number])

    async def remove(store: Store) -> bool:
        return await DoNotCall(store.engine).remove(read)

    if not with_store(settings, remove):
        message = "this number is not on the list"
        raise CallstewardError(message)
    typer.echo("removed", err=True)


@dnc.command("list")
def _dnc_list(config_file: ConfigOption, output: FormOption = None) -> None:
    """Who is on the list, latest first; numbers masked."""
    from callsteward.callback.do_not_call import DoNotCall
    from callsteward.calls.number import Numbers

    settings = config.load(config_file)
    numbers = Numbers(settings.site.region, settings.privacy.key)
    found = with_store(settings, lambda store: DoNotCall(store.engine).listed())
    if chosen(output) is Form.JSONL:
        for item in found:
            print_json(
                {
                    "client_masked": numbers.masked(item.number),
                    "client_ref": numbers.ref(item.number),
                    "added_at": rfc3339(item.added_at_ms),
                    "added_by": item.added_by,
                    "comment": item.comment,
                }
            )
        return
    print_table(
        ("client", "since", "by", "comment"),
        [
            (
                numbers.masked(item.number) or "-",
                clock(item.added_at_ms, settings.site.zone),
                item.added_by,
                item.comment or "-",
            )
            for item in found
        ],
    )
    typer.echo(f"numbers: {len(found)}", err=True)


@dnc.command("import")
def _dnc_import(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE.csv", exists=True, dir_okay=False, help="Numbers in its first column."),
    ],
    config_file: ConfigOption,
    comment: Annotated[str, typer.Option(help="Where the list comes from.")] = "",
) -> None:
    """Put the numbers of a CSV file on the list: comma or semicolon, with a heading or without.

    Rows without a number are named, and nothing is imported then.
    """
    from callsteward.callback import number_file
    from callsteward.callback.do_not_call import DoNotCall
    from callsteward.callback.guard import Guard

    settings = config.load(config_file)
    guard = Guard(settings)
    numbers: list[str] = []

    def take(row: list[str]) -> str:
        number = guard.read(row[0])
        if number is None:
            return number_file.no_number(row[0])
        numbers.append(number)
        return ""

    number_file.each(number_file.text_of(file), str(file), guard.read, take)

    async def add(store: Store) -> int:
        return await DoNotCall(store.engine).add(numbers, by=who(), comment=comment or file.name)

    added = with_store(settings, add)
    typer.echo(f"added {added}, on the list already {len(numbers) - added}", err=True)
