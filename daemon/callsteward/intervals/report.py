"""`callsteward report intervals` and `report operators`: the rows of any time, from what is stored.

Slots are aligned to UTC and written in UTC, so that no change of clocks makes a slot come twice or not
at all; the local time stands beside it with its offset.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, tzinfo

import msgspec

from callsteward.clock import DAY_MS
from callsteward.config import Config
from callsteward.intervals import grid, slot
from callsteward.intervals.measures import MEASURES, Unit
from callsteward.intervals.row import IntervalKind, IntervalRow
from callsteward.intervals.scheme import scheme
from callsteward.intervals.store import IntervalStore
from callsteward.store.expired import deleted_before_ms
from callsteward.store.records import Store
from callsteward.terminal.files import Cells, Columns, Holds

# Read at a time: a year needs no more memory than a day.
CHUNK_MS = DAY_MS

_SECONDS = {measure.name for measure in MEASURES if measure.unit is Unit.SECONDS}
_SECONDS |= {"observed_s", "staffed_s", "available_s"}


async def intervals(
    config: Config,
    store: Store,
    kind: IntervalKind,
    from_ms: int,
    to_ms: int,
    minutes: int,
    name: str | None = None,
) -> AsyncIterator[list[IntervalRow]]:
    """A day's rows at a time, each slot of [from_ms, to_ms) with each line (or operator), in order.

    Lines and operators are those of the configuration and those that had calls then. `name`: only this one.
    Raises StoreError.
    """
    source = await _source(config, store)
    wanted = await _wanted(config, source, from_ms, to_ms, minutes)
    starts = grid.slots(from_ms, to_ms, minutes)
    a_day = CHUNK_MS // (minutes * grid.MINUTE_MS)
    for first in range(0, len(starts), a_day):
        some = starts[first : first + a_day]
        known = await source.known(some[0], some[-1] + starts.step, wanted.operators)
        yield [
            row
            for start_ms in some
            for row in slot.rows(wanted, start_ms, known.within(start_ms, start_ms + starts.step))
            if row.kind is kind and name in {None, row.name}
        ]


async def of_periods(
    config: Config,
    store: Store,
    kind: IntervalKind,
    spans: Sequence[tuple[int, int]],
    name: str | None = None,
) -> AsyncIterator[list[IntervalRow]]:
    """The rows of each span [from, to), one span at a time: days, weeks, months. Otherwise as `intervals`."""
    source = await _source(config, store)
    if not spans:
        return
    wanted = await _wanted(config, source, spans[0][0], spans[-1][1], 0)
    for from_ms, to_ms in spans:
        summing = slot.Summing(
            msgspec.structs.replace(wanted, minutes=(to_ms - from_ms) // grid.MINUTE_MS), from_ms
        )
        async for contacts in source.contacts(from_ms, to_ms):
            summing.take(contacts)
        async for on in source.spans(from_ms, to_ms):
            summing.take_spans(on)
        known = await source.around(from_ms, to_ms, wanted.operators)
        yield [row for row in summing.rows(known) if row.kind is kind and name in {None, row.name}]


async def _source(config: Config, store: Store) -> IntervalStore:
    since_ms = await deleted_before_ms(store.engine, config.site.name)
    return IntervalStore(store.engine, config.site.name, since_ms=since_ms)


async def _wanted(
    config: Config, source: IntervalStore, from_ms: int, to_ms: int, minutes: int
) -> slot.Scheme:
    lines, operators = await source.names(from_ms, to_ms)
    wanted = scheme(config, minutes)
    return msgspec.structs.replace(
        wanted,
        lines=tuple(dict.fromkeys((*(wanted.lines if config.lines else ()), *lines))) or wanted.lines,
        operators=tuple(dict.fromkeys((*wanted.operators, *operators))),
    )


def cells(row: IntervalRow, zone: tzinfo) -> Cells:
    """A row as the cells of a file, under `columns`."""
    local = datetime.fromtimestamp(row.start_ms / 1000, UTC).astimezone(zone)
    return {
        "site": row.site,
        row.kind.value: row.name,
        "start": grid.iso(row.start_ms),
        "end": grid.iso(row.end_ms),
        "start_local": local.isoformat(),
        "minutes": row.minutes,
        **row.values,
    }


def columns(kind: IntervalKind, thresholds_s: Sequence[int]) -> Columns:
    """The columns of a file of intervals, in order: a contract, new ones go to the end of their group."""
    return {
        "site": Holds.TEXT,
        kind.value: Holds.TEXT,
        "start": Holds.MOMENT,
        "end": Holds.MOMENT,
        "start_local": Holds.LOCAL_MOMENT,
        "minutes": Holds.COUNT,
        **{name: _holds(name) for name in slot.keys(kind, thresholds_s)},
    }


def _holds(key: str) -> Holds:
    fractions = key in _SECONDS or key.startswith("service_level_")
    return Holds.NUMBER if fractions else Holds.COUNT
