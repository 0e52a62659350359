"""Plays runs, several at a time, each worker on a PBX of its own."""

from __future__ import annotations

import queue
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import asyncpg
import msgspec

from tests.chaos import result as results
from tests.chaos.callback import play_callback
from tests.chaos.cells import OF_THE_DATABASE, Cell
from tests.chaos.field import Field
from tests.chaos.plan import AnyCell, Run
from tests.chaos.rating_cells import RatingCell
from tests.chaos.rating_play import play_rating
from tests.chaos.record_cells import Connect
from tests.chaos.record_play import play_records
from tests.chaos.result import Result
from tests.lab.errors import LabError
from tests.lab.roots import ensure_root

MORE_TRIES = 2


def play_all(
    runs: Sequence[Run],
    folder: Path,
    *,
    workers: int,
    on_result: Callable[[Result], None] = lambda _: None,
    keep: bool = False,
    postgresql: bool = False,
) -> list[Result]:
    """Play the runs, several at a time; results in the order of the runs.

    `postgresql`: the daemons' databases are on PostgreSQL servers.

    A run whose phones fail on a busy machine is played again. Raises LabError if no PBX can be started.
    """
    ensure_root("22")
    waiting: queue.SimpleQueue[Run] = queue.SimpleQueue()
    # Those that need the same field one after the other.
    for run in sorted(runs, key=lambda run: _needs(run.cell, postgresql=postgresql)):
        waiting.put(run)
    done: list[Result] = []
    failed: list[BaseException] = []

    def work(place: int) -> None:
        try:
            _work(waiting, folder / f"worker-{place}", failed, told, keep=keep, postgresql=postgresql)
        except BaseException as error:  # noqa: BLE001 - raised again by who waits for the workers
            failed.append(error)

    def told(result: Result) -> None:
        done.append(result)
        on_result(result)

    threads = [
        threading.Thread(target=work, args=(place,), name=f"worker {place}", daemon=True)
        for place in range(min(workers, len(runs)))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return sorted(done, key=lambda result: result.number)


def _needs(cell: AnyCell, *, postgresql: bool) -> tuple[bool, str, bool]:
    """The kind of field that a run needs: with a broker, which side dials, and with PostgreSQL."""
    if isinstance(cell, Cell):
        return (False, Connect.CLIENT.value, postgresql or cell.fault in OF_THE_DATABASE)
    if isinstance(cell, RatingCell):
        return (False, Connect.CLIENT.value, postgresql)
    return (True, cell.connect.value, postgresql)


def _work(
    waiting: queue.SimpleQueue[Run],
    folder: Path,
    failed: Sequence[BaseException],
    told: Callable[[Result], None],
    *,
    keep: bool,
    postgresql: bool,
) -> None:
    has: tuple[bool, str, bool] | None = None
    field: Field | None = None
    with ExitStack() as stack:
        while not failed:
            try:
                run = waiting.get_nowait()
            except queue.Empty:
                return
            needs = _needs(run.cell, postgresql=postgresql)
            if field is None or needs != has:
                stack.close()
                broker, connect, server = needs
                field = Field(folder, connect=Connect(connect), broker=broker, postgresql=server)
                has = needs
                stack.enter_context(field)
            for _ in range(1 + MORE_TRIES):
                result = _play(field, run, keep=keep)
                if not result.trouble:
                    break
            told(result)


def _play(field: Field, run: Run, *, keep: bool) -> Result:
    """One run; what went wrong with its phones or its PBX stands in `trouble`."""
    began = time.monotonic()
    folder = field.folder / f"run-{run.number}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    result = results.of(run)
    try:
        field.tidy()
        if isinstance(run.cell, Cell):
            changes = play_callback(field, run.cell, run.seed, folder)
        elif isinstance(run.cell, RatingCell):
            changes = play_rating(field, run.cell, run.seed, folder)
        else:
            changes = play_records(field, run.cell, run.seed, folder)
    except (LabError, AssertionError, OSError, sqlite3.Error, asyncpg.PostgresError) as error:
        changes = {"trouble": f"{type(error).__name__}: {error}"}
    if keep or changes.get("breach") or changes.get("trouble"):
        changes["evidence"] = str(folder)
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return msgspec.structs.replace(result, seconds=round(time.monotonic() - began, 1), **changes)
