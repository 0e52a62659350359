"""The table of faults and phases, for people; and the same for machines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec
from rich.console import Console
from rich.table import Table

from tests.chaos.callback import Result

_encoder = msgspec.json.Encoder()


class Line(msgspec.Struct, frozen=True):
    """A cell's runs in one line. `ended`: how often the ledger ended how."""

    fault: str
    phase: str
    scene: str
    runs: int
    invites: dict[str, int]
    ended: dict[str, int]
    breaches: int
    troubles: int


def lines(results: Sequence[Result]) -> list[Line]:
    """One line a cell, in the order of their first mention."""
    cells: dict[tuple[str, str, str], list[Result]] = {}
    for result in results:
        cells.setdefault((result.fault, result.phase, result.scene), []).append(result)
    return [_line(key, found) for key, found in cells.items()]


def _line(key: tuple[str, str, str], found: Sequence[Result]) -> Line:
    played = [result for result in found if not result.trouble]
    counts = Counter("2+" if result.invites > 1 else str(result.invites) for result in played)
    return Line(
        *key,
        runs=len(played),
        invites={name: counts[name] for name in ("0", "1", "2+")},
        ended=dict(Counter(result.ended for result in played).most_common()),
        breaches=sum(bool(result.breach) for result in played),
        troubles=len(found) - len(played),
    )


def as_json(results: Sequence[Result], seed: int) -> str:
    """Everything: seed, the table's lines, each run."""
    body = {"schema": "callsteward.chaos/1", "seed": seed, "table": lines(results), "runs": list(results)}
    return msgspec.json.format(_encoder.encode(body), indent=1).decode()


def show(results: Sequence[Result], console: Console) -> None:
    table = Table(title="INVITEs at the client's phone", title_justify="left")
    for name in ("fault", "phase", "scene"):
        table.add_column(name, overflow="fold")
    for name in ("runs", "0", "1", "2+"):
        table.add_column(name, justify="right")
    table.add_column("how the ledger ended", overflow="fold")
    table.add_column("wrong", justify="right")
    for line in lines(results):
        ended = "; ".join(f"{name} x{count}" if count > 1 else name for name, count in line.ended.items())
        table.add_row(
            line.fault, line.phase, line.scene, str(line.runs), *map(str, line.invites.values()), ended,
            str(line.breaches),
        )  # fmt: skip
    console.print(table)


def markdown(results: Sequence[Result]) -> str:
    """The same for a document."""
    rows = [
        "| fault | phase | scene | runs | 0 | 1 | 2+ | how the ledger ended | wrong |",
        "|---|---|---|--:|--:|--:|--:|---|--:|",
    ]
    for line in lines(results):
        ended = "; ".join(f"{name} x{count}" if count > 1 else name for name, count in line.ended.items())
        counts = " | ".join(map(str, line.invites.values()))
        rows.append(
            f"| {line.fault} | {line.phase} | {line.scene} | {line.runs} | {counts} | {ended} |"
            f" {line.breaches} |"
        )
    return "\n".join(rows)
