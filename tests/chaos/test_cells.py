"""The list of trials is complete, and the same seed gives the same plan."""

from __future__ import annotations

from callsteward import faults
from callsteward.callback.states import CallbackState
from callsteward.outgoing.fence import ACTS
from callsteward.rating.states import RatingState
from tests.chaos.cells import SHARPEST, Cell, Fault, Moment, every_cell
from tests.chaos.plan import chosen, plan
from tests.chaos.rating_cells import SHARPEST_RATINGS, every_rating_cell
from tests.chaos.record_cells import SHARPEST_RECORDS, Connect, Outer, Phase, RecordCell, every_record_cell

# Removing old numbers and fences rings no phone.
NOT_PLAYED = {"before:forget", "after:forget"}


def test_every_fault_point_has_its_cell() -> None:
    assert {point for cell in every_cell() for point in cell.points} == set(
        faults.points(CallbackState)
    ) - NOT_PLAYED


def test_every_fault_point_of_a_rating_call_has_its_cell() -> None:
    points = {
        f"{when}:rating:{name}" for name in (*RatingState, "kept", *ACTS) for when in ("before", "after")
    }
    # Nobody cancels a rating call; removing fences rings no phone.
    never = {f"{when}:rating:{name}" for name in ("cancelled", "forget") for when in ("before", "after")}
    assert {point for cell in every_rating_cell() for point in cell.points} == points - never
    assert set(SHARPEST_RATINGS) <= set(every_rating_cell())


def test_every_outer_fault_comes_in_every_phase() -> None:
    outer = set(Fault) - {Fault.POINT, Fault.POINTS, Fault.DISK_LONG}
    assert {(cell.fault, cell.moment) for cell in every_cell() if cell.fault in outer} == {
        (fault, moment) for fault in outer for moment in Moment
    }


def test_no_cell_is_listed_twice_and_the_sharpest_are_among_them() -> None:
    cells = every_cell()
    assert len(set(cells)) == len(cells)
    assert set(SHARPEST) <= set(cells)


def test_a_seed_plays_the_same_again() -> None:
    cells = every_cell()
    assert plan(cells, 100, 7) == plan(cells, 100, 7)
    assert plan(cells, 100, 7) != plan(cells, 100, 8)


def test_no_cell_comes_twice_before_each_came_once() -> None:
    cells = every_cell()
    runs = plan(cells, len(cells) + 5, 7)
    assert {run.cell for run in runs} == set(cells)
    assert [run.number for run in runs] == list(range(1, len(cells) + 6))


def test_cells_are_chosen_by_words_of_their_title() -> None:
    found = chosen(every_cell(), ["asterisk talk", "after:offered"])
    cells = [cell for cell in found if isinstance(cell, Cell)]
    assert len(cells) == len(found)
    assert Fault.PBX_KILL in {cell.fault for cell in cells}
    assert all("after:offered" in cell.points or cell.moment is Moment.TALK for cell in cells)
    assert chosen(every_cell(), ["no such words"]) == []


def test_every_fault_of_a_record_comes_in_every_phase_and_way_of_being_connected() -> None:
    ways = {Connect.CLIENT: set(Outer), Connect.OUTBOUND: set(Outer), Connect.KEPT: {Outer.KILL, Outer.TERM}}
    assert set(every_record_cell()) == {
        RecordCell(fault, phase, connect)
        for connect, faults in ways.items()
        for fault in faults
        for phase in Phase
    }
    assert {cell.connect for cell in every_record_cell() if cell.observed} == {Connect.KEPT}
    assert set(SHARPEST_RECORDS) <= set(every_record_cell())
