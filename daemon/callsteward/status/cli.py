"""`callsteward status`: what the daemon, its links, its outbox and its open work are doing now."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import typer

from callsteward.terminal.options import ConfigOption, PlainOutputOption, load
from callsteward.terminal.printing import print_thing

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from rich.console import Console

    from callsteward.status.report import Broker, Report


def add_to(app: typer.Typer) -> None:
    app.command("status")(status)


def status(config_file: ConfigOption, output: PlainOutputOption = None) -> None:
    """Show what the daemon is doing now: its links, its outbox, its open work.

    Asked of the daemon itself, over a local socket in its state folder; for root and the daemon's own user.
    Exit code 1 if anything is wrong or no daemon runs.
    """
    settings = load(config_file)
    from callsteward.status.report import not_running
    from callsteward.status.socket import NotRunningError, ask, socket_path

    path = socket_path(settings)
    assert path is not None  # load() refuses a database in memory
    try:
        found = ask(path)
    except NotRunningError as error:
        found = not_running(settings.site.name, str(error))
    print_thing(output, lambda: found, lambda console: _print(found, settings.site.zone, console))
    if found.problems:
        raise typer.Exit(1)


def _print(found: Report, zone: ZoneInfo, console: Console) -> None:
    from rich.table import Table
    from rich.text import Text

    if found.running:
        table = Table.grid(padding=(0, 2, 0, 0))
        for name, value, well in _rows(found, zone):
            table.add_row(Text(name, "bold"), Text(value, "" if well else "red"))
        console.print(table)
    for problem in found.problems:
        console.print(Text(f"! {problem}", "bold red"))
    if found.running and not found.problems:
        console.print(Text("all is well", "green"))


def _rows(found: Report, zone: ZoneInfo) -> list[tuple[str, str, bool]]:
    """Name, value, and whether it is as it should be."""
    assert found.asterisk is not None
    assert found.broker is not None
    assert found.health is not None
    since = datetime.fromisoformat(found.started_at or "").astimezone(zone)
    up = timedelta(seconds=round(found.uptime_s or 0))
    health = found.health
    return [
        ("daemon", f"{found.version}, site {found.site}, process {found.pid}", True),
        *_pair(found),
        ("running", f"since {since:%Y-%m-%d %H:%M:%S} ({up})", True),
        ("Asterisk", _linked(found.asterisk.connected), found.asterisk.connected),
        (
            "broker",
            _broker(found.broker) if health.role != "stands_by" else "not needed while it stands by",
            found.broker.connected or not found.broker.enabled or health.role == "stands_by",
        ),
        ("outbox", _outbox(found.broker, zone), True),
        (
            "store",
            f"{found.store}; journal {(found.journal_bytes or 0) / 1024:,.0f} KiB",
            health.disk == "working",
        ),
        (
            "calls",
            f"{found.open_calls} open; {found.frames_waiting} events wait, {found.event_lag_s:.3f} s behind",
            True,
        ),
        *((name, _counts(of), True) for name, of in (found.work or {}).items()),
        ("since the start", _since_the_start(found), True),
    ]


def _pair(found: Report) -> list[tuple[str, str, bool]]:
    """A site's two daemons; nothing where it has one."""
    health = found.health
    if health is None or health.role == "alone":
        return []
    does = "acts" if health.role == "acts" else "stands by"
    other = "could take over" if health.standby == "ready" else health.standby_detail
    who = "this one" if health.role == "stands_by" else "the other one"
    return [("standby", f"{health.instance} {does}; {who}: {other}", health.standby == "ready")]


def _linked(connected: bool) -> str:
    return "connected" if connected else "not connected"


def _broker(broker: Broker) -> str:
    if not broker.enabled:
        return "off (mqtt.enabled = false)"
    dropped = sum(broker.dropped.values())
    return (
        ("connected" if broker.connected else "not connected")
        + f"; {broker.waiting:,} messages wait"
        + (f", {dropped:,} were given up" if dropped else "")
    )


def _outbox(broker: Broker, zone: ZoneInfo) -> str:
    outbox = broker.outbox
    if outbox is None:
        return "none"
    said = f"{outbox.messages:,} messages, {outbox.bytes / 1024:,.0f} of {outbox.limit_bytes / 1024:,.0f} KiB"
    if outbox.oldest_at is None:
        return said
    oldest = datetime.fromisoformat(outbox.oldest_at).astimezone(zone)
    return f"{said}; the oldest from {oldest:%Y-%m-%d %H:%M:%S}"


def _counts(counts: dict[str, int] | object) -> str:
    assert isinstance(counts, dict)
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()) if count) or "none open"


def _since_the_start(found: Report) -> str:
    health = found.health
    assert health is not None
    counts = {
        "connections to Asterisk lost": health.disconnects,
        "passwords refused": health.refused,
        "events left out": health.frames_shed,
        "broken events": health.malformed,
        "clock steps": health.clock_steps,
    }
    return ", ".join(f"{count:,} {name}" for name, count in counts.items() if count) or "nothing went wrong"
