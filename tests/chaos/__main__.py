"""`make chaos`: faults in every phase of calls and callbacks, on real Asterisks with real phones.

callbacks: each run is one call whose connection breaks in mid-dialogue, one fault, and the callback that
follows. The client's phone counts the INVITEs it receives: exactly one, or none with the reason written down.

ratings: each run is one talk and the rating call that follows; the daemon is killed at a point of it. The
client's phone counts its INVITEs, and the ledger says what became of the rating.

records: each run is one call and one fault in one of its phases; its record is held against the phones and
against Asterisk's CDR and CEL: none lost, none twice, nobody wrongly said to have hung up.

Exit code 1 if one run was otherwise, 2 where runs could not be played.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tests.chaos import result as results
from tests.chaos import table
from tests.chaos.cells import every_cell
from tests.chaos.plan import AnyCell, Run, chosen, plan
from tests.chaos.rating_cells import every_rating_cell
from tests.chaos.record_cells import every_record_cell
from tests.chaos.result import Result
from tests.chaos.runner import play_all
from tests.lab.errors import LabError
from tests.lab.roots import say

MATRICES: dict[str, tuple[AnyCell, ...]] = {
    "callbacks": every_cell(),
    "ratings": every_rating_cell(),
    "records": every_record_cell(),
    "all": (*every_cell(), *every_rating_cell(), *every_record_cell()),
}
# Wide enough for the tables where no terminal says how wide it is.
PIPE_WIDTH = 150


def _shown(runs: Sequence[Run], folder: Path, workers: int, console: Console, **how: bool) -> list[Result]:
    """Played, with progress on the terminal and a line for each run that went wrong."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[last]}"),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("chaos", total=len(runs), last="")

        def told(result: Result) -> None:
            what = f"{result.fault} / {result.phase} / {result.variant}"
            progress.update(task, advance=1, last=what)
            if result.breach or result.trouble:
                kind = "WRONG" if result.breach else "not played"
                progress.print(f"{kind}: {what}: {result.breach or result.trouble}", markup=False)
                progress.print(f"  {result.summary}; evidence: {result.evidence}", markup=False)
            elif not console.is_terminal:
                progress.print(f"{what}: {result.summary} ({result.seconds:.0f} s)", markup=False)

        return play_all(runs, folder, workers=workers, on_result=told, **how)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--matrix", choices=tuple(MATRICES), default="callbacks")
    parser.add_argument("--runs", type=int, default=0, metavar="N", help="how many (default: each cell once)")
    parser.add_argument(
        "--only", action="append", default=[], metavar="TEXT", help="cells with these words; may be repeated"
    )
    parser.add_argument("--seed", type=int, default=None, help="of the order and of each fault's time")
    parser.add_argument("--workers", type=int, default=3, metavar="N", help="PBXs at a time (default 3)")
    parser.add_argument("--output", choices=("table", "json", "markdown", "grid"), default="table")
    parser.add_argument("--list", action="store_true", help="name the cells and play nothing")
    parser.add_argument("--folder", type=Path, default=None, help="for the evidence of what went wrong")
    parser.add_argument("--keep", action="store_true", help="keep the evidence of every run")
    parser.add_argument(
        "--postgresql",
        action="store_true",
        help="on PostgreSQL; where a disk would be full, its server hangs",
    )
    arguments = parser.parse_args()
    arguments.cells = chosen(MATRICES[arguments.matrix], arguments.only)
    if not arguments.cells:
        parser.error(f"no cell has {arguments.only} in its name; --list names them")
    return arguments


def main() -> int:
    arguments = _arguments()
    cells: list[AnyCell] = arguments.cells
    if arguments.list:
        print("\n".join(cell.title for cell in cells))
        return 0
    seed = secrets.randbelow(2**31) if arguments.seed is None else arguments.seed
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="callsteward-chaos-"))
    console = Console(stderr=True, width=None if sys.stderr.isatty() else PIPE_WIDTH)
    runs = plan(cells, arguments.runs or len(cells), seed)
    say(f"{len(runs)} runs over {len(cells)} cells, seed {seed}")
    try:
        played = _shown(
            runs, folder, arguments.workers, console, keep=arguments.keep, postgresql=arguments.postgresql
        )
    except LabError as error:
        print(f"no lab on this machine: {error}", file=sys.stderr)
        return 2
    order = {results.key(cell): place for place, cell in enumerate(cells)}
    played.sort(key=lambda one: (order[one.matrix, one.fault, one.phase, one.variant], one.number))
    if arguments.output == "json":
        print(table.as_json(played, seed))
    elif arguments.output == "markdown":
        print(table.markdown(played))
    elif arguments.output == "grid":
        print(table.grids(played))
    else:
        table.show(played, Console(width=None if sys.stdout.isatty() else PIPE_WIDTH))
    breaches = sum(bool(one.breach) for one in played)
    troubles = sum(bool(one.trouble) for one in played)
    say(f"{len(played) - troubles} runs played, {breaches} wrong, {troubles} not played, seed {seed}")
    return 1 if breaches else 2 if troubles else 0


if __name__ == "__main__":
    raise SystemExit(main())
