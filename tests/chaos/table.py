"""The tables of faults and phases: for people, for documents, for machines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import msgspec
from rich.console import Console
from rich.table import Table

from tests.chaos.result import Result

_encoder = msgspec.json.Encoder()
Row = tuple[str, ...]


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """A cell's runs in one line. `ended`: how often the ledger ended how. `wrong`: runs with a breach.

    `rated`: how often a rating came to what, `let_go_s`: the longest until its client was thanked and gone.
    """

    fault: str
    phase: str
    variant: str
    runs: int
    wrong: int
    not_played: int
    invites: dict[str, int] = {}
    ended: dict[str, int] = {}
    calls: dict[str, int] = {}
    rated: dict[str, int] = {}
    let_go_s: float | None = None


# Of the records' table: the column and its figure.
COUNTED = (
    ("placed", "placed"),
    ("records", "records"),
    ("lost", "lost"),
    ("duplicated", "duplicates"),
    ("wrong", "wrong"),
    ("incomplete", "unobserved"),
    ("unpublished", "unpublished"),
)


def lines(results: Sequence[Result]) -> list[Line]:
    """One line a cell, in the order of their first mention."""
    cells: dict[tuple[str, str, str], list[Result]] = {}
    for result in results:
        cells.setdefault((result.fault, result.phase, result.variant), []).append(result)
    return [_line(key, found) for key, found in cells.items()]


def _line(key: tuple[str, str, str], found: Sequence[Result]) -> Line:
    played = [result for result in found if not result.trouble]
    fault, phase, variant = key
    line = Line(
        fault=fault,
        phase=phase,
        variant=variant,
        runs=len(played),
        wrong=sum(bool(result.breach) for result in played),
        not_played=len(found) - len(played),
    )
    counts = [result.count for result in played if result.count is not None]
    if counts:
        calls = {name: sum(getattr(one, figure) for one in counts) for name, figure in COUNTED}
        rated = Counter(one.rating for one in counts if one.rating)
        let_go = [one.let_go_s for one in counts if one.let_go_s is not None]
        return msgspec.structs.replace(
            line,
            calls=calls,
            rated=dict(rated.most_common()),
            let_go_s=round(max(let_go), 1) if let_go else None,
        )
    rang = Counter("2+" if result.invites > 1 else str(result.invites) for result in played)
    return msgspec.structs.replace(
        line,
        invites={name: rang[name] for name in ("0", "1", "2+")},
        ended=dict(Counter(result.ended for result in played).most_common()),
    )


def as_json(results: Sequence[Result], seed: int) -> str:
    """Everything: seed, the tables' lines, each run."""
    body = {
        "schema": "callsteward.chaos/1",
        "seed": seed,
        **{matrix: lines(found) for matrix, found in _matrices(results).items()},
        "runs": list(results),
    }
    return msgspec.json.format(_encoder.encode(body), indent=1).decode()


def _matrices(results: Sequence[Result]) -> dict[str, list[Result]]:
    found: dict[str, list[Result]] = {}
    for result in results:
        found.setdefault(result.matrix, []).append(result)
    return found


def _callback_row(line: Line) -> Row:
    ended = _often(line.ended)
    invites = (str(line.invites.get(name, 0)) for name in ("0", "1", "2+"))
    return (line.fault, line.phase, line.variant, str(line.runs), *invites, str(line.wrong), ended)


def _record_row(line: Line) -> Row:
    figures = (str(line.calls.get(name, 0)) for name, _ in COUNTED)
    rated = _often(line.rated)
    if line.let_go_s is not None:
        rated += f", let go within {line.let_go_s} s"
    return (line.fault, line.phase, line.variant, str(line.runs), *figures, rated)


def _often(counted: dict[str, int]) -> str:
    return "; ".join(f"{name} x{count}" if count > 1 else name for name, count in counted.items())


class Shape(msgspec.Struct, frozen=True):
    """How a matrix is shown."""

    title: str
    heads: Row
    row: Callable[[Line], Row]


_INVITES = Shape(
    "INVITEs that reached the client's phone",
    ("fault", "phase", "scene", "runs", "0", "1", "2+", "breaches", "how the ledger ended"),
    _callback_row,
)
SHAPES = {
    "callbacks": _INVITES,
    "ratings": _INVITES,
    "records": Shape(
        "Calls placed and their records",
        ("fault", "phase", "connect", "runs", *(name for name, _ in COUNTED), "rating"),
        _record_row,
    ),
}


def show(results: Sequence[Result], console: Console) -> None:
    for matrix, found in _matrices(results).items():
        shape = SHAPES[matrix]
        rows = [shape.row(line) for line in lines(found)]
        table = Table(title=shape.title, title_justify="left")
        for place, head in enumerate(shape.heads):
            number = rows[0][place].isdigit()
            table.add_column(
                head, justify="right" if number else "left", overflow="fold", no_wrap=place in {0, 2}
            )
        for row in (*rows, _sum(rows)):
            table.add_row(*row)
        console.print(table)


def markdown(results: Sequence[Result]) -> str:
    """The same for a document."""
    parts: list[str] = []
    for matrix, found in _matrices(results).items():
        shape = SHAPES[matrix]
        rows = [shape.row(line) for line in lines(found)]
        parts += [
            f"| {' | '.join(shape.heads)} |",
            "|" + "|".join("--:" if cell.isdigit() else "---" for cell in rows[0]) + "|",
            *(f"| {' | '.join(row)} |" for row in (*rows, _sum(rows))),
            "",
        ]
    return "\n".join(parts)


def grids(results: Sequence[Result]) -> str:
    """Faults down, phases across, in short, for a document."""
    parts: list[str] = []
    for matrix, found in _matrices(results).items():
        if matrix != "records":
            # A fault point is a phase of its own: those stand in the long table only.
            outer = [line for line in lines(found) if not line.fault.startswith("SIGKILL at")]
            parts += _grid("runs with 0 / 1 / 2+ INVITEs", outer, lambda line: line.invites.values())
            continue
        for variant in dict.fromkeys(result.variant for result in found):
            shown = [line for line in lines(found) if line.variant == variant]
            connect, *more = variant.split(", ")
            title = ", ".join([f'connect = "{connect}"', *more]) + ": placed / records / duplicated / wrong"
            parts += _grid(title, shown, lambda line: (line.calls[name] for name in SHORT))
    return "\n".join(parts)


SHORT = ("placed", "records", "duplicated", "wrong")


def _grid(title: str, shown: Sequence[Line], figures: Callable[[Line], Iterable[int]]) -> list[str]:
    phases = list(dict.fromkeys(line.phase for line in shown))
    cells = {
        (line.fault, line.phase): " / ".join(map(str, figures(line))) if line.runs else "not played"
        for line in shown
    }
    if not cells:
        return []
    return [
        f"| {title} | {' | '.join(phases)} |",
        "|---|" + "---|" * len(phases),
        *(
            f"| {fault} | {' | '.join(cells.get((fault, phase), '') for phase in phases)} |"
            for fault in dict.fromkeys(line.fault for line in shown)
        ),
        "",
    ]


def _sum(rows: Sequence[Row]) -> Row:
    """Below the table: each figure's total."""
    columns = list(zip(*rows, strict=True))
    totals = [
        str(sum(map(int, column))) if all(cell.isdigit() for cell in column) else "" for column in columns
    ]
    return ("all", *totals[1:])
