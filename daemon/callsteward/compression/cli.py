"""`callsteward compress`: old records at once, not in the daemon's course."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from callsteward.exceptions import ConfigError
from callsteward.terminal.options import ConfigOption, load

if TYPE_CHECKING:
    from callsteward.compression.compressor import Compressed
    from callsteward.store.records import Store

# As long as a step took: half of the time is for whoever else writes.
_REST = 1.0


def add_to(app: typer.Typer) -> None:
    app.command("compress")(compress)


def compress(config_file: ConfigOption) -> None:
    """Compress the records of earlier versions, beside a running daemon.

    The daemon does it in its course, slowly. This does it at once, in steps that no writer waits for; broken
    off, it goes on where it was. The file does not become smaller: the space is used for calls to come.
    """
    from rich.console import Console
    from rich.progress import Progress

    from callsteward.compression.compressor import Compressor
    from callsteward.store.once import with_store

    settings = load(config_file)
    if not settings.store.compresses:
        message = (
            "store.compress_records is false: set it to true when all daemons of this database are"
            " upgraded, since earlier versions cannot read compressed records"
        )
        raise ConfigError(message)
    stderr = Console(stderr=True)

    async def work(store: Store) -> Compressed:
        with Progress(console=stderr, transient=True, disable=not stderr.is_terminal) as progress:
            task = progress.add_task("records", total=1.0)
            return await Compressor(store.engine, settings.site.name, rest=_REST).work(
                lambda now: progress.update(task, completed=now.share)
            )

    try:
        done = with_store(settings, work)
    except KeyboardInterrupt:
        typer.echo("broken off: the daemon goes on in its course, callsteward compress at once", err=True)
        raise typer.Exit(130) from None
    typer.echo(f"{done.records} records compressed in {done.took_s:.0f} s", err=True)
