"""`callsteward standby`: which of a site's two daemons acts, and a planned switch."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import typer

from callsteward.exceptions import CallstewardError
from callsteward.terminal.options import ConfigOption, PlainOutputOption, before_command, load
from callsteward.terminal.printing import print_thing

if TYPE_CHECKING:
    from rich.console import Console

    from callsteward.standby.both import Both
    from callsteward.store.records import Store

SWITCHED_WITHIN_S = 15.0
_LOOK_S = 0.1


def add_to(app: typer.Typer) -> None:
    standby = typer.Typer(
        invoke_without_command=True, help="Show which of a site's two daemons acts; switch to the other one."
    )
    standby.callback()(show)
    standby.command("switch")(switch)
    app.add_typer(standby, name="standby")


def show(context: typer.Context, config_file: ConfigOption, output: PlainOutputOption = None) -> None:
    """Show which of a site's two daemons acts, and whether the other one could.

    Exit code 1 if none acts, or none could take over.
    """
    if before_command(context):
        return
    settings = load(config_file)
    from callsteward.standby.both import both, refuse_alone
    from callsteward.store.once import with_store

    refuse_alone(settings.standby.instance)
    found = with_store(settings, lambda store: both(store.engine, settings.site.name))
    print_thing(output, lambda: found, lambda console: _print(found, console))
    if found.problems:
        raise typer.Exit(1)


def _print(found: Both, console: Console) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    for one in found.daemons:
        table.add_row(Text(one.instance, "bold"), Text(f"on {one.host}"), Text(one.state))
    console.print(table)
    for problem in found.problems:
        console.print(Text(f"! {problem}", "bold red"))


def switch(config_file: ConfigOption) -> None:
    """Have the daemon that acts hand its site over to the one that stands by, and wait for it.

    It ends, and whoever started it (systemd) starts it again to stand by. Refused while the other one is not
    ready.
    """
    settings = load(config_file)
    from callsteward.standby.both import ask_to_switch, both, refuse_alone
    from callsteward.store.once import with_store

    refuse_alone(settings.standby.instance)
    site = settings.site.name

    async def work(store: Store) -> str:
        before = await both(store.engine, site)
        if before.acting is None or before.ready is None:
            message = f"nothing is switched: {'; '.join(before.problems)}"
            raise CallstewardError(message)
        began_s = time.monotonic()
        await ask_to_switch(store.engine, site)
        while time.monotonic() - began_s < SWITCHED_WITHIN_S:
            now = await both(store.engine, site)
            if now.fence > before.fence and now.acting is not None:
                took_s = time.monotonic() - began_s
                return f"{now.acting.instance} (on {now.acting.host}) acts, after {took_s:.1f} s"
            await asyncio.sleep(_LOOK_S)
        message = (
            f"{before.acting.instance} (on {before.acting.host}) was asked, and still acts"
            f" {SWITCHED_WITHIN_S:.0f} s later: its log says why"
        )
        raise CallstewardError(message)

    typer.echo(with_store(settings, work), err=True)
