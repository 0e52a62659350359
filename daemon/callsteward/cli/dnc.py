"""`callsteward dnc`: the do-not-call list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from callsteward.cli.numbers import (
    ColumnOption,
    ListFile,
    NumberArgument,
    NumbersArgument,
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
from callsteward.terminal.options import (
    CommentOption,
    ConfigOption,
    ExcelOption,
    FileOption,
    OutputOption,
    load,
)
from callsteward.terminal.printing import Listing, print_rows, wanted
from callsteward.terminal.said import now_ms, who

if TYPE_CHECKING:
    from callsteward.config import Config
    from callsteward.outgoing.do_not_call import Listed
    from callsteward.outgoing.forbidding import Forbidden, Forbidding
    from callsteward.store.records import Store


def add_to(app: typer.Typer) -> None:
    dnc = group(app, "dnc", "The do-not-call list: clients who asked not to be called.")
    dnc.command("add")(add)
    dnc.command("remove")(remove)
    dnc.command("list")(list_numbers)
    dnc.command("import")(import_list)


def add(
    numbers: NumbersArgument,
    config_file: ConfigOption,
    comment: CommentOption = "",
    style: NumbersOption = None,
) -> None:
    """Put numbers on the list."""
    from callsteward.outgoing.words import Actor
    from callsteward.store.once import with_store

    settings = load(config_file)
    read = read_numbers(settings, numbers, style)

    async def put(store: Store) -> Forbidden:
        return await _forbidding(settings, store).add(read, by=who(), comment=comment, actor=Actor.ADMIN)

    done = with_store(settings, put, create=True)
    typer.echo(
        f"added {done.added}, on the list already {len(read) - done.added}{_cancelled(done)}", err=True
    )


def remove(number: NumberArgument, config_file: ConfigOption, style: NumbersOption = None) -> None:
    """Take a number off the list."""
    from callsteward.outgoing.do_not_call import DoNotCall
    from callsteward.store.once import with_store

    settings = load(config_file)
    (read,) = read_numbers(settings, [number], style)

    async def take_off(store: Store) -> bool:
        return await DoNotCall(store.engine).remove(read)

    if not with_store(settings, take_off):
        message = "this number is not on the list"
        raise CallstewardError(message)
    typer.echo("removed", err=True)


def list_numbers(
    config_file: ConfigOption,
    output: OutputOption = None,
    file: FileOption = None,
    excel: ExcelOption = False,
) -> None:
    """Who is on the list, latest first; numbers masked."""
    settings = load(config_file)
    asked = wanted(output, file, excel=excel)
    from callsteward.outgoing.do_not_call import DoNotCall
    from callsteward.store.once import with_store

    found = with_store(settings, lambda store: DoNotCall(store.engine).listed())
    print_rows(found, _listing(settings), asked, settings.site.zone, what="numbers")


def import_list(
    file: ListFile,
    config_file: ConfigOption,
    comment: CommentOption = "",
    column: ColumnOption = None,
    style: NumbersOption = None,
) -> None:
    """Put the numbers of a CSV file on the list, each with what the file says of it.

    As offices keep it: UTF-8 or Windows-1251; comma, semicolon or tab; with a heading or without. A line
    that is wrong is named, and nothing is imported then.
    """
    from callsteward.outgoing import number_file
    from callsteward.outgoing.words import Actor
    from callsteward.store.once import with_store

    settings = load(config_file)
    read, why = list_reader(settings, style)
    comments: dict[str, str] = {}

    def take(entry: number_file.NumberRow) -> str:
        own = number_file.comment_of(entry)
        told = ": ".join(part for part in (comment, own) if part) or file.name
        comments.setdefault(entry.number, told)
        return ""

    taken = number_file.each(list_text(file), str(file), read, take, column, why)

    async def put(store: Store) -> Forbidden:
        return await _forbidding(settings, store).add(
            list(comments), by=who(), comments=comments, actor=Actor.ADMIN
        )

    done = with_store(settings, put, create=True)
    twice = f", more than once in the file {taken - len(comments)}" if taken > len(comments) else ""
    typer.echo(
        f"added {done.added}, on the list already {len(comments) - done.added}{twice}{_cancelled(done)}",
        err=True,
    )


def _cancelled(done: Forbidden) -> str:
    """The calls to the numbers that were cancelled, in words; empty if there were none."""
    counted = ", ".join(f"{what} {count}" for what, count in done.cancelled.items())
    return f"; cancelled: {counted}" if counted else ""


def _forbidding(settings: Config, store: Store) -> Forbidding:
    from callsteward import features

    # What is cancelled is told on the feed, too: the daemon finds it in the outbox.
    announce = features.announce(settings)
    return features.forbidding(store.engine, settings.site.name, now_ms=now_ms, announce=announce)


_COLUMNS = {
    "client_masked": Holds.TEXT,
    "client_ref": Holds.TEXT,
    "added_at": Holds.MOMENT,
    "added_by": Holds.TEXT,
    "comment": Holds.TEXT,
}
_HEADS = {"client": "client_masked", "since": "added_at", "by": "added_by", "comment": "comment"}


def _listing(settings: Config) -> Listing[Listed]:
    from callsteward.record.number import Numbers

    numbers = Numbers(settings.site.region, settings.privacy.key)

    def cells(entry: Listed) -> dict[str, Any]:
        return {
            "client_masked": numbers.masked(entry.number),
            "client_ref": numbers.ref(entry.number),
            "added_at": rfc3339(entry.added_at_ms),
            "added_by": entry.added_by,
            "comment": numbers.hidden(entry.comment),
        }

    return plain_listing(_COLUMNS, _HEADS, settings.site.zone, cells)
