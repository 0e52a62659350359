"""Texts on a terminal: how wide it is, a text in a cell, a table of texts."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from callsteward.terminal.visible import visible

WIDE = 120
"""A whole row of call records."""


def console() -> Console:
    """Standard output: a terminal as wide as it is, a pipe wide enough for a whole row."""
    return Console() if sys.stdout.isatty() else Console(width=WIDE)


def cell(text: str) -> Text:
    """A text in a table: what somebody else wrote is no markup, and moves no cursor."""
    return Text(visible(text))


def plain_table(columns: Sequence[str], rows: Iterable[Sequence[str | None]]) -> Table:
    """Texts under their headings; nothing is cut off, and what has no text is a dash."""
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(cell(text or "-") for text in row))
    return table
