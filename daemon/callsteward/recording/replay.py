"""Replay: a recorded ARI stream becomes call records.

The same tracker as in the daemon follows the stream, driven by the stream's own clock alone, so the same
file gives the same records on any machine at any time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from callsteward.ari import events
from callsteward.calls.tracker import Tracker
from callsteward.config import Config
from callsteward.exceptions import MalformedEventError
from callsteward.features import FEATURES
from callsteward.part import Feature
from callsteward.record.call import CallRecord
from callsteward.record.facts import CallEnded, Fact
from callsteward.terminal.printing import Printer
from callsteward.terminal.visible import visible


@dataclass(slots=True)
class ReplayCounts:
    """Counts of a replay. `events` are those of a type that callsteward uses, `unknown` the others."""

    events: int = 0
    unknown: int = 0
    broken: int = 0
    records: int = 0


# The line's number in its stream, from 1, and the mistake in it.
OnBroken = Callable[[int, MalformedEventError], None]


def replay(
    lines: Iterable[bytes],
    config: Config,
    tally: ReplayCounts,
    on_broken: OnBroken,
    *,
    features: Sequence[Feature] = FEATURES,
) -> Iterator[CallRecord]:
    """The record of each call in one stream, in order of ending.

    Calls still open where the stream stops come last, with `complete` false. A line that is no ARI event goes
    to `on_broken` and is skipped, unless that raises. Empty lines are ignored.
    """
    tracker = Tracker(config)
    rehearsals = [
        rehearsal for feature in features if (rehearsal := feature.rehearse(config, tracker)) is not None
    ]
    for number, line in enumerate(lines, start=1):
        if not (frame := line.strip()):
            continue
        try:
            event = events.decode(frame)
        except MalformedEventError as error:
            tally.broken += 1
            on_broken(number, error)
            continue
        if event is None:
            tally.unknown += 1
            continue
        tally.events += 1
        facts: Sequence[Fact] = tracker.handle(event)
        for rehearsal in rehearsals:
            facts = rehearsal.judge(facts)
            rehearsal.hear(event)
        yield from _records(facts, tally)
    facts = tracker.finish()
    for rehearsal in rehearsals:
        facts = rehearsal.judge(facts)
    yield from _records(facts, tally)


def _records(facts: Sequence[Fact], tally: ReplayCounts) -> Iterator[CallRecord]:
    for fact in facts:
        if isinstance(fact, CallEnded):
            tally.records += 1
            yield fact.record


STDIN = Path("-")
# Smaller files are done before a progress bar could be read.
_BAR_FROM_BYTES = 4_000_000


def replay_files(
    files: list[Path], config: Config, out: Printer[CallRecord], *, strict: bool, bar: bool
) -> ReplayCounts:
    """Replay each file as a stream of its own: records go to `out`, broken lines are named on stderr.

    `bar`: how far a large file is read is shown on a terminal. Raises MalformedEventError at the first broken
    line when `strict`.
    """
    tally = ReplayCounts()
    for file in files:
        name = "stdin" if file == STDIN else str(file)

        def broken(number: int, error: MalformedEventError, name: str = name) -> None:
            message = f"{name}:{number}: {error}"
            if strict:
                raise MalformedEventError(message) from error
            typer.echo(visible(message), err=True)

        with ExitStack() as stack:
            source = sys.stdin.buffer if file == STDIN else stack.enter_context(file.open("rb"))
            lines = _with_progress(source, file, stack, wanted=bar)
            for record in replay(lines, config, tally, broken):
                out.write([record])
    return tally


def _with_progress(source: BinaryIO, file: Path, stack: ExitStack, *, wanted: bool) -> Iterable[bytes]:
    """The lines of a file, with a progress bar on stderr if it is large and a terminal is there."""
    if not wanted or not sys.stderr.isatty() or file == STDIN or file.stat().st_size < _BAR_FROM_BYTES:
        return source
    progress = stack.enter_context(
        Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
    )
    task = progress.add_task(file.name, total=file.stat().st_size)

    def counted() -> Iterator[bytes]:
        for line in source:
            progress.advance(task, len(line))
            yield line

    return counted()
