"""`callsteward callbacks`, `dnc` and `lost`: what an admin or a supervisor does by hand.

A number is printed masked. What is needed is imported inside each command, as in `cli`.
"""

from __future__ import annotations

import asyncio
import getpass
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from callsteward import config
from callsteward.callback.states import CANCELLABLE, Actor, Callback, State
from callsteward.calls.record import encode
from callsteward.cli_options import ConfigOption, Form, FormOption, chosen
from callsteward.exceptions import CallstewardError

if TYPE_CHECKING:
    from callsteward.callback.ledger import Ledger
    from callsteward.store.records import Store

T = TypeVar("T")

_MAYBE_CONFIG = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="The TOML file; config/callsteward.toml is a commented example."),
]

callbacks = typer.Typer(
    invoke_without_command=True, help="List the callbacks; show or cancel one.", no_args_is_help=False
)
dnc = typer.Typer(no_args_is_help=True, help="The do-not-call list: clients who asked not to be called.")
lost = typer.Typer(
    invoke_without_command=True,
    no_args_is_help=False,
    help="List calls that nobody answered and nobody dealt with since; settle one.",
)


# --- callbacks ----------------------------------------------------------------------------------------


@callbacks.callback()
def _list_callbacks(
    context: typer.Context,
    config_file: _MAYBE_CONFIG = None,
    state: Annotated[list[State] | None, typer.Option(help="Only these; may be given several times.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest first.")] = 100,
    output: FormOption = None,
) -> None:
    if context.invoked_subcommand is not None:
        return
    settings = _settings(config_file)

    async def read(ledger: Ledger) -> list[Callback]:
        return await ledger.listed(states=state or (), limit=limit)

    found = _with_ledger(settings, read)
    zone = settings.site.zone
    if chosen(output) is Form.JSONL:
        for callback in found:
            _print_json(_plain(callback))
        return
    _print_table(
        ("dropped", "id", "line", "client", "state", "reason", "operator", "asked", "tries"),
        [
            (
                _clock(callback.dropped_at_ms, zone),
                callback.id,
                callback.line,
                callback.client_masked or "-",
                callback.state.value,
                callback.reason or "-",
                callback.operator or "-",
                callback.asked or "-",
                str(callback.attempts),
            )
            for callback in found
        ],
    )
    typer.echo(f"callbacks: {len(found)}" if found else "no such callbacks", err=True)


@callbacks.command("show")
def _show(
    callback_id: Annotated[str, typer.Argument(metavar="ID")],
    config_file: ConfigOption,
    output: FormOption = None,
) -> None:
    """Every step of a callback: when, who, why, on what evidence."""
    settings = config.load(config_file)

    async def read(ledger: Ledger) -> tuple[Callback, list[Any]]:
        callback = await _found(ledger, callback_id)
        return callback, list(await ledger.story(callback))

    callback, story = _with_ledger(settings, read)
    zone = settings.site.zone
    if chosen(output) is Form.JSONL:
        import msgspec

        steps = [{**msgspec.to_builtins(step), "at": _rfc3339(step.at_ms)} for step in story]
        for step in steps:
            del step["at_ms"]
        _print_json({**_plain(callback), "steps": steps})
        return
    _print_table(
        ("at", "state", "by", "reason", "operator", "evidence"),
        [
            (
                _clock(step.at_ms, zone),
                step.state.value,
                step.actor.value,
                step.reason or "-",
                step.operator or "-",
                step.evidence or "-",
            )
            for step in story
        ],
    )


@callbacks.command("cancel")
def _cancel(
    callback_id: Annotated[str, typer.Argument(metavar="ID")],
    config_file: ConfigOption,
    comment: Annotated[str, typer.Option(help="Why, for the ledger.")] = "",
) -> None:
    """Cancel a callback whose client has not been dialled; an operator's phone that rings for it stops."""
    settings = config.load(config_file)

    async def cancel(ledger: Ledger) -> None:
        callback = await _found(ledger, callback_id)
        moved = await ledger.move(
            callback,
            State.CANCELLED,
            actor=Actor.ADMIN,
            at_ms=_now_ms(),
            reason="cancelled_by_admin",
            evidence=f"{_who()}: {comment}" if comment else _who(),
            among=CANCELLABLE,
        )
        if moved is None:
            message = f"callback {callback_id} is {callback.state.value}: it cannot be cancelled any more"
            raise CallstewardError(message)

    _with_ledger(settings, cancel)
    typer.echo(f"callback {callback_id} is cancelled", err=True)


