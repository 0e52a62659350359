"""`make bench`: what the daemon costs, as ratios beside a floor in the same run."""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench import agi
from tests.bench.row import Row
from tests.compiled.build import ROOT, NoCompiledCoreError, compiled_core, environment


def rows_of(core: Path | None, arguments: argparse.Namespace) -> tuple[list[Row], list[str]]:
    """The measures of one core, in a process of its own, and what was not measured. None: plain Python."""
    command = [sys.executable, "-m", "tests.bench.one", str(arguments.calls), str(arguments.rounds)]
    done = subprocess.run(command, check=True, cwd=ROOT, env=environment(core), stdout=subprocess.PIPE)
    told = json.loads(done.stdout)
    assert told["compiled"] is (core is not None), "the wrong core was measured"
    return [Row(**row) for row in told["rows"]], told["said"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=4_000, help="calls sent over the websocket in a round")
    parser.add_argument("--rounds", type=int, default=5, help="rounds; the medians are shown")
    arguments = parser.parse_args()
    console = Console()
    cores: dict[str, Path | None] = {"plain Python": None}
    try:
        cores["compiled"] = compiled_core()
    except NoCompiledCoreError as error:
        console.print(f"no compiled core, plain Python is judged: {error}")
    judged = "compiled" if "compiled" in cores else "plain Python"
    console.print(f"Python {platform.python_version()}, {platform.machine()}, CPU time of one core")
    said: list[str] = []
    table = Table("core", "what", "measured", "beside", "ratio", "target", "")
    for name, core in cores.items():
        console.print(f"measuring: {name} …", style="dim")
        rows, said = rows_of(core, arguments)
        for row in rows:
            verdict = "ok" if row.met else "MISSED" if name == judged else "below"
            table.add_row(name, row.what, row.measured, row.beside, row.ratio, row.target, verdict)
        table.add_section()
    row = agi.measure()
    table.add_row(
        "either", row.what, row.measured, row.beside, row.ratio, row.target, "ok" if row.met else "MISSED"
    )
    console.print(table)
    for text in said:
        console.print(text)
    console.print(f"The targets are for the core that a big site runs (make wheel): {judged}.")


if __name__ == "__main__":
    main()
