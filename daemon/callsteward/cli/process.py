"""Shared by the commands that follow a PBX: a configuration with its secrets, and an end by a signal."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from callsteward.terminal.options import load

if TYPE_CHECKING:
    from callsteward.config import Config


def for_daemon(config_file: Path, *, threaded: bool = False) -> Config:
    """The configuration with its secrets readable and logging set up."""
    from callsteward.daemon import logs

    settings = load(config_file, daemon=True)
    logs.set_up(settings.log, threaded=threaded)
    return settings


def stop_on_signals(then: Callable[[], object] | None = None) -> asyncio.Event:
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
