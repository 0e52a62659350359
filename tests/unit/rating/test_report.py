"""The report: sums by operator or line, of records and of the results of rating calls."""

from __future__ import annotations

from typing import Any

import msgspec

from callsteward.rating.report import NOBODY, RatingSums, RatingTally, total
from callsteward.rating.states import RatingState
from callsteward.record.call import CallRecord, Direction, Rating
from tests.unit.feed.conftest import RATED
from tests.unit.store.samples import RECORD


def call(status: str, reason: str = "stay", score: int | None = None, **changes: Any) -> CallRecord:
    return msgspec.structs.replace(RECORD, rating=Rating(status, reason, score), **changes)


def tallied(*records: CallRecord, by: Any = "operator", ratings: Any = ()) -> list[RatingSums]:
    tally = RatingTally(by, ratings)
    for record in records:
        tally.add(record)
    return tally.rows()


def test_mean_distribution_and_shares() -> None:
    (row,) = tallied(
        call("answered", score=5),
        call("answered", score=5),
        call("answered", score=2),
        call("unanswered", "silence"),
        call("not_asked", "client_hung_up"),
        call("not_asked", "client_hung_up"),
        call("not_asked", "atypical"),
        call("not_asked", "not_in_sample"),
    )
    assert (row.key, row.calls, row.asked, row.answered, row.score_sum) == ("101", 8, 4, 3, 12)
    assert (row.mean, row.share_asked, row.share_answered) == (4.0, 0.5, 0.75)
    assert row.scores == {1: 0, 2: 1, 3: 0, 4: 0, 5: 2}
    assert list(row.not_asked.items()) == [("client_hung_up", 2), ("atypical", 1), ("not_in_sample", 1)]


def test_missing_values_are_null_and_not_0() -> None:
    (row,) = tallied(call("not_asked", "atypical"))
    assert (row.mean, row.share_asked, row.share_answered) == (None, 0.0, None)
    assert RatingSums(key="x").share_asked is None


def test_a_row_each_and_their_sum() -> None:
    rows = tallied(
        call("answered", score=5, operator="102"),
        call("answered", score=1, operator="101"),
        call("not_asked", "atypical", operator="102"),
    )
    assert [row.key for row in rows] == ["101", "102", "all"]
    whole = rows[-1]
    assert (whole.calls, whole.asked, whole.answered, whole.mean) == (3, 2, 2, 3.0)
    assert whole.not_asked == {"atypical": 1}
    assert whole.scores == {1: 1, 2: 0, 3: 0, 4: 0, 5: 1}
    assert total([]).calls == 0


def test_by_line_and_for_nobody() -> None:
    rows = tallied(call("answered", score=5, line="a"), call("answered", score=4, line="b"), by="line")
    assert [row.key for row in rows] == ["a", "b", "all"]
    (row,) = tallied(call("not_asked", "atypical", operator=None))
    assert row.key == NOBODY


def test_calls_whose_client_cannot_be_asked_are_left_out() -> None:
    assert tallied(call("not_asked", "not_connected", answered_at=None)) == []
    assert tallied(call("not_asked", "outbound", direction=Direction.OUTBOUND)) == []
    assert tallied(call("answered", "call", 5, direction=Direction.RATING)) == []
    # A callback whose client was asked counts.
    assert len(tallied(call("answered", score=5, direction=Direction.CALLBACK))) == 1


def test_a_rating_call_counts_with_the_call_it_is_about() -> None:
    def later(state: RatingState, **changes: Any) -> RatingSums:
        rating = msgspec.structs.replace(
            RATED.rating, call_id=RECORD.call_id, state=state, **({"score": None} | changes)
        )
        (row,) = tallied(call("scheduled", "call"), ratings=[rating])
        return row

    row = later(RatingState.ANSWERED, score=4)
    assert (row.asked, row.answered, row.mean, row.waiting) == (1, 1, 4.0, 0)
    row = later(RatingState.UNANSWERED, reason="silence")
    assert (row.asked, row.answered, row.waiting) == (1, 0, 0)
    for state in (RatingState.SCHEDULED, RatingState.DIALLING):
        row = later(state)
        assert (row.asked, row.waiting, row.not_asked) == (0, 1, {})
    assert later(RatingState.NOT_REACHED, reason="busy").not_asked == {"busy": 1}
    assert later(RatingState.EXPIRED, reason="").not_asked == {"expired": 1}
    (row,) = tallied(call("scheduled", "call"))
    assert row.waiting == 1
