"""`callsteward operators`: who is free, talking, paused or not there, at this moment."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from callsteward.exceptions import CallstewardError
from callsteward.terminal.files import Holds
from callsteward.terminal.options import ConfigOption, ExcelOption, FileOption, OutputOption, load
from callsteward.terminal.printing import Form, Listing, on_a_terminal, print_rows, wanted
from callsteward.terminal.wrong import wrong

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.table import Table

    from callsteward.config import Config
    from callsteward.status.report import OperatorStands
    from callsteward.terminal.files import Cells

EVERY_S = 1.0
# Of csv, xlsx and parquet: a contract, new ones go to the end.
_COLUMNS = {
    **dict.fromkeys(("operator", "name", "status"), Holds.TEXT),
    "for_s": Holds.NUMBER,
    **dict.fromkeys(("line", "pause_reason"), Holds.TEXT),
}
_STYLES = {
    "free": "green",
    "ringing": "yellow",
    "talking": "cyan",
    "on_hold": "cyan",
    "wrap_up": "yellow",
    "paused": "magenta",
    "away": "magenta",
    "unreachable": "red",
    "unknown": "dim",
}


def add_to(app: typer.Typer) -> None:
    app.command("operators")(operators)


def operators(
    config_file: ConfigOption,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on and show every change, until Ctrl-C; on a terminal.")
    ] = False,
    output: OutputOption = None,
    file: FileOption = None,
    excel: ExcelOption = False,
) -> None:
    """Show the operators as they are now: free, ringing, talking, paused and so on, and for how long.

    Asked of the daemon itself, over a local socket in its state folder; for root and the daemon's own user.
    """
    settings = load(config_file)
    asked = wanted(output, file, excel=excel)
    from callsteward.status.socket import socket_path

    path = socket_path(settings)
    assert path is not None  # load() refuses a database in memory
    if watch:
        if asked.form is not Form.TABLE or not on_a_terminal():
            wrong("it is for a terminal: `operators/+/now` over MQTT tells a program each change", "--watch")
        _watch(path, settings)
        return
    listing: Listing[OperatorStands] = Listing(
        _COLUMNS, lambda one: _cells(one, settings), lambda rows, _width: _table(rows, settings)
    )
    print_rows(_asked(path), listing, asked, settings.site.zone, what="operators")


def _asked(path: Path) -> list[OperatorStands]:
    from callsteward.status.socket import ask

    return ask(path).operators


def _watch(path: Path, settings: Config) -> None:
    """Show the table over and over. A daemon that is restarted meanwhile is waited for."""
    from rich.live import Live
    from rich.text import Text

    from callsteward.terminal import plain

    with Live(console=plain.console(), auto_refresh=False) as live:
        try:
            while True:
                try:
                    live.update(_table(_asked(path), settings), refresh=True)
                except CallstewardError as error:
                    live.update(Text(str(error), "red"), refresh=True)
                time.sleep(EVERY_S)
        except KeyboardInterrupt:
            return


def _cells(one: OperatorStands, settings: Config) -> Cells:
    known = settings.operators.get(one.operator)
    return {
        "operator": one.operator,
        "name": None if known is None else known.name or None,
        "status": one.status.value,
        "for_s": one.for_s,
        "line": one.line,
        "pause_reason": one.pause_reason,
    }


def _table(found: Sequence[OperatorStands], settings: Config) -> Table:
    from rich.text import Text

    from callsteward.terminal.plain import cell, plain_table

    table = plain_table(("operator", "name", "status", "for", "line", "reason"), ())
    for one in found:
        cells = _cells(one, settings)
        table.add_row(
            *(cell(str(cells[name] or "-")) for name in ("operator", "name")),
            Text(one.status.value.replace("_", " "), _STYLES[one.status.value]),
            Text(_clock(one.for_s)),
            *(cell(str(cells[name] or "-")) for name in ("line", "pause_reason")),
        )
    return table


def _clock(seconds: float | None) -> str:
    """Minutes and seconds, 4:05, or hours, 2:04:05."""
    if seconds is None:
        return "-"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
