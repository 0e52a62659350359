"""The result of one run."""

from __future__ import annotations

import msgspec

from tests.chaos.cells import Cell
from tests.chaos.plan import AnyCell, Run
from tests.chaos.rating_cells import FAULT, RatingCell
from tests.chaos.record_verdict import Count


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One run. `trouble`: why it could not be played, which is no fault of the daemon.

    A callback's run has `invites` and `ended`, a record's has `count`. `lives`: exit codes of the daemon.
    """

    number: int
    matrix: str
    fault: str
    phase: str
    variant: str
    seed: int
    invites: int = 0
    ended: str = ""
    count: Count | None = None
    breach: str = ""
    trouble: str = ""
    lives: list[int] = []
    seconds: float = 0.0
    evidence: str = ""

    @property
    def summary(self) -> str:
        """In a few words."""
        if self.trouble:
            return self.trouble
        if self.count is None:
            return f"{self.invites} INVITE, {self.ended}"
        seen = self.count
        told = f"{seen.placed} placed, {seen.records} recorded, {seen.unobserved} incomplete"
        if seen.rating:
            told += f", rating {seen.rating}"
        if seen.let_go_s is not None:
            told += f", let go after {seen.let_go_s:.1f} s"
        return told


def of(run: Run) -> Result:
    """Before it is played."""
    matrix, fault, phase, variant = key(run.cell)
    return Result(number=run.number, matrix=matrix, fault=fault, phase=phase, variant=variant, seed=run.seed)


def key(cell: AnyCell) -> tuple[str, str, str, str]:
    """A cell's place in its table: matrix, fault, phase, and scene or way of being connected."""
    if isinstance(cell, Cell):
        return ("callbacks", cell.fault.value, cell.phase, cell.scene.value)
    if isinstance(cell, RatingCell):
        return ("ratings", FAULT, cell.phase, cell.scene.value)
    return ("records", cell.fault.value, cell.phase.value, cell.connect.value)
