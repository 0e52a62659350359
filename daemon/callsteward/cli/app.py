"""The command line. Results go to stdout, everything else to stderr.

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration. What a command needs is imported inside it,
so that `--help` and a wrong option answer at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from callsteward import __version__, config
from callsteward.cli import callbacks as cli_callbacks
from callsteward.cli import dnc as cli_dnc
from callsteward.cli import feed as cli_feed
from callsteward.cli import lost as cli_lost
from callsteward.cli import ratings as cli_ratings
from callsteward.cli import report as cli_report
from callsteward.cli import status as cli_status
from callsteward.cli import tags as cli_tags
from callsteward.cli import zones as cli_zones
from callsteward.config.secret_words import masked
from callsteward.daemon import crash, logs
from callsteward.exceptions import CallstewardError
from callsteward.record.call import CallRecord, Outcome, encode
from callsteward.terminal.options import (
    ConfigOption,
    ExcelOption,
    Form,
    ListForm,
    OptionalConfigOption,
    StartedFromOption,
    StartedToOption,
    as_excel,
    chosen,
    span,
    tell_unknown_line,
    wrong,
)
from callsteward.terminal.visible import visible, visible_lines

if TYPE_CHECKING:
    from callsteward.store.records import CallQuery


class _InWords(TyperGroup):
    """What typer makes of a wrong choice without the words of the library beneath it."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = error.message.removeprefix("Value error, ")
            raise


app = typer.Typer(
    name="callsteward",
    cls=_InWords,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="Follows every call of an Asterisk hotline, holds it against the service standard and"
    " publishes its record over MQTT.",
    epilog="Start with [bold]callsteward demo[/] (needs nothing), then [bold]callsteward check -c FILE[/]"
    " beside your PBX, then [bold]callsteward run -c FILE[/]. [bold]callsteward status[/] says how it does.",
)

# 128 + SIGPIPE: what a tool returns whose reader (head, less) went away.
_READER_GONE = 141
# Stored records that cannot be read and are named one by one.
_NAMED = 5

app.add_typer(cli_callbacks.callbacks, name="callbacks")
app.add_typer(cli_dnc.dnc, name="dnc")
app.add_typer(cli_lost.lost, name="lost")
app.add_typer(cli_zones.zones, name="zones")
app.command("status")(cli_status.status)
app.command("tags")(cli_tags.tags)
app.add_typer(cli_feed.feed, name="feed")
app.command()(cli_feed.schema)
app.add_typer(cli_report.report, name="report")
app.add_typer(cli_ratings.complaints, name="complaints")
app.command("prompts")(cli_ratings.prompts)


def main() -> NoReturn:
    """The `callsteward` command."""
    crash.tell_scrubbed()
    try:
        app()
    except CallstewardError as error:
        typer.echo(visible_lines(f"callsteward: {masked(str(error))}"), err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # Nobody reads on: say nothing, and let the interpreter's last flush go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(_READER_GONE)
    except OSError as error:
        if error.filename is None:
            sys.stderr.write(visible_lines(crash.report(error)))
        else:  # a file or folder that a command was given
            typer.echo(f"callsteward: {error.filename}: {error.strerror}", err=True)
        sys.exit(1)
    except Exception as error:  # noqa: BLE001  # a fault of ours: Python's own report would tell numbers
        sys.stderr.write(visible_lines(crash.report(error)))
        sys.exit(1)
    finally:
        _name_unreadable()
    sys.exit(0)


def _name_unreadable() -> None:
    """Stored records that a command had to leave out; the daemon has them in its log."""
    stored = sys.modules.get("callsteward.store.stored")
    if stored is None or logging.getLogger().handlers:
        return
    for call_id, why in list(stored.UNREADABLE.calls.items())[:_NAMED]:
        told = f"warning: the stored record of call {call_id} cannot be read and is left out: {why}"
        typer.echo(visible(told), err=True)
    if stored.UNREADABLE.count > _NAMED:
        typer.echo(f"warning: and {stored.UNREADABLE.count - _NAMED} more", err=True)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"callsteward {__version__}")
        raise typer.Exit


