"""`make chaos`: faults in every phase of a callback, on real Asterisks with real phones.

Each run is one call whose connection breaks in mid-dialogue, one fault, and the callback that follows. The
client's phone counts the INVITEs it receives: exactly one, or none with the ledger saying why. Exit code 1 if
one run was otherwise, 2 where runs could not be played.
"""

from __future__ import annotations

import argparse
import queue
import secrets
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tests.chaos import table
from tests.chaos.callback import Field, Result, play
from tests.chaos.cells import Run, chosen, every_cell, plan
from tests.lab.errors import LabError
from tests.lab.roots import ensure_root, say

MORE_TRIES = 2


def play_all(
    runs: Sequence[Run],
    folder: Path,
    *,
    workers: int,
    on_result: Callable[[Result], None] = lambda _: None,
    keep: bool = False,
) -> list[Result]:
    """Play the runs, so many at a time; results in the order of the runs.

    One whose phones trip over a busy machine is played again. Raises LabError where no PBX can be started.
    """
    waiting: queue.SimpleQueue[Run] = queue.SimpleQueue()
    for run in runs:
        waiting.put(run)
    results: list[Result] = []
    failed: list[BaseException] = []

    def work(place: int) -> None:
        try:
            with Field(folder / f"worker-{place}") as field:
                while not failed:
                    run = waiting.get_nowait()
                    for _ in range(1 + MORE_TRIES):
                        result = play(field, run, keep=keep)
                        if not result.trouble:
                            break
                    results.append(result)
                    on_result(result)
        except queue.Empty:
            return
        except BaseException as error:  # noqa: BLE001 - raised again by who waits for the workers
            failed.append(error)

    ensure_root("22")
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
    return sorted(results, key=lambda result: result.number)


def _shown(runs: Sequence[Run], folder: Path, workers: int, console: Console, *, keep: bool) -> list[Result]:
    """Played, with progress on the terminal and a line for each run that went wrong."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[last]}"),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("chaos", total=len(runs), last="")

        def told(result: Result) -> None:
            last = f"{result.fault}, {result.phase}: {result.invites} INVITE, {result.ended}"
            progress.update(task, advance=1, last=last)
            wrong = result.breach or result.trouble
            if wrong:
                seen = "" if result.trouble else f" ({result.invites} INVITE, {result.ended})"
                progress.print(f"{result.fault}, {result.phase}, {result.scene}: {wrong}{seen}")
                progress.print(f"  evidence: {result.evidence}")
            elif not console.is_terminal:
                progress.print(f"[{result.number}] {result.scene}: {last} ({result.seconds} s)", markup=False)

        return play_all(runs, folder, workers=workers, on_result=told, keep=keep)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--runs", type=int, default=0, metavar="N", help="how many (default: each cell once)")
    parser.add_argument("--only", action="append", default=[], metavar="TEXT", help="cells with these words")
    parser.add_argument("--seed", type=int, default=None, help="of the order and of each fault's time")
    parser.add_argument("--workers", type=int, default=3, metavar="N", help="PBXs at a time (default 3)")
    parser.add_argument("--output", choices=("table", "json", "markdown"), default="table")
    parser.add_argument("--list", action="store_true", help="name the cells and play nothing")
    parser.add_argument("--folder", type=Path, default=None, help="for the evidence of what went wrong")
    parser.add_argument("--keep", action="store_true", help="keep the evidence of every run")
    arguments = parser.parse_args()
    cells = chosen(every_cell(), arguments.only)
    if not cells:
        parser.error(f"no cell has {arguments.only} in its name; --list names them")
    if arguments.list:
        print("\n".join(cell.title for cell in cells))
        return 0
    seed = secrets.randbelow(2**31) if arguments.seed is None else arguments.seed
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="callsteward-chaos-"))
    console = Console(stderr=True)
    runs = plan(cells, arguments.runs or len(cells), seed)
    say(f"{len(runs)} runs over {len(cells)} cells, seed {seed}")
    try:
        results = _shown(runs, folder, arguments.workers, console, keep=arguments.keep)
    except LabError as error:
        print(f"no lab on this machine: {error}", file=sys.stderr)
        return 2
    order = {(cell.fault.value, cell.phase, cell.scene.value): place for place, cell in enumerate(cells)}
    results.sort(key=lambda result: (order[result.fault, result.phase, result.scene], result.number))
    if arguments.output == "json":
        print(table.as_json(results, seed))
    elif arguments.output == "markdown":
        print(table.markdown(results))
    else:
        table.show(results, Console())
    breaches = sum(bool(result.breach) for result in results)
    troubles = sum(bool(result.trouble) for result in results)
    played = len(results) - troubles
    print(f"{played} runs played, {breaches} wrong, {troubles} not played, seed {seed}", file=sys.stderr)
    return 1 if breaches else 2 if troubles else 0


if __name__ == "__main__":
    raise SystemExit(main())
