"""`callsteward report intervals` and `report operators`: the rows of any time, from what is stored.

Slots are aligned to UTC and written in UTC, so that no change of clocks makes a slot come twice or not
at all; the local time stands beside it with its offset.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Self

import msgspec

from callsteward.clock import DAY_MS
from callsteward.config import Config
from callsteward.intervals import grid, slot
from callsteward.intervals.keeping import SumsKeeper
from callsteward.intervals.measures import MEASURES, Unit
from callsteward.intervals.row import IntervalKind, IntervalRow
from callsteward.intervals.scheme import scheme
from callsteward.intervals.slot_sums import OnlyPart, SlotSums, merged
from callsteward.intervals.store import IntervalStore
from callsteward.intervals.stored_sums import StoredSums
from callsteward.store.records import Store
from callsteward.terminal.files import Cells, Columns, Holds

# Read at a time: a year needs no more memory than a day.
CHUNK_MS = DAY_MS

_PART: dict[IntervalKind, OnlyPart] = {IntervalKind.LINE: "lines", IntervalKind.OPERATOR: "operators"}
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
    source = await ReportSource.of(config, store)
    wanted = await source.wanted(config, from_ms, to_ms, minutes)
    starts = grid.slots(from_ms, to_ms, minutes)
    a_day = CHUNK_MS // (minutes * grid.MINUTE_MS)
    for first in range(0, len(starts), a_day):
        some = starts[first : first + a_day]
        known = await source.around(some[0], some[-1] + starts.step)
        parts = [
            part
            async for part in source.keeper.parts(
                some[0], some[-1] + starts.step, days=False, only=_PART[kind]
            )
        ]
        yield [row for start_ms in some for row in _rows(kind, name, wanted, start_ms, parts, known)]


async def of_periods(
    config: Config,
    store: Store,
    kind: IntervalKind,
    spans: Sequence[tuple[int, int]],
    name: str | None = None,
) -> AsyncIterator[list[IntervalRow]]:
    """The rows of each span [from, to), one span at a time: days, weeks, months. Otherwise as `intervals`."""
    source = await ReportSource.of(config, store)
    if not spans:
        return
    wanted = await source.wanted(config, spans[0][0], spans[-1][1], 0)
    for from_ms, to_ms in spans:
        scheme = msgspec.structs.replace(wanted, minutes=(to_ms - from_ms) // grid.MINUTE_MS)
        known = await source.around(from_ms, to_ms)
        parts = [part async for part in source.keeper.parts(from_ms, to_ms, days=True, only=_PART[kind])]
        yield _rows(kind, name, scheme, from_ms, parts, known)


def _rows(
    kind: IntervalKind,
    name: str | None,
    wanted: slot.Scheme,
    start_ms: int,
    parts: Sequence[tuple[int, SlotSums]],
    known: slot.Known,
) -> list[IntervalRow]:
    """The rows of one interval, from those of the parts that are in it."""
    end_ms = start_ms + wanted.minutes * grid.MINUTE_MS
    mine = [sums for at_ms, sums in parts if start_ms <= at_ms < end_ms]
    sums = mine[0] if len(mine) == 1 else merged(mine)
    return slot.rows_of_sums(wanted, kind, start_ms, sums, known, name)


class ReportSource:
    """A site's stored sums, and its records where there are none."""

    def __init__(self, store: Store, site: str, known_since_ms: int) -> None:
        self.keeper = SumsKeeper(store.engine, site)
        self._intervals = IntervalStore(store.engine, site, since_ms=known_since_ms)

    @classmethod
    async def of(cls, config: Config, store: Store) -> Self:
        """The one of the configuration's site. Raises StoreError."""
        site = config.site.name
        return cls(store, site, await StoredSums(store.engine, site).known_since_ms())

    async def around(self, from_ms: int, to_ms: int) -> slot.Known:
        """When the daemon watched; what it saw is in the sums."""
        return await self._intervals.around(from_ms, to_ms, ())

    async def wanted(self, config: Config, from_ms: int, to_ms: int, minutes: int) -> slot.Scheme:
        """The rows to make: also of lines and operators that are only in the calls."""
        lines, operators = await self.keeper.names(from_ms, to_ms)
        wanted = scheme(config, minutes)
        return msgspec.structs.replace(
            wanted,
            lines=tuple(dict.fromkeys((*(wanted.lines if config.lines else ()), *lines))) or wanted.lines,
            operators=tuple(dict.fromkeys((*wanted.operators, *operators))),
        )


def cells(row: IntervalRow, zone: tzinfo) -> Cells:
    """A row as the cells of a file, under `columns`."""
    start, end, local = _moments(row.start_ms, row.end_ms, zone)
    return {
        "site": row.site,
        row.kind.value: row.name,
        "start": start,
        "end": end,
        "start_local": local,
        "minutes": row.minutes,
        **row.values,
    }


@lru_cache(maxsize=4)
def _moments(start_ms: int, end_ms: int, zone: tzinfo) -> tuple[str, str, str]:
    """The same for all rows of a slot."""
    local = datetime.fromtimestamp(start_ms / 1000, UTC).astimezone(zone)
    return grid.iso(start_ms), grid.iso(end_ms), local.isoformat()


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