def _readable(files: list[Path]) -> list[Path]:
    for file in files:
        if str(file) != "-" and not (file.is_file() or file.is_fifo()):
            wrong(f"{file}: no such file", "FILE")
    return files


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


@app.command()
def run(
    config_file: ConfigOption,
    record_file: Annotated[
        Path | None,
        typer.Option("--record", metavar="FILE", help="Also append every event to FILE, for `replay`."),
    ] = None,
) -> None:
    """The daemon: follow calls, store and publish their records until SIGTERM or Ctrl-C.

    SIGHUP reads the configuration anew: lines, profiles, operators and the log's level count at once, the
    log and the topic `status` say what needs a restart; a wrong one changes nothing.
    """
    settings = _for_daemon(config_file, threaded=True)
    from callsteward.ari.recorder import Recorder
    from callsteward.daemon import last_resort
    from callsteward.daemon.app import Daemon

    async def follow() -> None:
        stop = _stop_on_signals(then=last_resort.end_within)
        with contextlib.ExitStack() as stack:
            recorder = None if record_file is None else stack.enter_context(Recorder(record_file))
            daemon = Daemon(settings, recorder=recorder, load=lambda: config.load(config_file, daemon=True))
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, daemon.hang_up.set)
            await daemon.run(stop)

    asyncio.run(follow())


@app.command()
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
    output: Annotated[
        Form | None, typer.Option(help="Default: a table on a terminal, jsonl in a pipe.")
    ] = None,
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

    settings = config.load(config_file, warn=lambda message: typer.echo(f"warning: {message}", err=True))
    replay_files(files, settings, as_table=chosen(output) is Form.TABLE, strict=strict)


@app.command()
def record(
    config_file: ConfigOption,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE", help="Where the events go; appended to if it exists."),
    ],
    for_seconds: Annotated[
        float | None, typer.Option("--for", metavar="SECONDS", min=0.1, help="Default: until Ctrl-C.")
    ] = None,
) -> None:
    """Record a live PBX's ARI stream to a file, for `replay`.

    Runs beside the daemon under an ARI application name of its own and publishes nothing. The file holds
    callers' numbers as Asterisk sent them: keep it as you keep those.
    """
    settings = _for_daemon(config_file)
    from callsteward.recording import recording

    async def follow() -> int:
        return await recording.record(settings, output, _stop_on_signals(), for_seconds)

    typer.echo(f"recording to {output}" + ("" if for_seconds else " until Ctrl-C"), err=True)
    typer.echo(f"{asyncio.run(follow())} lines written to {output}", err=True)


