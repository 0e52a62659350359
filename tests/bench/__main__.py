"""`make bench`: what the daemon costs, as ratios beside a floor in the same run."""

from __future__ import annotations

import argparse
import platform
import sys

from rich.console import Console
from rich.table import Table

from tests.bench import agi, memory, scale, throughput


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=4_000, help="calls sent over the websocket in a round")
    parser.add_argument("--rounds", type=int, default=5, help="rounds; the medians are shown")
    arguments = parser.parse_args()
    console = Console()
    console.print(f"Python {platform.python_version()}, {platform.machine()}, one core for the reader")
    table = Table("what", "measured", "beside", "ratio", "target", "")
    rows = [
        throughput.measure(arguments.calls, arguments.rounds),
        memory.measure(),
        scale.measure(arguments.rounds),
        agi.measure(),
    ]
    for row in rows:
        table.add_row(
            row.what, row.measured, row.beside, row.ratio, row.target, "ok" if row.met else "MISSED"
        )
    console.print(table)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
