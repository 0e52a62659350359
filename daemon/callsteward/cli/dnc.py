"""`callsteward dnc`: the do-not-call list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from callsteward import config
from callsteward.cli.ledger import (
    ColumnOption,
    ListFile,
    NumbersOption,
    clock,
    forbidding,
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
    from callsteward.outgoing.forbidding import Forbidden
    from callsteward.store.records import Store

dnc = typer.Typer(no_args_is_help=True, help="The do-not-call list: clients who asked not to be called.")


@dnc.command("add")
def _dnc_add(
    numbers: Annotated[list[str], typer.Argument(metavar="NUMBER")],
    config_file: ConfigOption,
    comment: Annotated[str, typer.Option(help="Why, or what was said.")] = "",
    style: NumbersOption = None,
) -> None:
    """Put numbers on the list, written in any usual way."""
    from callsteward.outgoing.words import Actor

    settings = config.load(config_file)
    read = read_numbers(settings, numbers, style)

    async def add(store: Store) -> Forbidden:
        return await forbidding(settings, store).add(read, by=who(), comment=comment, actor=Actor.ADMIN)

    done = with_store(settings, add, create=True)
    typer.echo(
        f"added {done.added}, on the list already {len(read) - done.added}{_cancelled(done)}", err=True
    )


@dnc.command("remove")
def _dnc_remove(
    number: Annotated[str, typer.Argument(metavar="NUMBER")],
    config_file: ConfigOption,
    style: NumbersOption = None,
) -> None:
    """Take a number off the list."""
    from callsteward.outgoing.do_not_call import DoNotCall

    settings = config.load(config_file)
    (read,) = read_numbers(settings, [number], style)

    async def remove(store: Store) -> bool:
        return await DoNotCall(store.engine).remove(read)

    if not with_store(settings, remove):
        message = "this number is not on the list"
        raise CallstewardError(message)
    typer.echo("removed", err=True)


@dnc.command("list")
def _dnc_list(config_file: ConfigOption, output: FormOption = None) -> None:
    """Who is on the list, latest first; numbers masked."""
    from callsteward.outgoing.do_not_call import DoNotCall
    from callsteward.record.number import Numbers

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
                    "comment": numbers.hidden(item.comment),
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
                numbers.hidden(item.comment) or "-",
            )
            for item in found
        ],
    )
    typer.echo(f"numbers: {len(found)}", err=True)


@dnc.command("import")
def _dnc_import(
    file: ListFile,
    config_file: ConfigOption,
    comment: Annotated[str, typer.Option(help="Where the list comes from.")] = "",
    column: ColumnOption = None,
    style: NumbersOption = None,
) -> None:
    """Put the numbers of a CSV file on the list, each with what the file says of it.

    As offices keep it: UTF-8 or Windows-1251; comma, semicolon or tab; with a heading or without. A line
    that is wrong is named, and nothing is imported then.
    """
    from callsteward.outgoing import number_file
    from callsteward.outgoing.words import Actor

    settings = config.load(config_file)
    read, why = list_reader(settings, style)
    comments: dict[str, str] = {}

    def take(entry: number_file.Entry) -> str:
        own = number_file.comment_of(entry)
        told = ": ".join(part for part in (comment, own) if part) or file.name
        comments.setdefault(entry.number, told)
        return ""

    taken = number_file.each(list_text(file), str(file), read, take, column, why)

    async def add(store: Store) -> Forbidden:
        return await forbidding(settings, store).add(
            list(comments), by=who(), comments=comments, actor=Actor.ADMIN
        )

    done = with_store(settings, add, create=True)
    twice = f", more than once in the file {taken - len(comments)}" if taken > len(comments) else ""
    typer.echo(
        f"added {done.added}, on the list already {len(comments) - done.added}{twice}{_cancelled(done)}",
        err=True,
    )


def _cancelled(done: Forbidden) -> str:
    """What was open for the numbers, in words; empty where nothing was."""
    counted = ", ".join(f"{what} {count}" for what, count in done.cancelled.items())
    return f"; cancelled: {counted}" if counted else ""
