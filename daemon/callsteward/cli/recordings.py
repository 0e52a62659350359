"""`callsteward record` and `replay`: a PBX's ARI stream into a file, and from a file into call records."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from callsteward.cli.process import for_daemon, stop_on_signals
from callsteward.terminal.groups import renamed
from callsteward.terminal.options import (
    ConfigOption,
    ExcelOption,
    FileOption,
    OptionalConfigOption,
    OutputOption,
    load,
)
from callsteward.terminal.printing import Form, on_a_terminal, printer, wanted
from callsteward.terminal.wrong import wrong


def add_to(app: typer.Typer) -> None:
    app.command("record", cls=renamed({"--output": "", "-o": ""}))(record)
    app.command("replay")(replay)


def record(
    output: Annotated[
        Path, typer.Argument(metavar="FILE", help="Where the events go; appended to if it exists.")
    ],
    config_file: ConfigOption,
    for_seconds: Annotated[
        float | None, typer.Option("--for", metavar="SECONDS", min=0.1, help="Default: until Ctrl-C.")
    ] = None,
) -> None:
    """Record a live PBX's ARI stream to a file, for `replay`.

    Runs beside the daemon under an ARI application name of its own and publishes nothing. The file holds
    callers' numbers as Asterisk sent them: keep it as you keep those.
    """
    settings = for_daemon(config_file)
    from callsteward.recording import recording

    async def follow() -> int:
        return await recording.record(settings, output, stop_on_signals(), for_seconds)

    typer.echo(f"recording to {output}" + ("" if for_seconds else " until Ctrl-C"), err=True)
    typer.echo(f"{asyncio.run(follow())} lines written to {output}", err=True)


def _readable(files: list[Path]) -> list[Path]:
    for file in files:
        if str(file) != "-" and not (file.is_file() or file.is_fifo()):
            wrong(f"{file}: no such file", "FILE")
    return files


def replay(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE",
            help="One ARI event per line as Asterisk sent it; - reads standard input.",
            callback=_readable,
        ),
    ],
    config_file: OptionalConfigOption = None,
    output: OutputOption = None,
    file: FileOption = None,
    excel: ExcelOption = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop with exit code 1 at the first broken line.")
    ] = False,
) -> None:
    """Turn recorded ARI streams into call records.

    Each FILE is a stream of its own. With jsonl, stdout has one record per call in order of ending and
    nothing else; broken lines are named on stderr as FILE:LINE and skipped.

    The records are those the daemon made. With callbacks on, so is the decision, as far as the stream tells:
    number guard, hours, limits, who called again or was spoken to. The do-not-call list, imported zones, an
    admin's cancel and callbacks from before the stream stand in the database alone and are not asked.
    """
    from callsteward.recording.replay import replay_files
    from callsteward.terminal.tables import records_listing

    settings = load(config_file, warn=lambda message: typer.echo(f"warning: {message}", err=True))
    asked = wanted(output, file, excel=excel)
    zone = settings.site.zone
    # Records that run over a terminal would write over the bar.
    bar = asked.form is Form.TABLE or asked.file is not None or not on_a_terminal()
    with printer(records_listing(zone), asked, zone) as out:
        tally = replay_files(files, settings, out, strict=strict, bar=bar)
    typer.echo(
        f"records: {tally.records}, events: {tally.events}, of other types: {tally.unknown},"
        f" broken lines: {tally.broken}",
        err=True,
    )
