"""Rows that are the same in every form: one cell for each field, and a table of some of the cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any, TypeVar

from callsteward.record.moments import rfc3339
from callsteward.terminal.files import Cells, Columns, Holds
from callsteward.terminal.printing import Listing

if TYPE_CHECKING:
    from rich.table import Table

T = TypeVar("T")


def plain_listing(
    columns: Columns, heads: Mapping[str, str], zone: tzinfo, cells: Callable[[T], Cells] | None = None
) -> Listing[T]:
    """`heads`: of each column of the table, which column it shows. Its times are of `zone`.

    Without `cells` the fields of a row are named as the columns, and its moments are in milliseconds
    (`added_at` is the field `added_at_ms`).
    """
    read = cells or (lambda row: {name: _field(row, name, holds) for name, holds in columns.items()})

    def table(rows: Sequence[T], _width: int) -> Table:
        from callsteward.terminal.plain import plain_table

        return plain_table(
            tuple(heads),
            [
                [_text(found[name], columns[name], zone) for name in heads.values()]
                for found in map(read, rows)
            ],
        )

    return Listing(columns, read, table)


def _field(row: object, name: str, holds: Holds) -> Any:
    return rfc3339(getattr(row, f"{name}_ms")) if holds is Holds.MOMENT else getattr(row, name)


def _text(value: Any, holds: Holds, zone: tzinfo) -> str | None:
    if value is None:
        return None
    if holds is Holds.MOMENT:
        return f"{datetime.fromisoformat(value).astimezone(zone):%Y-%m-%d %H:%M:%S}"
    return str(value)
