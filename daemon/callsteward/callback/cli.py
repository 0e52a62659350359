"""`callsteward callbacks`: list, show, cancel. What is needed is imported inside each command."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from callsteward.callback.states import CANCELLABLE, CallbackRow, CallbackState
from callsteward.exceptions import CallstewardError
from callsteward.outgoing.words import Actor
from callsteward.record.moments import rfc3339
from callsteward.terminal.files import Holds
from callsteward.terminal.listings import plain_listing
from callsteward.terminal.options import (
    CommentOption,
    ConfigOption,
    ExcelOption,
    FileOption,
    LimitOption,
    OutputOption,
    PlainOutputOption,
    SiteOption,
    before_command,
    load,
    words,
)
from callsteward.terminal.printing import Listing, print_rows, print_thing, wanted
from callsteward.terminal.said import now_ms, who

if TYPE_CHECKING:
    from callsteward.callback.ledger import CallbackLedger
    from callsteward.callback.states import Transition
    from callsteward.config import Config
    from callsteward.store.records import Store

T = TypeVar("T")

CallbackArgument = Annotated[str, typer.Argument(metavar="ID", help="As `callsteward callbacks` lists it.")]


def add_to(app: typer.Typer) -> None:
    callbacks = typer.Typer(invoke_without_command=True, help="List the callbacks; show or cancel one.")
    callbacks.callback()(list_callbacks)
    callbacks.command("show")(show)
    callbacks.command("cancel")(cancel)
    app.add_typer(callbacks, name="callbacks")


def list_callbacks(
    context: typer.Context,
    config_file: ConfigOption,
    state: Annotated[
        list[CallbackState] | None,
        typer.Option(
            metavar="STATE", help=f"Only these; may be given several times: {words(CallbackState)}."
        ),
    ] = None,
    site: SiteOption = None,
    limit: LimitOption = 100,
    output: OutputOption = None,
    file: FileOption = None,
    excel: ExcelOption = False,
) -> None:
    """List the callbacks, the newest first; show or cancel one."""
    if before_command(context):
        return
    settings = load(config_file)
    asked = wanted(output, file, excel=excel)

    from callsteward.store.once import sites_asked, with_store

    async def read(store: Store) -> list[CallbackRow]:
        from callsteward.callback.ledger import CallbackLedger

        rows = [
            row
            for name in await sites_asked(store, settings, site)
            for row in await CallbackLedger(store.engine, name).listed(states=state or (), limit=limit)
        ]
        # Each site's are in order already.
        return rows if site is None else sorted(rows, key=lambda row: -row.created_at_ms)[:limit]

    zone = settings.site.zone
    listing: Listing[CallbackRow] = plain_listing(_COLUMNS, _HEADS, zone)
    print_rows(with_store(settings, read), listing, asked, zone, what="callbacks")


def show(callback_id: CallbackArgument, config_file: ConfigOption, output: PlainOutputOption = None) -> None:
    """Every step of a callback: when, who, why, on what evidence."""
    settings = load(config_file)

    async def read(ledger: CallbackLedger) -> tuple[CallbackRow, list[Transition]]:
        callback = await _found(ledger, callback_id)
        return callback, list(await ledger.story(callback))

    callback, story = _with_ledger(settings, read)
    zone = settings.site.zone
    listing: Listing[CallbackRow] = plain_listing(_COLUMNS, _HEADS, zone)
    steps: Listing[Transition] = plain_listing(_STEP_COLUMNS, _STEP_HEADS, zone)
    print_thing(
        output,
        lambda: {**listing.cells(callback), "steps": [_step(step) for step in story]},
        lambda console: console.print(steps.table(story, console.width)),
    )


def cancel(callback_id: CallbackArgument, config_file: ConfigOption, comment: CommentOption = "") -> None:
    """Cancel a callback whose client has not been dialled; an operator's phone that rings for it stops."""
    settings = load(config_file)

    async def cancel(ledger: CallbackLedger) -> None:
        callback = await _found(ledger, callback_id)
        moved = await ledger.move(
            callback,
            CallbackState.CANCELLED,
            actor=Actor.ADMIN,
            at_ms=now_ms(),
            reason="cancelled_by_admin",
            evidence=f"{who()}: {comment}" if comment else who(),
            among=CANCELLABLE,
        )
        if moved is None:
            message = f"callback {callback_id} is {callback.state.value}: it cannot be cancelled any more"
            raise CallstewardError(message)

    _with_ledger(settings, cancel)
    typer.echo(f"callback {callback_id} is cancelled", err=True)


def _with_ledger(settings: Config, act: Callable[[CallbackLedger], Awaitable[T]]) -> T:
    from callsteward.store.once import with_store

    async def run(store: Store) -> T:
        from callsteward.callback.ledger import CallbackLedger
        from callsteward.callback.messages import TELLS
        from callsteward.feed.tell import announced

        # This step is published, too: the daemon finds its message in the outbox.
        return await act(CallbackLedger(store.engine, settings.site.name, announced(settings, TELLS)))

    return with_store(settings, run)


async def _found(ledger: CallbackLedger, callback_id: str) -> CallbackRow:
    callback = await ledger.find(callback_id)
    if callback is None:
        message = f"no callback {callback_id}; `callsteward callbacks` lists them"
        raise CallstewardError(message)
    return callback


def _step(step: Transition) -> dict[str, Any]:
    import msgspec

    fields = {**msgspec.to_builtins(step), "at": rfc3339(step.at_ms)}
    del fields["at_ms"]
    return fields


_COLUMNS = {
    **dict.fromkeys(("id", "site", "origin_call_id", "line", "client_masked", "client_ref"), Holds.TEXT),
    **dict.fromkeys(("operator", "state", "reason"), Holds.TEXT),
    **dict.fromkeys(("dropped_at", "created_at", "changed_at"), Holds.MOMENT),
    "attempts": Holds.COUNT,
    **dict.fromkeys(("asked", "channel_id"), Holds.TEXT),
}
_HEADS = {
    "dropped": "dropped_at",
    "id": "id",
    "line": "line",
    "client": "client_masked",
    "state": "state",
    "reason": "reason",
    "operator": "operator",
    "asked": "asked",
    "tries": "attempts",
}
_STEP_COLUMNS = {
    "at": Holds.MOMENT,
    **dict.fromkeys(("state", "actor", "reason", "operator", "evidence"), Holds.TEXT),
}
_STEP_HEADS = {
    "at": "at",
    "state": "state",
    "by": "actor",
    "reason": "reason",
    "operator": "operator",
    "evidence": "evidence",
}
