"""`callsteward callbacks`: list, show, cancel. What is needed is imported inside each command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from callsteward import config
from callsteward.callback.states import CANCELLABLE, Callback, State
from callsteward.cli.ledger import clock, now_ms, print_json, print_table, rfc3339, who, with_ledger
from callsteward.exceptions import CallstewardError
from callsteward.outgoing.words import Actor
from callsteward.terminal.options import ConfigOption, Form, FormOption, before_command, chosen

if TYPE_CHECKING:
    from callsteward.callback.ledger import Ledger

callbacks = typer.Typer(
    invoke_without_command=True, help="List the callbacks; show or cancel one.", no_args_is_help=False
)


@callbacks.callback()
def _list_callbacks(
    context: typer.Context,
    config_file: ConfigOption,
    state: Annotated[list[State] | None, typer.Option(help="Only these; may be given several times.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest first.")] = 100,
    output: FormOption = None,
) -> None:
    if before_command(context):
        return
    settings = config.load(config_file)

    async def read(ledger: Ledger) -> list[Callback]:
        return await ledger.listed(states=state or (), limit=limit)

    found = with_ledger(settings, read)
    zone = settings.site.zone
    if chosen(output) is Form.JSONL:
        for callback in found:
            print_json(_plain(callback))
        return
    print_table(
        ("dropped", "id", "line", "client", "state", "reason", "operator", "asked", "tries"),
        [
            (
                clock(callback.dropped_at_ms, zone),
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

    callback, story = with_ledger(settings, read)
    zone = settings.site.zone
    if chosen(output) is Form.JSONL:
        import msgspec

        steps = [{**msgspec.to_builtins(step), "at": rfc3339(step.at_ms)} for step in story]
        for step in steps:
            del step["at_ms"]
        print_json({**_plain(callback), "steps": steps})
        return
    print_table(
        ("at", "state", "by", "reason", "operator", "evidence"),
        [
            (
                clock(step.at_ms, zone),
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
            at_ms=now_ms(),
            reason="cancelled_by_admin",
            evidence=f"{who()}: {comment}" if comment else who(),
            among=CANCELLABLE,
        )
        if moved is None:
            message = f"callback {callback_id} is {callback.state.value}: it cannot be cancelled any more"
            raise CallstewardError(message)

    with_ledger(settings, cancel)
    typer.echo(f"callback {callback_id} is cancelled", err=True)


async def _found(ledger: Ledger, callback_id: str) -> Callback:
    callback = await ledger.find(callback_id)
    if callback is None:
        message = f"no callback {callback_id}; `callsteward callbacks` lists them"
        raise CallstewardError(message)
    return callback


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
        "dropped_at": rfc3339(callback.dropped_at_ms),
        "created_at": rfc3339(callback.created_at_ms),
        "changed_at": rfc3339(callback.changed_at_ms),
        "attempts": callback.attempts,
        "asked": callback.asked,
        "channel_id": callback.channel_id,
    }
