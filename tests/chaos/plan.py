"""The choice of cells, their number and order. Pure: the same seed gives the same plan."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import cycle

import msgspec

from tests.chaos.cells import Cell
from tests.chaos.rating_cells import RatingCell
from tests.chaos.record_cells import RecordCell

AnyCell = Cell | RatingCell | RecordCell


class Run(msgspec.Struct, frozen=True):
    """A cell and the seed of its random times."""

    number: int
    cell: AnyCell
    seed: int


def plan(cells: Sequence[AnyCell], runs: int, seed: int) -> list[Run]:
    """The plan of the runs: each cell in turn, shuffled, then again with other times."""
    chance = random.Random(seed)
    rounds = cycle(cells)
    order = [next(rounds) for _ in range(runs)]
    chance.shuffle(order)
    return [Run(number, cell, chance.randrange(2**31)) for number, cell in enumerate(order, start=1)]


def chosen(cells: Sequence[AnyCell], only: Sequence[str]) -> list[AnyCell]:
    """The cells whose title has each word of any of the texts in it; all without a text."""

    def fits(cell: AnyCell) -> bool:
        title = cell.title.lower()
        return any(all(word in title for word in text.lower().split()) for text in only)

    return [cell for cell in cells if not only or fits(cell)]
