"""The display of a demo: call records as they arrive."""

from __future__ import annotations

import sys
import time
from datetime import tzinfo
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from callsteward.record.call import CallRecord, encode
from callsteward.terminal import tables


class Screen:
    """A live table on a terminal, a line per record elsewhere, JSON lines on demand.

    Context manager. With JSON lines everything but records goes to stderr, so that stdout holds records
    alone.
    """

    def __init__(self, title: str, zone: tzinfo, *, jsonl: bool = False) -> None:
        self.records: list[CallRecord] = []
        self._title = title
        self._zone = zone
        self._jsonl = jsonl
        self._console = Console(stderr=jsonl, highlight=False)
        self._began = time.monotonic()
        self._status = ""
        self._live = (
            Live(get_renderable=self._picture, console=self._console, refresh_per_second=4)
            if self._console.is_terminal and not jsonl
            else None
        )

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._status = ""
        if self._live is not None:
            self._live.stop()

    def add(self, record: CallRecord) -> None:
        """Show a record."""
        self.records.append(record)
        if self._jsonl:
            sys.stdout.buffer.write(encode(record) + b"\n")
            sys.stdout.buffer.flush()
        elif self._live is None:
            self.say(tables.plain_line(record, self._zone))

    def status(self, text: str) -> None:
        """Show the present activity under the live table, and nowhere else."""
        self._status = text

    def say(self, text: str) -> None:
        """Print a line that stays."""
        self._console.print(Text(text), soft_wrap=True)

    def _picture(self) -> RenderableType:
        table = tables.records_table(self.records, self._zone, self._title, width=self._console.width)
        if not self._status:
            return table
        elapsed = f"{time.monotonic() - self._began:3.0f} s  "
        return Group(table, Text(elapsed + self._status, style="dim"))
