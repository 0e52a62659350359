"""`callsteward run`: the daemon."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from pathlib import Path
from typing import Annotated

import typer

from callsteward.cli.process import for_daemon, stop_on_signals
from callsteward.terminal.options import ConfigOption, load


def add_to(app: typer.Typer) -> None:
    app.command("run")(run)


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
    settings = for_daemon(config_file, threaded=True)
    from callsteward.ari.recorder import Recorder
    from callsteward.daemon import last_resort
    from callsteward.daemon.app import Daemon

    async def follow() -> None:
        stop = stop_on_signals(then=last_resort.end_within)
        with contextlib.ExitStack() as stack:
            recorder = None if record_file is None else stack.enter_context(Recorder(record_file))
            daemon = Daemon(settings, recorder=recorder, load=lambda: load(config_file, daemon=True))
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, daemon.hang_up.set)
            await daemon.run(stop)

    asyncio.run(follow())
