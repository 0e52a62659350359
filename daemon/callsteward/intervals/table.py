"""A report for a terminal: for supervisors, with averages that the files do not have."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime, tzinfo
from itertools import compress

from rich import box
from rich.table import Table

from callsteward.intervals.row import IntervalKind, IntervalRow, Value
from callsteward.intervals.service_level import Formula, denominator_key, numerator_key
from callsteward.terminal.plain import cell

# 80/20 is the usual target of the field, so the threshold nearest to 20 s is shown.
_USUAL_S = 20

Values = dict[str, Value]

_WIDE = 100
# Columns left out on a narrow terminal.
_LEAST = {
    IntervalKind.LINE: frozenset({"short", "lost", "hold", "reached", "seen"}),
    IntervalKind.OPERATOR: frozenset({"hold", "transf", "hung up", "drops", "shared", "out"}),
}


def outside(rows: Sequence[IntervalRow]) -> frozenset[int]:
    """The starts of the slots before the first one with any value, and after the last."""
    busy = {row.start_ms for row in rows if _busy(row) or row.values.get("staffed_s")}
    if not busy:
        return frozenset(row.start_ms for row in rows)
    first, last = min(busy), max(busy)
    return frozenset(row.start_ms for row in rows if not first <= row.start_ms <= last)


def _busy(row: IntervalRow) -> bool:
    return any(row.values.get(key) for key in ("offered", "outbound", "concurrent_max"))


def interval_table(
    rows: Sequence[IntervalRow],
    kind: IntervalKind,
    zone: tzinfo,
    width: int,
    *,
    left_out: Collection[int] = (),
    form: str = "%H:%M",
) -> Table:
    """The rows as a table, with a total for each line or operator. Empty slots are dim, a dash is unknown.

    A terminal narrower than 100 columns shows fewer columns. `left_out`: the starts of slots that count in
    the total only. `form`: how a slot's start is written, for slots of a day and more.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    threshold_s = _shown(rows)
    heads = _LINE_HEADS if kind is IntervalKind.LINE else _OPERATOR_HEADS
    shown = [width >= _WIDE or head not in _LEAST[kind] for head in heads]
    for head in ("time", kind.value):
        table.add_column(head, no_wrap=True)
    for head in compress(heads, shown):
        table.add_column(head.format(threshold_s), justify="right", no_wrap=True)
    read = _line_cells if kind is IntervalKind.LINE else _operator_cells
    seen = [row for row in rows if row.start_ms not in left_out]
    slots = form == "%H:%M"
    one_day = len({_local(row.start_ms, zone).date() for row in seen}) < 2
    # In the hour that a change of clocks repeats, the offset tells the two apart.
    offsets = {_local(row.start_ms, zone).utcoffset() for row in seen}
    for row in seen:
        local = _local(row.start_ms, zone)
        time = local.strftime(form if one_day or not slots else f"%m-%d {form}")
        if len(offsets) > 1 and slots:
            time += f"{local:%z}"[:3]
        texts = compress(read(row.values, threshold_s), shown)
        table.add_row(time, cell(row.name), *texts, style="" if _busy(row) else "dim")
    table.add_section()
    for name in sorted({row.name for row in rows}):
        mine = [row.values for row in rows if row.name == name]
        texts = compress(read(_total(mine), threshold_s), shown)
        table.add_row("total", cell(name), *texts, style="bold")
    return table


def _local(ms: int, zone: tzinfo) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC).astimezone(zone)


def _shown(rows: Sequence[IntervalRow]) -> int:
    thresholds = rows[0].thresholds_s if rows else (_USUAL_S,)
    return min(thresholds, key=lambda seconds: abs(seconds - _USUAL_S))


def _total(rows: Iterable[Values]) -> Values:
    """Sums of the observed values; for the most at once, the highest value."""
    total: Values = {}
    for row in rows:
        for key, value in row.items():
            before = total.get(key)
            if value is None or before is None:
                total[key] = value if before is None else before
            else:
                total[key] = max(before, value) if key == "concurrent_max" else before + value
    return total


_LINE_HEADS = (
    "offered", "answ", "aband", "short", "lost", "SL {}s", "ASA", "AHT", "hold", "drops", "due", "reached",
    "at once", "seen",
)  # fmt: skip
_OPERATOR_HEADS = (
    "offered", "answ", "missed", "talk", "hold", "AHT", "transf", "hung up", "drops", "shared", "out",
    "staffed", "free",
)  # fmt: skip


_COUNTED = ("offered", "answered", "abandoned", "short_abandoned", "not_taken")


def _line_cells(row: Values, threshold_s: int) -> list[str]:
    formula = Formula.ANSWERED_ABANDONED
    served = row.get("answered")
    waited = _less(served, row.get("answered_wait_unknown"))
    contact = _plus(row.get("talk_s_sum"), row.get("hold_s_sum"))
    return [
        *(_count(row.get(key)) for key in _COUNTED),
        _share(row.get(numerator_key(formula, threshold_s)), row.get(denominator_key(formula))),
        _mean(row.get("answered_wait_s_sum"), waited),
        _mean(contact, served),
        _count(row.get("hold_count")),
        _count(_plus(row.get("early_drops"), row.get("mid_dialogue_drops"))),
        _count(row.get("callbacks_due")),
        _count(row.get("callbacks_reached")),
        _count(row.get("concurrent_max")),
        _clock(row.get("observed_s")),
    ]


def _operator_cells(row: Values, _threshold_s: int) -> list[str]:
    own = _less(row.get("answered"), row.get("shared"))
    contact = _plus(row.get("talk_s_sum"), row.get("hold_s_sum"))
    return [
        *(_count(row.get(key)) for key in ("offered", "answered", "rings_missed")),
        _clock(row.get("talk_s_sum")),
        _clock(row.get("hold_s_sum")),
        _mean(contact, own),
        *(_count(row.get(key)) for key in ("transfers", "operator_hung_up_first")),
        _count(_plus(row.get("early_drops"), row.get("mid_dialogue_drops"))),
        _count(row.get("shared")),
        _count(row.get("outbound")),
        _clock(row.get("staffed_s")),
        _clock(row.get("available_s")),
    ]


def _plus(one: Value | None, two: Value | None) -> Value:
    return None if one is None or two is None else one + two


def _less(one: Value | None, two: Value | None) -> Value:
    return None if one is None or two is None else one - two


def _count(value: Value | None) -> str:
    return "-" if value is None else f"{value:g}"


def _share(above: Value | None, below: Value | None) -> str:
    return f"{100 * above / below:.0f}%" if above is not None and below else "-"


def _mean(total: Value | None, count: Value | None) -> str:
    return f"{total / count:.0f}" if total is not None and count else "-"


def _clock(seconds: Value | None) -> str:
    """Minutes and seconds, 29:05, or hours and minutes, 12h00."""
    if seconds is None:
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}" if minutes < 60 else f"{minutes // 60}h{minutes % 60:02d}"
