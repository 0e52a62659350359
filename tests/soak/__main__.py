"""`make soak`: the highest rate this machine carries, and nothing lost, doubled or leaked."""

from __future__ import annotations

import argparse
import sys

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tests.lab.errors import LabUnavailable
from tests.soak.run import MAX_SLOPE, Soaked, soak


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="how long at that rate (default 10)")
    parser.add_argument("--rate", type=float, help="calls a second; unset: found by a ramp of 10 s steps")
    arguments = parser.parse_args()
    errors = Console(stderr=True)
    try:
        with Progress(console=errors, disable=not errors.is_terminal) as bar:
            task = bar.add_task("starting", total=1)
            result = soak(
                arguments.minutes * 60,
                arguments.rate,
                lambda what, done: bar.update(task, description=what, completed=done),
            )
    except LabUnavailable as error:
        errors.print(f"no soak on this machine: {error}")
        return 1
    return report(result)


def report(result: Soaked) -> int:
    """Print what came of it; 1 where something is wrong."""
    first, last = result.warm[0], result.samples[-1]
    cpu = (last.cpu_s - first.cpu_s) / (last.at_s - first.at_s)
    table = Table("what", "measured", title=f"{result.seconds:g} s at {result.rate:g} calls a second")
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
        ("memory after warm-up, at the end", f"{first.rss_mib:.1f} MiB, {last.rss_mib:.1f} MiB"),
        (f"memory's slope (under {MAX_SLOPE:g})", f"{result.slope:+.2f} MiB a minute"),
        ("descriptors", f"{first.descriptors} to {last.descriptors}"),
        ("threads", f"{first.threads} to {last.threads}"),
        ("daemon's CPU", f"{cpu:.0%} of one core"),
    ):
        table.add_row(what, measured)
    Console().print(table)
    faults = result.faults()
    for fault in faults:
        print(f"FAULT: {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
