"""`callsteward client`: what is held of one client is handed out to them, or erased at their wish."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callsteward.cli.numbers import NumbersOption, NumberStyle, read_numbers
from callsteward.exceptions import CallstewardError
from callsteward.record.moments import rfc3339
from callsteward.terminal.groups import group
from callsteward.terminal.options import ConfigOption, PlainOutputOption, SiteOption, load
from callsteward.terminal.printing import print_thing
from callsteward.terminal.said import now_ms, who
from callsteward.terminal.wrong import wrong

if TYPE_CHECKING:
    from rich.console import Console
    from sqlalchemy import RowMapping

    from callsteward.client.erasing import Erasing
    from callsteward.client.session import Held, SoughtClient
    from callsteward.config import Config
    from callsteward.store.records import Store

ClientArgument = Annotated[
    str,
    typer.Argument(
        metavar="NUMBER",
        help="The client's telephone number, written in any usual way; or their client_ref, as the records"
        " have it.",
    ),
]


def add_to(app: typer.Typer) -> None:
    client = group(app, "client", "Hand out or erase what is held of one client (152-FZ, GDPR).")
    client.command("export")(export)
    client.command("erase")(erase)


def export(
    number: ClientArgument,
    config_file: ConfigOption,
    style: NumbersOption = None,
    site: SiteOption = None,
    output: PlainOutputOption = None,
) -> None:
    """Everything that is held of a client, with the place where it stands.

    It is for the client: their number stands there in full, in contrast to all other commands. Found are all
    rows under the number or its client_ref, and those of the calls that these name. The sound of spoken
    comments is in Asterisk, under the names given here. The journal is always our own site's.
    """
    settings = load(config_file)
    held = _looked(settings, _wanted(settings, number, style), site)
    from callsteward.client.session import beyond

    told = _export(settings, held)
    print_thing(output, lambda: told, lambda console: _show(told, console))
    count = sum(len(place["rows"]) for place in told["places"])
    typer.echo(f"rows: {count}; the client's number is in full here", err=True)
    for text in beyond(settings, held):
        typer.echo(f"not here: {text}", err=True)


def erase(
    number: ClientArgument,
    config_file: ConfigOption,
    style: NumbersOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask, for programs.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be erased, and change nothing.")
    ] = False,
    also_do_not_call: Annotated[
        bool,
        typer.Option(
            "--also-do-not-call",
            help="Take the number off the do-not-call list, too. Without it the entry is kept: it is the"
            " client's own wish not to be called, and has to hold after they are erased.",
        ),
    ] = False,
    output: PlainOutputOption = None,
) -> None:
    """Erase what is held of a client; shows it first, and asks.

    Number, client_ref, comments and spoken comments go. The figures of their calls stay, under the masked
    number, so reports and intervals stay as they are. Callbacks and rating calls that are open are cancelled.
    Safe beside the daemon. Exit code 1 if something is left that a second run would erase: a call in
    progress, or an Asterisk that did not answer. An erasure that was broken off is finished by running it
    again.
    """
    settings = load(config_file)
    meant = _wanted(settings, number, style)
    held = _looked(settings, meant)
    done: Erasing | None = None
    if not dry_run and (held.found.rows or held.comments):
        if not yes:
            _ask(settings, held, also_do_not_call=also_do_not_call)
        done = _erased(settings, held, also_do_not_call=also_do_not_call)
    told = _told(settings, held, done, also_do_not_call=also_do_not_call)
    print_thing(output, lambda: told, lambda console: _show_erased(told, console))
    if done is not None and done.left:
        raise typer.Exit(1)


def _wanted(settings: Config, number: str, style: NumberStyle | None) -> SoughtClient:
    from callsteward.client.found import REF
    from callsteward.client.session import SoughtClient

    if REF.match(number):
        return SoughtClient(ref=number)
    (read,) = read_numbers(settings, [number], style)
    return SoughtClient(number=read)


def _looked(settings: Config, wanted: SoughtClient, site: str | None = None) -> Held:
    from callsteward.client.session import look
    from callsteward.store.once import sites_asked, with_store

    async def read(store: Store) -> Held:
        return await look(settings, store, wanted, await sites_asked(store, settings, site))

    return with_store(settings, read)


def _ask(settings: Config, held: Held, *, also_do_not_call: bool) -> None:
    if not sys.stdin.isatty():
        wrong("nobody can be asked here: add --yes, or --dry-run to see what would be erased", "--yes")
    from rich.console import Console

    _show_erased(_told(settings, held, None, also_do_not_call=also_do_not_call), Console(stderr=True))
    if not typer.confirm("Erase this?", err=True):
        message = "nothing was erased"
        raise CallstewardError(message)


def _erased(settings: Config, held: Held, *, also_do_not_call: bool) -> Erasing:
    from callsteward.client import session
    from callsteward.store.once import with_store

    if held.journal is not None and held.journal.on_a_call:
        message = (
            "a call of this client is in progress, and would bring back what is erased: nothing was erased;"
            " run this again when the call is over"
        )
        raise CallstewardError(message)

    async def run(store: Store) -> Erasing:
        return await session.erase(
            settings, store, held, by=who(), now_ms=now_ms, also_do_not_call=also_do_not_call
        )

    return with_store(settings, run)


# --- in words ------------------------------------------------------------------------------------------


def _export(settings: Config, held: Held) -> dict[str, Any]:
    from callsteward.store.holdings import HOLDINGS

    return {
        "site": settings.site.name,
        "made_at": rfc3339(now_ms()),
        "numbers": sorted(held.found.numbers),
        "client_refs": sorted(held.found.refs),
        "database": held.database,
        "places": [
            {
                "table": holding.name,
                "what": holding.what,
                "rows": [_plain(row) for row in held.found.rows.get(holding.name, ())],
            }
            for holding in HOLDINGS
        ],
        "journal": held.journal,
        "spoken_comments_in_asterisk": held.comments,
    }


def _plain(row: RowMapping) -> dict[str, Any]:
    """A row as people and programs read it: moments in RFC 3339, messages as JSON."""
    import msgspec

    from callsteward.exceptions import NOT_JSON, StoreError
    from callsteward.store.stored import line_of

    found: dict[str, Any] = {}
    values = dict(row)
    if (packed := values.pop("packed", None)) is not None:
        values["record"] = packed
    for name, value in values.items():
        if name.endswith("at_ms"):
            found[name.removesuffix("_ms")] = None if value is None else rfc3339(value)
        elif name in _MESSAGES:
            try:
                found[name] = msgspec.json.decode(line_of(value))
            except (*NOT_JSON, StoreError):
                found[name] = value if isinstance(value, str) else value.hex()
        else:
            found[name] = value
    return found


_MESSAGES = frozenset({"record", "payload", "reply"})


def _show(told: Mapping[str, Any], console: Console) -> None:
    import msgspec
    from rich.text import Text

    from callsteward.terminal.plain import cell, plain_table

    numbers = ", ".join([*told["numbers"], *told["client_refs"]])
    console.print(Text(f"{numbers}, site {told['site']}, {told['database']}", "bold"))
    for place in told["places"]:
        if not place["rows"]:
            continue
        console.print(Text(f"\n{place['table']}: {place['what']}, {len(place['rows'])}", "bold"))
        for row in place["rows"]:
            texts = [
                (name, value if isinstance(value, str) else msgspec.json.encode(value).decode())
                for name, value in row.items()
                if value is not None
            ]
            console.print(plain_table(("", ""), texts))
    journal = told["journal"]
    if journal is not None and journal.events:
        console.print(cell(f"journal {journal.file}: {journal.events} events"))
    for name in told["spoken_comments_in_asterisk"]:
        console.print(cell(f"spoken comment in Asterisk: {name}"))


def _told(settings: Config, held: Held, done: Erasing | None, *, also_do_not_call: bool) -> dict[str, Any]:
    from callsteward.client.session import beyond
    from callsteward.record.number import Numbers
    from callsteward.store.holdings import HOLDINGS
    from callsteward.store.tables import do_not_call

    numbers = Numbers(settings.site.region, settings.privacy.key)
    return {
        "site": settings.site.name,
        "client_masked": [numbers.masked(number) for number in sorted(held.found.numbers)],
        "erased": done is not None,
        "places": [
            {
                "table": holding.name,
                "what": holding.what,
                "rows": len(held.found.rows[holding.name]),
                "changed": None if done is None else done.changed.get(holding.name, 0),
                "how": "deleted" if also_do_not_call and holding.table is do_not_call else holding.erased,
            }
            for holding in HOLDINGS
            if holding.name in held.found.rows
        ],
        "spoken_comments": len(held.comments),
        "on_a_call": held.journal is not None and held.journal.on_a_call,
        "cancelled": {} if done is None else done.cancelled,
        "left": [] if done is None else done.left,
        "beyond": beyond(settings, held),
    }


def _show_erased(told: Mapping[str, Any], console: Console) -> None:
    from rich.text import Text

    from callsteward.terminal.plain import cell, plain_table

    rows: Sequence[Mapping[str, Any]] = told["places"]
    if not rows:
        console.print(cell("nothing is held of this client here"))
    else:
        console.print(
            plain_table(
                ("table", "what", "rows", "what becomes of it"),
                [(row["table"], row["what"], str(row["rows"]), row["how"]) for row in rows],
            )
        )
    if told["spoken_comments"]:
        console.print(cell(f"spoken comments in Asterisk, deleted there: {told['spoken_comments']}"))
    if told["on_a_call"]:
        console.print(Text("! a call of this client is in progress", "bold red"))
    for what, count in told["cancelled"].items():
        console.print(cell(f"cancelled: {what} {count}"))
    for text in told["left"]:
        console.print(Text(f"! left: {text}", "bold red"))
    for text in told["beyond"]:
        console.print(cell(f"not erased by this: {text}"))
