"""The counts of rated calls, by line and operator: of one call, and of several parts of a time."""

from __future__ import annotations

import msgspec

from callsteward.record.call import CallRecord, Direction, Rating
from callsteward.record.rated import Rated, RatedSums, add_call, add_sums
from tests.unit.store.samples import RECORD


def of(call_id: str, rating: Rating, **changes: object) -> CallRecord:
    return msgspec.structs.replace(RECORD, call_id=call_id, rating=rating, **changes)


def test_each_call_counts_once_for_its_line_and_operator() -> None:
    sums: RatedSums = {}
    for record in (
        of("1", Rating("answered", "", 5)),
        of("2", Rating("unanswered", "hung_up", None)),
        of("3", Rating("not_asked", "no_number", None)),
        of("4", Rating("scheduled", "", None), operator=None),
        # Nobody talked; a rating call itself; an outbound call whose client was not asked; no client at all.
        of("5", Rating("not_asked", "no_talk", None), answered_at=None),
        of("6", Rating("answered", "", 1), direction=Direction.RATING),
        of("7", Rating("not_asked", "outbound", None), direction=Direction.OUTBOUND),
        of("8", Rating("scheduled", "", None), direction=Direction.INTERNAL),
    ):
        add_call(sums, record)
    assert sums == {
        RECORD.line: {
            RECORD.operator or "": Rated(3, 2, {5: 1}, {"no_number": 1}, []),
            "": Rated(1, 0, {}, {}, ["4"]),
        }
    }


def test_the_parts_of_a_time_are_added_and_stay_as_they_were() -> None:
    morning: RatedSums = {"support": {"101": Rated(3, 2, {5: 1}, {"listed": 1}, ["1"])}}
    noon: RatedSums = {
        "support": {"101": Rated(2, 1, {5: 1}, {"listed": 2}, ["2"]), "102": Rated(1, 1, {4: 1})}
    }
    whole: RatedSums = {}
    for part in (morning, noon):
        add_sums(whole, part)
    assert whole == {
        "support": {"101": Rated(5, 3, {5: 2}, {"listed": 3}, ["1", "2"]), "102": Rated(1, 1, {4: 1})}
    }
    assert morning == {"support": {"101": Rated(3, 2, {5: 1}, {"listed": 1}, ["1"])}}
