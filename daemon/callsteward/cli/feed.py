"""`callsteward feed` and `schema`: what waits for the broker, sending again what was missed, the contract.

What is needed is imported inside each command, as in `cli`.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callsteward import config, features
from callsteward.exceptions import FeedError
from callsteward.record.moments import rfc3339
from callsteward.terminal.options import (
    ConfigOption,
    Form,
    FormOption,
    chosen,
    moment,
    tell_unknown_line,
    wrong,
)

if TYPE_CHECKING:
    from collections import Counter

    from callsteward.feed.cloudevents import Mode
    from callsteward.feed.resend import Span
    from callsteward.store.outbox import Drop, Measure

feed = typer.Typer(no_args_is_help=True, help="What waits for the broker; send again what was missed.")


def _known_kinds(kinds: list[str] | None) -> list[str] | None:
    """Refuse what the outbox has no name for."""
    known = features.durable_kinds()
    for kind in kinds or ():
        if kind not in known:
            wrong(f"{kind!r} is not one of {', '.join(known)}", "--kind")
    return kinds


class EventMode(StrEnum):
    """What `mqtt.cloudevents` may be."""

    OFF = "off"
    STRUCTURED = "structured"
    BINARY = "binary"


@feed.command("status")
def _status(config_file: ConfigOption, output: FormOption = None) -> None:
    """How much waits in the outbox, since when, and what it had to drop. Safe beside a running daemon."""
    settings = config.load(config_file)
    measure, waiting, drops = asyncio.run(_read(settings))
    limit = settings.mqtt.outbox_bytes
    if chosen(output) is Form.JSONL:
        import msgspec

        told: dict[str, Any] = {
            "messages": measure.messages,
            "bytes": measure.size,
            "limit_bytes": limit,
            "oldest_at": rfc3339(measure.oldest_ms),
            "waiting": [{"kind": kind, "line": line, "messages": count} for kind, line, count in waiting],
            "drops": [
                {
                    "at": rfc3339(drop.at_ms),
                    "messages": drop.messages,
                    "from": rfc3339(drop.from_ms),
                    "to": rfc3339(drop.to_ms),
                }
                for drop in drops
            ],
        }
        typer.echo(msgspec.json.encode(told).decode())
        return
    oldest = ""
    if measure.oldest_ms is not None:
        oldest = f", the oldest for {_lasted(time.time() - measure.oldest_ms / 1000)}"
    share = measure.size / limit
    typer.echo(f"{measure.messages} messages wait for the broker{oldest}; {share:.1%} of outbox_mb")
    for kind, line, count in waiting:
        typer.echo(f"  {kind:8} {line:24} {count:>8}")
    for drop in drops:
        span = f"--from {rfc3339(drop.from_ms)} --to {rfc3339(drop.to_ms + 1)}"
        typer.echo(f"dropped {drop.messages} messages until {rfc3339(drop.at_ms)}: feed resend {span}")


@feed.command("resend")
def _resend(
    config_file: ConfigOption,
    from_: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="WHEN",
            help="Made at or after: today, monday, 22.11.2026, 2026-11-22 (in the site's timezone) or"
            " 2026-11-22T08:30:00+03:00.",
        ),
    ],
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="WHEN", help="Made before; a date includes that day. Default: now."),
    ] = None,
    line: Annotated[str | None, typer.Option(help="Only this line's.")] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND",
            help=f"Only these ({', '.join(features.durable_kinds())}); may be given several times.",
            callback=_known_kinds,
            autocompletion=features.durable_kinds,
        ),
    ] = None,
) -> None:
    """Send again what was made in a span, each with the message_id it had.

    A record is made when its call has ended, an interval with its last revision; of a rating the last step is
    sent. The running daemon delivers them behind what waits already, in the order they were made; without one
    they wait for its next start. Subscribers leave out the message_ids they know.
    """
    settings = config.load(config_file)
    if not settings.mqtt.enabled:
        message = "mqtt.enabled is false: nobody would deliver them"
        raise FeedError(message)
    from callsteward.feed.resend import Span

    zone = settings.site.zone
    until = int(time.time() * 1000) + 1 if to is None else moment(to, zone, "--to", end_of_day=True)
    span = Span(moment(from_, zone, "--from"), until, line)
    if span.from_ms >= span.to_ms:
        wrong(f"nothing lies between --from {from_} and --to {to or 'now'}: --to is not after --from", "--to")
    kinds = kind or features.durable_kinds()
    done, left_out = asyncio.run(_put_in(settings, span, kinds))
    if not done:
        tell_unknown_line(settings, line)
    typer.echo(f"sent again: {_listed(done)}" if done else "nothing was made then", err=True)
    if left_out:
        typer.echo(
            f"left out: {_listed(left_out)}: no longer what was published. The daemon revises an interval"
            " that changed; what is past its retention or of other settings is gone",
            err=True,
        )


@feed.command("undiscover")
def _undiscover(
    config_file: ConfigOption,
    prefix: Annotated[
        str, typer.Option(metavar="PREFIX", help="What mqtt.discovery_prefix was.")
    ] = "homeassistant",
) -> None:
    """Remove from the broker what Home Assistant was told of this site (mqtt.discovery_prefix).

    For after the prefix was unset or changed and the daemon restarted: Home Assistant forgets the entities.
    """
    settings = config.load(config_file)
    if settings.mqtt.enabled and settings.mqtt.discovery_prefix == prefix:
        message = f"mqtt.discovery_prefix is {prefix}: the daemon would announce all again. Unset it, restart"
        raise FeedError(message)
    from callsteward.feed.announcer import take_away

    count = asyncio.run(take_away(settings, prefix))
    typer.echo(f"{count} announcements of {settings.site.name} removed from {prefix}/", err=True)


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{kind} {count}" for kind, count in sorted(counts.items()))


async def _put_in(settings: config.Config, span: Span, kinds: list[str]) -> tuple[Counter[str], Counter[str]]:
    from collections import Counter

    from callsteward.feed.resend import resend
    from callsteward.store.records import Store

    store = await Store.open(settings.store.url, create=False)
    try:
        left_out: Counter[str] = Counter()
        known = features.sources()
        done = await resend(
            settings,
            store,
            span,
            {kind: known[kind] for kind in kinds},
            announce=features.tells(settings).outgoing,
            progress=_progress(),
            left_out=left_out,
        )
        return +done, +left_out
    finally:
        await store.close()


def _progress() -> Callable[[int], None]:
    """On a terminal, one line that counts."""
    shown = sys.stderr.isatty()

    def tell(count: int) -> None:
        if shown:
            typer.echo(f"\r{count} put into the outbox ", err=True, nl=False)

    return tell


async def _read(settings: config.Config) -> tuple[Measure, list[tuple[str, str, int]], list[Drop]]:
    from callsteward.store.outbox import Outbox
    from callsteward.store.records import Store

    store = await Store.open(settings.store.url, create=False)
    try:
        outbox = Outbox(store.engine, settings.site.name)
        return await outbox.measure(), await outbox.waiting(), await outbox.drops()
    finally:
        await store.close()


def _lasted(seconds: float) -> str:
    """A span for people: 42 s, 13 min, 5 h."""
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"


def schema(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="One message's JSON Schema, such as callsteward.call/1; without it, the AsyncAPI document.",
        ),
    ] = None,
    config_file: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="This configuration's topics and CloudEvents."),
    ] = None,
    as_events: Annotated[
        EventMode | None,
        typer.Option("--cloudevents", help="As mqtt.cloudevents has it; default: as --config has, or off."),
    ] = None,
    names: Annotated[bool, typer.Option("--list", help="Print the names of the JSON Schemas.")] = False,
    folder: Annotated[
        Path | None,
        typer.Option("--to", metavar="DIR", help="Write the document and every JSON Schema to this folder."),
    ] = None,
) -> None:
    """Print the contract of the MQTT feed: an AsyncAPI 3 document, or a message's JSON Schema.

    Made from the message types. The same files are in the package, in the folder `contract`.
    """
    from callsteward.feed import contract

    settings = None if config_file is None else config.load(config_file)
    mode: Mode = "off" if settings is None else settings.mqtt.cloudevents
    if as_events is not None:
        mode = as_events.value
    schemas = contract.json_schemas(features.channels(), mode)
    if names:
        for known in sorted(schemas):
            typer.echo(known)
    elif name is not None:
        if name not in schemas:
            message = f"no message {name!r}; there is {', '.join(sorted(schemas))}"
            raise typer.BadParameter(message, param_hint="NAME")
        typer.echo(contract.text(schemas[name]), nl=False)
    elif folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        files = contract.shipped_files(features.channels())
        for file, content in files.items():
            (folder / file).write_text(content, encoding="utf-8")
        typer.echo(f"{len(files)} files written to {folder}", err=True)
    else:
        root = contract.ROOT
        if settings is not None:
            root = f"{settings.mqtt.root.strip('/')}/{settings.site.name}"
        typer.echo(contract.text(contract.asyncapi(features.channels(), root, mode)), nl=False)
