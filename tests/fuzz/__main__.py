"""`make fuzz`: a million inputs, made by atheris from real frames, against every reader of what is hostile.

An input that breaks a target is put into tests/fuzz/found/TARGET/, where `make test` runs it for ever.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from tests.fuzz.targets import FOUND, TARGETS, found_once
from tests.lab.pbx_config import REPOSITORY

_SO_FAR = re.compile(r"#(\d+)\s")
_EXECUTED = re.compile(r"stat::number_of_executed_units:\s+(\d+)")
_COVERED = re.compile(r"cov: (\d+)")
# An input that takes longer hangs: no reader here has work for a second.
_HANG_S = 10


@dataclass(frozen=True)
class Result:
    name: str
    inputs: int
    covered: int
    found: tuple[Path, ...]
    said: str


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000, help="in all, shared among the targets")
    parser.add_argument("--only", choices=sorted(TARGETS), action="append", help="this target (repeatable)")
    parser.add_argument("--seed", type=int, default=0, help="of the mutations; 0: another one each time")
    arguments = parser.parse_args()
    names = arguments.only or list(TARGETS)
    shares = sum(TARGETS[name].share for name in names)
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        Progress(*columns, console=console, disable=not console.is_terminal) as progress,
        ThreadPoolExecutor(os.cpu_count() or 1) as pool,
    ):
        running = []
        for name in names:
            runs = -(-round(arguments.inputs * TARGETS[name].share) // 1)
            runs = max(1, round(runs / shares))
            task = progress.add_task(name, total=runs)
            running.append(pool.submit(_fuzz, name, runs, arguments.seed, progress, task))
        results = [future.result() for future in running]
    return _report(results)


def _fuzz(name: str, runs: int, seed: int, progress: Progress, task: TaskID) -> Result:
    target = TARGETS[name]
    with tempfile.TemporaryDirectory(prefix="callsteward-fuzz-") as folder:
        corpus = Path(folder) / "corpus"
        corpus.mkdir()
        crashes = Path(folder) / "crashes"
        crashes.mkdir()
        for number, data in enumerate((*target.seeds(), *found_once(name))):
            (corpus / f"{number}").write_bytes(data)
        command = [
            sys.executable, "-m", "tests.fuzz.worker", name,
            f"-runs={runs}", f"-seed={seed}", f"-max_len={target.max_len}", f"-timeout={_HANG_S}",
            "-print_final_stats=1", f"-artifact_prefix={crashes}/", str(corpus),
        ]  # fmt: skip
        process = subprocess.Popen(
            command,
            cwd=REPOSITORY,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        inputs, covered, said = 0, 0, []
        assert process.stderr is not None
        for line in process.stderr:
            said.append(line)
            del said[:-80]
            if so_far := _SO_FAR.match(line):
                progress.update(task, completed=int(so_far[1]))
                cov = _COVERED.search(line)
                covered = int(cov[1]) if cov else covered
            elif executed := _EXECUTED.match(line):
                inputs = int(executed[1])
        code = process.wait()
        progress.update(task, completed=inputs or runs)
        found = tuple(_keep(name, crash) for crash in sorted(crashes.iterdir()))
        wrong = code != 0 or found or inputs < runs
        return Result(name, inputs, covered, found, "".join(said) if wrong else "")


def _keep(name: str, crash: Path) -> Path:
    folder = FOUND / name
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / crash.name
    kept.write_bytes(crash.read_bytes())
    return kept


def _report(results: list[Result]) -> int:
    table = Table("target", "inputs", "branches reached", "faults")
    for result in results:
        table.add_row(result.name, f"{result.inputs:,}", f"{result.covered:,}", f"{len(result.found)}")
    table.add_section()
    total = sum(result.inputs for result in results)
    table.add_row("all", f"{total:,}", "", f"{sum(len(result.found) for result in results)}")
    Console().print(table)
    failed = [result for result in results if result.said]
    for result in failed:
        print(f"--- {result.name}: {', '.join(map(str, result.found)) or 'did not finish'}", file=sys.stderr)
        print(result.said, file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
