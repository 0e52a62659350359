"""`callsteward feed`: the messages that wait for the broker, and sending again messages that were missed.

Imports that a command needs are inside it.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callsteward.exceptions import FeedError
from callsteward.record.moments import rfc3339
from callsteward.terminal.groups import group
from callsteward.terminal.options import (
    ConfigOption,
    GivenFromOption,
    LineOption,
    PlainOutputOption,
    ToOption,
    load,
    span,
    tell_unknown_line,
)
from callsteward.terminal.printing import print_thing
from callsteward.terminal.wrong import wrong

if TYPE_CHECKING:
    from collections import Counter

    from callsteward.config import Config
    from callsteward.feed.resend import ResendSpan
    from callsteward.store.outbox import Drop, OutboxSize
    from callsteward.store.records import Store


def _kinds() -> list[str]:
    """The kinds of messages that can be sent again."""
    from callsteward import features

    return features.durable_kinds()


def _known_kinds(kinds: list[str] | None) -> list[str] | None:
    """Refuse a kind that the outbox does not have."""
    for kind in kinds or ():
        if kind not in _kinds():
            wrong(f"{kind!r} is not one of {', '.join(_kinds())}", "--kind")
    return kinds


def add_to(app: typer.Typer) -> None:
    feed = group(app, "feed", "What waits for the broker; send again what was missed.")
    feed.command("status")(status)
    feed.command("resend")(resend)
    feed.command("undiscover")(undiscover)


def status(config_file: ConfigOption, output: PlainOutputOption = None) -> None:
    """Show how many messages wait in the outbox, since when, and which were dropped.

    Safe beside a running daemon.
    """
    from callsteward.store.once import with_store

    settings = load(config_file)
    measure, waiting, drops = with_store(settings, lambda store: _read(settings, store))
    limit = settings.mqtt.outbox_bytes
    print_thing(
        output,
        lambda: _plain(measure, waiting, drops, limit),
        lambda _console: _say(measure, waiting, drops, limit),
    )


def _plain(
    measure: OutboxSize, waiting: list[tuple[str, str, int]], drops: list[Drop], limit: int
) -> dict[str, Any]:
    return {
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


def _say(measure: OutboxSize, waiting: list[tuple[str, str, int]], drops: list[Drop], limit: int) -> None:
    oldest = ""
    if measure.oldest_ms is not None:
        oldest = f", the oldest for {_lasted(time.time() - measure.oldest_ms / 1000)}"
    share = measure.size / limit
    typer.echo(f"{measure.messages} messages wait for the broker{oldest}; {share:.1%} of outbox_mb")
    for kind, line, count in waiting:
        typer.echo(f"  {kind:8} {line:24} {count:>8}")
    for drop in drops:
        between = f"--from {rfc3339(drop.from_ms)} --to {rfc3339(drop.to_ms + 1)}"
        typer.echo(f"dropped {drop.messages} messages until {rfc3339(drop.at_ms)}: feed resend {between}")


def resend(
    config_file: ConfigOption,
    from_: GivenFromOption,
    to: ToOption = None,
    line: LineOption = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND",
            help="Only these, such as record or interval; may be given several times.",
            callback=_known_kinds,
            autocompletion=_kinds,
        ),
    ] = None,
) -> None:
    """Send the messages of a span again, each with the message_id it had. Without --to: until now.

    A record is made when its call has ended, an interval with its last revision; for a rating its last step
    is sent. The running daemon delivers them after the messages that wait already, in the order they were
    made; if none runs, they wait for its next start. Subscribers leave out message_ids that they know.
    """
    settings = load(config_file)
    if not settings.mqtt.enabled:
        message = "mqtt.enabled is false: nobody would deliver them"
        raise FeedError(message)
    from callsteward.feed.resend import ResendSpan
    from callsteward.store.once import with_store

    from_ms, to_ms = span(from_, to or "now", settings.site.zone)
    # A message made in this very millisecond counts as made before now.
    asked = ResendSpan(from_ms, to_ms + (to is None), line)
    done, left_out = with_store(settings, lambda store: _put_in(settings, store, asked, kind or _kinds()))
    typer.echo(f"sent again: {_listed(done)}" if done else "nothing was made then", err=True)
    if left_out:
        typer.echo(
            f"left out: {_listed(left_out)}: no longer what was published. The daemon revises an interval"
            " that changed; what is past its retention or of other settings is gone",
            err=True,
        )
    tell_unknown_line(settings, line)


def undiscover(
    config_file: ConfigOption,
    prefix: Annotated[
        str, typer.Option(metavar="PREFIX", help="What mqtt.discovery_prefix was.")
    ] = "homeassistant",
) -> None:
    """Remove this site's announcements to Home Assistant from the broker (mqtt.discovery_prefix).

    Use it after the prefix was unset or changed and the daemon restarted: Home Assistant forgets the
    entities.
    """
    settings = load(config_file)
    if settings.mqtt.enabled and settings.mqtt.discovery_prefix == prefix:
        message = f"mqtt.discovery_prefix is {prefix}: the daemon would announce all again. Unset it, restart"
        raise FeedError(message)
    from callsteward.feed.announcer import take_away

    count = asyncio.run(take_away(settings, prefix))
    typer.echo(f"{count} announcements of {settings.site.name} removed from {prefix}/", err=True)


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{kind} {count}" for kind, count in sorted(counts.items()))


async def _put_in(
    settings: Config, store: Store, asked: ResendSpan, kinds: list[str]
) -> tuple[Counter[str], Counter[str]]:
    from collections import Counter

    from callsteward import features
    from callsteward.feed.resend import resend

    left_out: Counter[str] = Counter()
    known = features.sources()
    done = await resend(
        settings,
        store,
        asked,
        {kind: known[kind] for kind in kinds},
        announce=features.tells(settings).outgoing,
        progress=_progress(),
        left_out=left_out,
    )
    return +done, +left_out


def _progress() -> Callable[[int], None]:
    """Shows the count in one line, if stderr is a terminal."""
    shown = sys.stderr.isatty()

    def tell(count: int) -> None:
        if shown:
            typer.echo(f"\r{count} put into the outbox ", err=True, nl=False)

    return tell


async def _read(settings: Config, store: Store) -> tuple[OutboxSize, list[tuple[str, str, int]], list[Drop]]:
    from callsteward.store.outbox import Outbox

    outbox = Outbox(store.engine, settings.site.name)
    return await outbox.measure(), await outbox.waiting(), await outbox.drops()


def _lasted(seconds: float) -> str:
    """A span in words: 42 s, 13 min, 5 h."""
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"