@app.command()
def calls(
    config_file: ConfigOption,
    line: Annotated[str | None, typer.Option(help="Only this line's calls.")] = None,
    from_: StartedFromOption = None,
    to: StartedToOption = None,
    outcome: Annotated[Outcome | None, typer.Option(help="Only calls that ended so.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="At most so many, counted from the oldest.")
    ] = None,
    output: Annotated[
        ListForm | None, typer.Option(help="Default: a table on a terminal, jsonl in a pipe.")
    ] = None,
    excel: ExcelOption = False,
) -> None:
    """List stored calls, oldest first."""
    settings = config.load(config_file)
    form = as_excel(output, ListForm.CSV, excel=excel) or ListForm(chosen(None))
    from callsteward.store.records import CallQuery

    from_ms, to_ms = span(from_, to, settings.site.zone)
    tell_unknown_line(settings, line)
    query = CallQuery(line=line, from_ms=from_ms, to_ms=to_ms, outcome=outcome, limit=limit)
    asyncio.run(_print_calls(settings, query, form, excel=excel))


@app.command()
def check(
    config_file: ConfigOption,
    output: Annotated[
        Form | None, typer.Option(help="Default: a table on a terminal, jsonl in a pipe.")
    ] = None,
) -> None:
    """Prove the installation: configuration, Asterisk, dialplan, broker, store.

    One line per check, with how to mend what failed. Exit code 1 if any check failed; a warning fails
    nothing. Safe beside a running daemon and on a busy PBX: it reads, and writes one MQTT test message.
    """
    from rich.console import Console

    from callsteward import check as checks

    as_table = chosen(output) is Form.TABLE
    console = Console()

    async def follow() -> bool:
        failed = False
        async for result in checks.run(config_file):
            failed |= result.status is checks.Status.FAILED
            if as_table:
                checks.print_result(result, console)
            else:
                typer.echo(checks.encode(result))
        return failed

    if asyncio.run(follow()):
        raise typer.Exit(1)


@app.command()
def demo(
    speed: Annotated[
        float, typer.Option(min=1, max=20, help="How many times faster than life the calls go.")
    ] = 1,
    output: Annotated[
        Form | None, typer.Option(help="Default: a live table on a terminal, jsonl in a pipe.")
    ] = None,
) -> None:
    """Nine recorded calls through the real daemon: no Asterisk and no broker needed.

    Plays shipped captures of a real Asterisk through an in-process ARI server into the daemon, which
    publishes to an in-process MQTT broker, where this command subscribes like any dashboard.
    """
    try:
        from callsteward.demo import show
    except ModuleNotFoundError as error:
        message = f"the demo needs {error.name}: pip install 'callsteward[demo]'"
        raise CallstewardError(message) from error
    asyncio.run(show.run(speed=speed, as_table=chosen(output) is Form.TABLE))


@app.command("config-schema")
def config_schema() -> None:
    """Print the JSON Schema of the configuration file, for editors and validators."""
    import json

    typer.echo(json.dumps(config.Config.model_json_schema(), indent=2, ensure_ascii=False))


def _for_daemon(config_file: Path, *, threaded: bool = False) -> config.Config:
    """The configuration with its secrets readable and logging set up."""
    settings = config.load(config_file, daemon=True)
    logs.set_up(settings.log, threaded=threaded)
    return settings


def _stop_on_signals(then: Callable[[], object] | None = None) -> asyncio.Event:
    """An event that SIGTERM and Ctrl-C set; call it inside the running loop. `then` follows the first."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if not stop.is_set() and then is not None:
            then()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    return stop


async def _print_calls(settings: config.Config, query: CallQuery, form: ListForm, *, excel: bool) -> None:
    import msgspec

    from callsteward.reports import report as reporting
    from callsteward.store.records import Store
    from callsteward.tags.book import TagBook
    from callsteward.terminal import tables

    found: list[CallRecord] = []
    store = await Store.open(settings.store.url, create=False)
    try:
        to_csv = None
        if form is ListForm.CSV:
            to_csv = reporting.Csv(
                sys.stdout.buffer, tables.CSV_COLUMNS, excel=settings.site.zone if excel else None
            )
        async for record in store.calls(query):
            if form is ListForm.JSONL:
                sys.stdout.buffer.write(encode(record) + b"\n")
            elif to_csv is not None:
                to_csv.write([tables.flat(record)])
            else:
                found.append(record)
        # A table is for people: it has what was decided after the record was made.
        later = await TagBook(store.engine, settings.site.name).decided_later(
            [item.call_id for item in found]
        )
        found = [
            msgspec.structs.replace(item, callback=later.get(item.call_id, item.callback)) for item in found
        ]
    finally:
        await store.close()
    sys.stdout.flush()
    if form is ListForm.TABLE:
        console = tables.console()
        console.print(tables.records_table(found, settings.site.zone, width=console.width))
        typer.echo(f"calls: {len(found)} ({tables.outcomes(found)})" if found else "no such calls", err=True)
