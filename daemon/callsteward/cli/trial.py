"""`callsteward check` and `demo`: is this installation whole, and what would it show."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from callsteward.exceptions import CallstewardError
from callsteward.terminal.options import ConfigOption, PlainOutputOption
from callsteward.terminal.printing import as_table


def add_to(app: typer.Typer) -> None:
    app.command("check")(check)
    app.command("demo")(demo)


def check(config_file: ConfigOption, output: PlainOutputOption = None) -> None:
    """Prove the installation: configuration, Asterisk, dialplan, broker, store.

    One line per check, with how to mend what failed. Exit code 1 if any check failed; a warning fails
    nothing. Safe beside a running daemon and on a busy PBX: it reads, and writes one MQTT test message.
    """
    from rich.console import Console

    from callsteward import check as checks

    for_people = as_table(output)
    console = Console()

    async def follow() -> bool:
        failed = False
        async for result in checks.run(config_file):
            failed |= result.status is checks.Status.FAILED
            if for_people:
                checks.print_result(result, console)
            else:
                typer.echo(checks.encode(result))
        return failed

    if asyncio.run(follow()):
        raise typer.Exit(1)


def demo(
    speed: Annotated[
        float, typer.Option(metavar="TIMES", min=1, max=20, help="How much faster than life the calls go.")
    ] = 1,
    output: PlainOutputOption = None,
) -> None:
    """Nine recorded calls through the real daemon: no Asterisk and no broker needed.

    Plays shipped captures of a real Asterisk through an in-process ARI server into the daemon, which
    publishes to an in-process MQTT broker, where this command subscribes like any dashboard. The table is
    live.
    """
    try:
        from callsteward.demo import show
    except ModuleNotFoundError as error:
        message = f"the demo needs {error.name}: pip install 'callsteward[demo]'"
        raise CallstewardError(message) from error
    asyncio.run(show.run(speed=speed, as_table=as_table(output)))
