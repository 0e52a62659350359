"""`make cost`: the daemon's CPU time for a call, beside Asterisk's for the same call, and where it goes.

Calls have no sound, so Asterisk mixes and passes on no media: beside a PBX with talking people the daemon
costs less than it does here.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.compiled.build import NoCompiledCoreError, compiled_core
from tests.cost.result import GOAL, Cost
from tests.cost.run import Measured, Plan, measure
from tests.lab.errors import LabError, LabUnavailable

RATES = (25.0, 50.0, 100.0)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.cost", description=__doc__)
    parser.add_argument("--rate", type=float, action="append", help="calls a second; default: 25, 50 and 100")
    parser.add_argument("--seconds", type=float, default=30, help="how long is measured at each rate")
    parser.add_argument(
        "--profile-seconds",
        type=float,
        default=15,
        metavar="S",
        help="how long each rate is profiled, after it was measured (0: not at all)",
    )
    parser.add_argument("--stacks", type=Path, metavar="FOLDER", help="keep the profiles' stacks there")
    parser.add_argument("--compiled", action="store_true", help="with the compiled core (make wheel)")
    parser.add_argument("--output", choices=("table", "json"), default="table")
    arguments = parser.parse_args()
    errors = Console(stderr=True)
    load = os.getloadavg()[0]
    try:
        core = compiled_core() if arguments.compiled else None
        rates = tuple(arguments.rate or RATES)
        plan = Plan(rates, arguments.seconds, arguments.profile_seconds, core, arguments.stacks)
        found = measure(plan, lambda what: errors.print(what, style="dim", highlight=False))
    except (LabUnavailable, NoCompiledCoreError) as error:
        errors.print(f"no measure on this machine: {error}")
        return 1
    except LabError as error:
        errors.print(f"the calls could not be played: {error}")
        return 2
    machine = {
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "compiled": core is not None,
        "load_before": round(load, 2),
    }
    if arguments.output == "json":
        told = {
            "machine": machine,
            "idle_s_a_minute": round(found.idle_s, 3),
            "goal": GOAL,
            "runs": [cost.told() for cost in found.costs],
        }
        print(json.dumps(told, indent=2))
    else:
        _show(found, machine)
    lost = [cost for cost in found.costs if cost.lost]
    for cost in lost:
        print(
            f"FAULT: {cost.lost} of {cost.calls} calls have no record at {cost.rate:g} a second",
            file=sys.stderr,
        )
    return 1 if lost else 0


def _show(found: Measured, machine: Mapping[str, object]) -> None:
    console = Console()
    costs = found.costs
    core = "compiled core" if machine["compiled"] else "plain Python"
    console.print(
        f"{machine['cores']} cores ({machine['machine']}), Python {machine['python']}, {core};"
        f" machine's load before: {machine['load_before']}"
    )
    table = Table(title="CPU seconds for 1,000 calls")
    table.add_column("calls a second")
    for cost in costs:
        table.add_column(f"{cost.rate:g}", justify="right")

    def row(what: str, *values: str, end: bool = False) -> None:
        table.add_row(what, *values, end_section=end)

    row("calls", *(f"{cost.calls:,}" for cost in costs))
    row("carried", *(cost.not_carried or "yes" for cost in costs), end=True)
    row("Asterisk", *_each(costs, lambda cost: cost.asterisk_s))
    row("daemon, with the processes it starts", *_each(costs, lambda cost: cost.daemon.all_s))
    row("broker", *_each(costs, lambda cost: cost.broker_s))
    row(
        f"daemon beside Asterisk (goal {GOAL:g})",
        *(f"{cost.ratio:.2f} {'ok' if cost.met else 'MISSED'}" for cost in costs),
        end=True,
    )
    names = sorted({part for cost in costs for part in cost.parts}, key=lambda part: -_most(costs, part))
    for name in names:
        row(f"  {name}", *(f"{cost.parts.get(name, 0):.2f}" for cost in costs))
    console.print(table)
    if names:
        console.print("The parts share the daemon's time as they share the time in Python's interpreter.")
    console.print(f"Without a call: {found.idle_s:.2f} CPU seconds of the daemon in a minute.")


def _each(costs: list[Cost], of: Callable[[Cost], float]) -> list[str]:
    return [f"{cost.of_1000(of(cost)):.2f}" for cost in costs]


def _most(costs: list[Cost], part: str) -> float:
    return max(cost.parts.get(part, 0.0) for cost in costs)


if __name__ == "__main__":
    sys.exit(main())
