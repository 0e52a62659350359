"""A row of an interval, as a value: published by the daemon and printed by `callsteward report`."""

from __future__ import annotations

import hashlib
from enum import StrEnum

import msgspec

from callsteward.intervals.grid import MINUTE_MS

Value = int | float | None


class IntervalKind(StrEnum):
    LINE = "line"
    OPERATOR = "operator"


class IntervalExpired(msgspec.Struct, frozen=True):
    """A published row to be forgotten by a broker that cannot expire messages."""

    kind: IntervalKind
    name: str
    start_ms: int


class IntervalRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row. `values` holds every sum by its key, with `observed_s` and the keys of its kind.

    `revision` is 0 for a row that was not published.
    """

    site: str
    kind: IntervalKind
    name: str
    start_ms: int
    minutes: int
    thresholds_s: tuple[int, ...]
    values: dict[str, Value]
    revision: int = 0
    final: bool = False

    @property
    def end_ms(self) -> int:
        return self.start_ms + self.minutes * MINUTE_MS

    @property
    def digest(self) -> str:
        """A digest of the values: rows with the same content have the same."""
        return hashlib.sha256(msgspec.json.encode(self.values, order="sorted")).hexdigest()[:32]
