"""`make soak`: the highest rate this machine carries, and nothing lost, doubled or leaked."""

from __future__ import annotations

import argparse
import os
import sys
import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.lab.errors import LabError, LabUnavailable
from tests.soak.result import MAX_SLOPE, Soaked
from tests.soak.run import Plan, soak

# What fills up in the daemon under calls, and then does not grow any more: the channels that ended last, by
# their ids (10,000: half as many calls, 3 minutes at 28 calls a second), the page caches of five database
# connections (512 KiB each), SQLAlchemy's compiled statements, the heaps of the threads.
WARM_UP_S = 200.0
# A pipe is told how it goes so often.
TELL_EVERY_S = 30.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument(
        "--minutes", type=float, default=10, help="how long is measured at that rate (default 10)"
    )
    parser.add_argument(
        "--warm-up",
        type=float,
        default=WARM_UP_S,
        metavar="S",
        help="seconds at it before (default 200)",
    )
    parser.add_argument("--rate", type=float, help="calls a second; unset: found by a ramp of 10 s steps")
    arguments = parser.parse_args()
    errors = Console(stderr=True)
    busy = os.getloadavg()
    try:
        result = _watched(Plan(arguments.minutes * 60, arguments.warm_up, arguments.rate), errors)
    except LabUnavailable as error:
        errors.print(f"no soak on this machine: {error}")
        return 1
    except LabError as error:
        errors.print(f"the soak could not be played: {error}")
        return 2
    return report(result, busy)


def _watched(plan: Plan, errors: Console) -> Soaked:
    """With a progress bar on a terminal, with a line now and then in a pipe."""
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), TimeElapsedColumn())
    told_s = float("-inf")
    with Progress(*columns, console=errors, disable=not errors.is_terminal) as bar:
        task = bar.add_task("starting", total=1)

        def progress(what: str, done: float) -> None:
            nonlocal told_s
            bar.update(task, description=what, completed=done)
            if not errors.is_terminal and time.monotonic() - told_s >= TELL_EVERY_S:
                told_s = time.monotonic()
                errors.print(f"{done:4.0%} {what}", highlight=False)

        return soak(plan, progress)


def report(result: Soaked, busy: tuple[float, float, float]) -> int:
    """Print what came of it; 1 where something is wrong. `busy`: the machine's load before."""
    first, last = result.warm[0], result.samples[-1]
    cpu = (last.cpu_s - first.cpu_s) / (last.at_s - first.at_s)
    before, after = result.held
    rise = result.slope
    table = Table(
        "what", "measured", title=f"{last.at_s - first.at_s:.0f} s at {result.rate:g} calls a second"
    )
    for what, measured in (
        ("calls placed, failed at the phones", f"{result.placed:,}, {result.failed}"),
        ("calls in Asterisk's CDR", f"{len(result.calls):,}"),
        ("records stored", f"{result.records.total():,}"),
        ("records on MQTT", f"{result.messages.total():,}"),
        ("outcomes", ", ".join(f"{name} {count:,}" for name, count in sorted(result.outcomes.items()))),
        (
            "incomplete, still open, journal",
            f"{result.incomplete}, {result.open_calls}, {result.journal_bytes} B",
        ),
        (
            "memory at first, warm, at the end",
            f"{result.samples[0].rss_mib:.1f}, {first.rss_mib:.1f}, {last.rss_mib:.1f} MiB",
        ),
        (f"memory's slope (under {MAX_SLOPE:g})", f"{rise.per_minute:+.2f} ± {rise.margin:.2f} MiB a minute"),
        ("tasks before, after the last call", f"{before.tasks}, {after.tasks}"),
        ("descriptors but the database's", f"{before.descriptors}, {after.descriptors}"),
        ("descriptors under calls", f"{first.descriptors} to {last.descriptors}"),
        ("threads", f"{first.threads} to {last.threads}"),
        ("daemon's CPU", f"{cpu:.0%} of one core"),
        (
            "machine's load before, after",
            f"{busy[0]:.1f}, {os.getloadavg()[0]:.1f}; {os.cpu_count()} cores",
        ),
    ):
        table.add_row(what, measured)
    Console().print(table)
    faults = result.faults()
    for fault in faults:
        print(f"FAULT: {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
