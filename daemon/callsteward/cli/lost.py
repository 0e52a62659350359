"""`callsteward lost`: calls nobody answered."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from callsteward import config
from callsteward.cli.ledger import who, with_store
from callsteward.exceptions import CallstewardError
from callsteward.record.call import encode
from callsteward.terminal.options import (
    ConfigOption,
    Form,
    FormOption,
    before_command,
    chosen,
    tell_unknown_line,
)

if TYPE_CHECKING:
    from callsteward.store.records import Store

lost = typer.Typer(
    invoke_without_command=True,
    no_args_is_help=False,
    help="List calls that nobody answered and nobody dealt with since; settle one.",
)


@lost.callback()
def _list_lost(
    context: typer.Context,
    config_file: ConfigOption,
    line: Annotated[str | None, typer.Option(help="Only this line's calls.")] = None,
    output: FormOption = None,
) -> None:
    if before_command(context):
        return
    from callsteward.lost.calls import LostCalls

    settings = config.load(config_file)
    tell_unknown_line(settings, line)
    found = with_store(settings, lambda store: LostCalls(store.engine, settings.site.name).listed(line))
    if chosen(output) is Form.JSONL:
        for record in found:
            sys.stdout.buffer.write(encode(record) + b"\n")
        sys.stdout.flush()
        return
    from callsteward.terminal import tables

    console = tables.console()
    console.print(tables.records_table(found, settings.site.zone, width=console.width))
    typer.echo(f"lost calls: {len(found)}" if found else "no lost calls", err=True)


@lost.command("settle")
def _settle(
    call_id: Annotated[str, typer.Argument(metavar="CALL_ID")],
    config_file: ConfigOption,
    comment: Annotated[str, typer.Option(help="What was done about it.")],
) -> None:
    """Take a lost call off the list, with a comment on what was done."""
    from callsteward.lost.calls import LostCalls

    settings = config.load(config_file)

    async def settle(store: Store) -> bool:
        return await LostCalls(store.engine, settings.site.name).settle(call_id, by=who(), comment=comment)

    if not with_store(settings, settle):
        message = f"{call_id} is not among the lost calls"
        raise CallstewardError(message)
    typer.echo(f"{call_id} is settled", err=True)