# --- do not call --------------------------------------------------------------------------------------


@dnc.command("add")
def _dnc_add(
    numbers: Annotated[list[str], typer.Argument(metavar="NUMBER")],
    config_file: ConfigOption,
    comment: Annotated[str, typer.Option(help="Why, or what was said.")] = "",
) -> None:
    """Put numbers on the list, written in any usual way."""
    from callsteward.callback.do_not_call import DoNotCall

    settings = config.load(config_file)
    read = _read_numbers(settings, numbers)

    async def add(store: Store) -> int:
        return await DoNotCall(store.engine).add(read, by=_who(), comment=comment)

    added = _with_store(settings, add)
    typer.echo(f"added {added}, on the list already {len(read) - added}", err=True)


@dnc.command("remove")
def _dnc_remove(number: Annotated[str, typer.Argument(metavar="NUMBER")], config_file: ConfigOption) -> None:
    """Take a number off the list."""
    from callsteward.callback.do_not_call import DoNotCall

    settings = config.load(config_file)
    (read,) = _read_numbers(settings, [number])

    async def remove(store: Store) -> bool:
        return await DoNotCall(store.engine).remove(read)

    if not _with_store(settings, remove):
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
    found = _with_store(settings, lambda store: DoNotCall(store.engine).listed())
    if chosen(output) is Form.JSONL:
        for item in found:
            _print_json(
                {
                    "client_masked": numbers.masked(item.number),
                    "client_ref": numbers.ref(item.number),
                    "added_at": _rfc3339(item.added_at_ms),
                    "added_by": item.added_by,
                    "comment": item.comment,
                }
            )
        return
    _print_table(
        ("client", "since", "by", "comment"),
        [
            (
                numbers.masked(item.number) or "-",
                _clock(item.added_at_ms, settings.site.zone),
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

    A row without a number stops it and is named; nothing is imported then.
    """
    import csv

    from callsteward.callback.do_not_call import DoNotCall
    from callsteward.callback.guard import Guard

    settings = config.load(config_file)
    guard = Guard(settings)
    numbers: list[str] = []
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        message = f"{file}: cannot read it as UTF-8: {error}"
        raise CallstewardError(message) from error
    delimiter = ";" if ";" in text.partition("\n")[0] else ","
    for place, row in enumerate(csv.reader(text.splitlines(), delimiter=delimiter), start=1):
        if not row or not row[0].strip():
            continue
        number = guard.read(row[0])
        if number is not None:
            numbers.append(number)
        elif place > 1:
            message = f"{file}:{place}: {row[0]!r} is no number; nothing was imported"
            raise CallstewardError(message)

    async def add(store: Store) -> int:
        return await DoNotCall(store.engine).add(numbers, by=_who(), comment=comment or file.name)

    added = _with_store(settings, add)
    typer.echo(f"added {added}, on the list already {len(numbers) - added}", err=True)


# --- lost calls ---------------------------------------------------------------------------------------


@lost.callback()
def _list_lost(
    context: typer.Context,
    config_file: _MAYBE_CONFIG = None,
    line: Annotated[str | None, typer.Option(help="Only this line's calls.")] = None,
    output: FormOption = None,
) -> None:
    if context.invoked_subcommand is not None:
        return
    from callsteward.callback.lost import LostCalls

    settings = _settings(config_file)
    found = _with_store(settings, lambda store: LostCalls(store.engine, settings.site.name).listed(line))
    if chosen(output) is Form.JSONL:
        for record in found:
            sys.stdout.buffer.write(encode(record) + b"\n")
        sys.stdout.flush()
        return
    from callsteward import tables

    console = tables.console()
    console.print(tables.records_table(found, settings.site.zone, width=console.width))
    typer.echo(f"lost calls: {len(found)}" if found else "no lost calls", err=True)
    if found and settings.privacy.key is None:
        typer.echo(
            "without privacy.hmac_key nobody can tell who has been spoken to since: settle them by hand",
            err=True,
        )


@lost.command("settle")
def _settle(
    call_id: Annotated[str, typer.Argument(metavar="CALL_ID")],
    config_file: ConfigOption,
    comment: Annotated[str, typer.Option(help="What was done about it.")],
) -> None:
    """Take a lost call off the list, with a comment on what was done."""
    from callsteward.callback.lost import LostCalls

    settings = config.load(config_file)

    async def settle(store: Store) -> bool:
        return await LostCalls(store.engine, settings.site.name).settle(call_id, by=_who(), comment=comment)

    if not _with_store(settings, settle):
        message = f"{call_id} is not among the lost calls"
        raise CallstewardError(message)
    typer.echo(f"{call_id} is settled", err=True)


# --- what they share ----------------------------------------------------------------------------------


def _settings(config_file: Path | None) -> config.Config:
    if config_file is None:
        message = "the configuration file is missing"
        raise typer.BadParameter(message, param_hint="--config")
    return config.load(config_file)


def _with_store(settings: config.Config, act: Callable[[Store], Awaitable[T]]) -> T:
    async def run() -> T:
        from callsteward.store.records import Store

        store = await Store.open(settings.store.url)
        try:
            return await act(store)
        finally:
            await store.close()

    return asyncio.run(run())


def _with_ledger(settings: config.Config, act: Callable[[Ledger], Awaitable[T]]) -> T:
    async def run(store: Store) -> T:
        from callsteward.callback.ledger import Ledger
        from callsteward.feed.durable import Durable

        # A step made here is told on the feed, too: the daemon finds it in the outbox.
        durable = Durable(settings) if settings.mqtt.enabled else None
        announce = None if durable is None else durable.callback
        return await act(Ledger(store.engine, settings.site.name, announce))

    return _with_store(settings, run)


async def _found(ledger: Ledger, callback_id: str) -> Callback:
    callback = await ledger.find(callback_id)
    if callback is None:
        message = f"no callback {callback_id}; `callsteward callbacks` lists them"
        raise CallstewardError(message)
    return callback


def _read_numbers(settings: config.Config, written: Sequence[str]) -> list[str]:
    from callsteward.callback.guard import Guard

    guard = Guard(settings)
    numbers = []
    for text in written:
        number = guard.read(text)
        if number is None:
            message = f"{text!r} is no telephone number of {settings.site.region} or with a country code"
            raise typer.BadParameter(message, param_hint="NUMBER")
        numbers.append(number)
    return list(dict.fromkeys(numbers))


def _plain(callback: Callback) -> dict[str, Any]:
    """A callback without its number."""
    return {
        "id": callback.id,
        "site": callback.site,
        "origin_call_id": callback.origin_call_id,
        "line": callback.line,
        "client_masked": callback.client_masked,
        "client_ref": callback.client_ref,
        "operator": callback.operator,
        "state": callback.state.value,
        "reason": callback.reason,
        "dropped_at": _rfc3339(callback.dropped_at_ms),
        "created_at": _rfc3339(callback.created_at_ms),
        "changed_at": _rfc3339(callback.changed_at_ms),
        "attempts": callback.attempts,
        "asked": callback.asked,
        "channel_id": callback.channel_id,
    }


def _print_json(values: dict[str, Any]) -> None:
    import msgspec

    typer.echo(msgspec.json.encode(values).decode())


def _print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from callsteward import tables

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    tables.console().print(table)


def _clock(ms: int, zone: tzinfo) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, zone):%Y-%m-%d %H:%M:%S}"


def _rfc3339(ms: int) -> str:
    from callsteward.calls import measure

    return measure.rfc3339(ms) or ""


def _now_ms() -> int:
    return int(datetime.now(UTC).timestamp() * 1000)


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "admin"
