"""Rows of one interval: what counts, what is zero and what is null."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from callsteward.callback.states import CallbackState
from callsteward.intervals import grid, slot, sums
from callsteward.intervals.measures import LINE_MEASURES, MEASURES, OPERATOR_MEASURES
from callsteward.intervals.presence import Change, overlap_ms, staffed_and_available_ms
from callsteward.intervals.row import IntervalKind, IntervalRow
from callsteward.intervals.scope import Contact
from callsteward.intervals.slot import Known, Scheme
from callsteward.record.call import (
    Attempt,
    AttemptResult,
    CallbackDecision,
    CallRecord,
    Decision,
    Direction,
    Outcome,
    Rating,
    Silence,
    Transfer,
    TransferKind,
    TransferResult,
)
from tests.unit.intervals.days import DAY_MS, HOUR_MS, at, call

START = DAY_MS + 8 * HOUR_MS
END = START + 1_800_000
SCHEME = Scheme(site="main", minutes=30, thresholds_s=(2, 20), lines=("support",), operators=("101",))
WATCHED: dict[str, Any] = {"watched": [(START - 1, END + 1)], "watched_since_ms": START - 1}
DUE = CallbackDecision(Decision.DUE, "mid_dialogue_drop")


def line(*records: CallRecord, callback: CallbackState | None = None) -> dict[str, Any]:
    return summed(sums.Sums(LINE_MEASURES, (2, 20)), [Contact(item, callback) for item in records])


def operator(name: str, *records: CallRecord) -> dict[str, Any]:
    return summed(sums.Sums(OPERATOR_MEASURES, (2, 20), name), [Contact(item) for item in records])


def summed(row: sums.Sums, contacts: Iterable[Contact]) -> dict[str, Any]:
    for contact in contacts:
        row.add(contact)
    return row.row()


def rows(known: Known, scheme: Scheme = SCHEME) -> dict[tuple[str, str], IntervalRow]:
    return {(row.kind.value, row.name): row for row in slot.rows(scheme, START, known)}


def test_an_interval_without_calls_has_zeros_and_no_service_level() -> None:
    empty = line()
    assert {key for key, value in empty.items() if value is None} == {
        key for key in empty if key.startswith("service_level_")
    }
    assert {value for key, value in empty.items() if not key.startswith("service_level_")} == {0}


def test_an_interval_that_nobody_watched_says_null_and_not_zero() -> None:
    unwatched = Known(watched=[], watched_since_ms=START - 1)
    found = rows(unwatched)
    for row in found.values():
        assert row.values.pop("observed_s") == 0
        assert set(row.values.values()) == {None}


@pytest.mark.parametrize(
    "before", [Known(), Known(watched=[(END + 5, END + 9)], watched_since_ms=END + 5)], ids=["never", "later"]
)
def test_an_interval_before_the_installation_says_null_and_not_zero(before: Known) -> None:
    """A forecast that learns from zeros takes the time before the installation for quiet nights."""
    for row in rows(before).values():
        assert set(row.values.values()) == {None}


def test_an_interval_before_anybody_wrote_down_what_was_watched_has_its_calls() -> None:
    found = rows(Known(contacts=[Contact(call())]))[("line", "support")].values
    assert found["observed_s"] is None
    assert found["offered"] == 1


def test_a_call_of_an_interval_that_nobody_watched_counts_all_the_same() -> None:
    found = rows(Known(contacts=[Contact(call())], watched_since_ms=START - 1))
    assert found[("line", "support")].values["offered"] == 1
    assert found[("operator", "101")].values["answered"] == 1


def test_a_watched_interval_says_for_how_long() -> None:
    found = rows(Known(watched=[(START, START + 600_000), (END - 1000, END + 5)], watched_since_ms=START))
    assert found[("line", "support")].values["observed_s"] == 601.0
    assert found[("line", "support")].values["offered"] == 0


def test_lines_and_operators_that_are_not_configured_have_rows_where_they_had_calls() -> None:
    other = call(line="sales", operator="107", attempts=())
    found = rows(Known(contacts=[Contact(other)], **WATCHED))
    assert list(found) == [("line", "sales"), ("line", "support"), ("operator", "101"), ("operator", "107")]
    assert found[("operator", "107")].values["answered"] == 1


def test_a_call_still_on_counts_among_the_concurrent_ones_of_a_later_interval() -> None:
    earlier = ("support", START - 5_000_000, START + 10)
    found = rows(Known(spans=[earlier, ("support", START + 10, END)], **WATCHED))[("line", "support")]
    assert found.values["concurrent_max"] == 1
    assert found.values["offered"] == 0
    both = rows(Known(spans=[earlier, ("support", START + 9, END)], **WATCHED))[("line", "support")]
    assert both.values["concurrent_max"] == 2


def test_service_levels_differ_as_their_formulas_do() -> None:
    row = line(
        call(1, wait_s=1.0),
        call(2, wait_s=2.0),
        call(3, wait_s=2.001),
        call(4, wait_s=19.0),
        call(5, wait_s=1.5, outcome=Outcome.SHORT_ABANDONED),
        call(6, wait_s=30.0, outcome=Outcome.ABANDONED),
        call(7, wait_s=8.0, outcome=Outcome.NO_ANSWER),
    )
    assert (row["offered"], row["answered"], row["abandoned"], row["not_taken"]) == (7, 4, 2, 1)
    assert (row["answered_le_2"], row["abandoned_le_2"], row["answered_le_20"]) == (2, 1, 4)
    assert row["service_level_answered_abandoned_2"] == round(2 / 6, 4)
    assert row["service_level_answered_2"] == 0.5
    assert row["service_level_abandons_positive_2"] == 0.5
    assert row["service_level_short_left_out_2"] == 0.4
    assert row["wait_s_sum"] == 63.501
    assert row["abandon_wait_s_sum"] == 31.5
    assert row["answered_wait_s_sum"] == 24.001


def test_a_call_whose_wait_nobody_saw_is_in_no_service_level() -> None:
    row = line(call(1, wait_s=1.0), call(2, wait_s=None))
    assert (row["answered"], row["answered_wait_unknown"], row["sl_answered_den"]) == (2, 1, 1)
    assert row["service_level_answered_2"] == 1.0
    assert row["wait_s_sum"] == 1.0
    nothing = line(call(2, wait_s=None))
    assert nothing["wait_s_sum"] is None
    assert nothing["service_level_answered_2"] is None


def test_silences_are_null_where_nobody_listened_and_counted_where_somebody_did() -> None:
    deaf = line(call(silences=None))
    assert (deaf["silence_count"], deaf["calls_listened"]) == (None, 0)
    heard = line(call(1, silences=None), call(2, silences=(Silence(at(8.1), 11.0),)), call(3, silences=()))
    assert (heard["silence_count"], heard["calls_listened"]) == (1, 2)


def test_after_call_work_is_null_where_a_call_was_answered() -> None:
    assert line(call())["acw_s_sum"] is None
    assert line(call(outcome=Outcome.ABANDONED))["acw_s_sum"] == 0


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (None, (1, None, None, 0)),
        (CallbackState.DUE, (1, 0, 0, 1)),
        (CallbackState.REACHED, (1, 1, 0, 0)),
        (CallbackState.NOT_REACHED, (1, 0, 1, 0)),
        (CallbackState.CANCELLED, (1, 0, 0, 0)),
    ],
)
def test_callbacks_are_counted_by_the_ledger(state: CallbackState | None, expected: tuple[Any, ...]) -> None:
    row = line(call(callback=DUE), callback=state)
    keys = ("callbacks_due", "callbacks_reached", "callbacks_not_reached", "callbacks_open")
    assert tuple(row[key] for key in keys) == expected


def test_a_callback_that_was_asked_for_after_the_record_was_made_is_due_too() -> None:
    assert line(call(), callback=CallbackState.REACHED)["callbacks_due"] == 1
    assert line(call(), callback=CallbackState.SUPPRESSED)["callbacks_due"] == 0
    assert line(call())["callbacks_due"] == 0


def test_ratings_and_calls_to_clients() -> None:
    row = line(
        call(1, rating=Rating("given", "", 5)),
        call(2, rating=Rating("given", "", 2)),
        call(3, direction=Direction.CALLBACK),
        call(4, direction=Direction.OUTBOUND, outcome=Outcome.NO_ANSWER, talk_s=0.0),
        call(5, direction=Direction.INTERNAL),
    )
    assert (row["ratings_count"], row["ratings_sum"]) == (2, 7)
    assert (row["offered"], row["outbound"], row["outbound_answered"]) == (2, 2, 1)
    assert row["outbound_talk_s_sum"] == 40.0


def _handed_over() -> CallRecord:
    """101 answered, 102 had the client last and hung up."""
    answered = AttemptResult.ANSWERED
    return call(
        operator="102",
        attempts=(Attempt("101", at(8.1), 3.0, answered), Attempt("102", at(8.2), 2.0, answered)),
        transfers=(Transfer(TransferKind.BLIND, "101", "102", at(8.15), TransferResult.COMPLETED),),
    )


def test_a_transferred_call_is_in_nobodys_own_talk() -> None:
    record = _handed_over()
    first, second = operator("101", record), operator("102", record)
    for row in (first, second):
        assert (row["offered"], row["answered"], row["shared"]) == (1, 1, 1)
        assert (row["talk_s_sum"], row["hold_s_sum"]) == (0, 0)
        assert row["shared_contact_s_sum"] == 44.999
    assert (first["transfers"], second["transfers"]) == (1, 0)


def test_a_colleague_who_did_not_answer_is_offered_the_call_and_no_more() -> None:
    record = call(
        operator="102",
        attempts=(
            Attempt("101", at(8.1), 15.0, AttemptResult.NO_ANSWER),
            Attempt("102", at(8.2), 2.0, AttemptResult.ANSWERED),
        ),
    )
    missed = operator("101", record)
    assert (missed["offered"], missed["answered"], missed["rings"], missed["rings_missed"]) == (1, 0, 1, 1)
    assert missed["talk_s_sum"] == 0
    taken = operator("102", record)
    assert (taken["answered"], taken["rings_missed"], taken["talk_s_sum"]) == (1, 0, 40.0)


def test_an_abandoned_call_counts_for_those_whose_phone_rang() -> None:
    record = call(
        operator=None,
        outcome=Outcome.ABANDONED,
        attempts=(Attempt("101", at(8.1), 9.0, AttemptResult.CANCELLED),),
    )
    assert operator("101", record)["abandoned"] == 1
    assert operator("102", record)["offered"] == 0


def test_internal_calls_are_in_no_row_and_outbound_ones_in_their_operators() -> None:
    inside = call(direction=Direction.INTERNAL)
    assert operator("101", inside)["answered"] == 0
    assert rows(Known(contacts=[Contact(inside)], **WATCHED))[("operator", "101")].values["rings"] == 0
    to_client = call(direction=Direction.OUTBOUND, attempts=())
    row = operator("101", to_client)
    assert (row["outbound"], row["outbound_talk_s_sum"], row["offered"]) == (1, 40.0, 0)
    assert operator("101", call(direction=Direction.RATING))["outbound"] == 0
    assert line(call(direction=Direction.RATING))["outbound"] == 0


def test_the_keys_of_a_row_are_those_of_its_values_in_order() -> None:
    known = Known(contacts=[Contact(call())], **WATCHED)
    for (kind, _), row in rows(known).items():
        assert sorted(slot.keys(IntervalKind(kind), (2, 20))) == sorted(row.values)
        message_keys = [key for key in slot.keys(IntervalKind(kind), (2, 20)) if key in row.values]
        assert len(message_keys) == len(set(message_keys))


def test_each_measure_is_of_lines_or_of_operators_and_stands_once() -> None:
    names = [measure.name for measure in MEASURES]
    assert len(names) == len(set(names))
    assert {measure.name for measure in (*LINE_MEASURES, *OPERATOR_MEASURES)} == set(names)


# --- the grid ---------------------------------------------------------------------------------------


def test_slots_are_aligned_to_utc_and_cover_what_was_asked_for() -> None:
    assert grid.slot_of(START + 1_799_999, 30) == START
    assert list(grid.slots(START + 1, START + 1_800_001, 30)) == [START, START + 1_800_000]
    assert list(grid.slots(START, START, 15)) == []
    assert grid.topic_name(START) == "20261122T0800Z"
    assert grid.iso(START) == "2026-11-22T08:00:00Z"


# --- phones -----------------------------------------------------------------------------------------


def test_staffed_is_a_phone_that_can_be_reached_and_available_one_that_is_free() -> None:
    changes = [
        Change(START - 10, "NOT_INUSE"),
        Change(START + 1000, "INUSE"),
        Change(START + 3000, "UNAVAILABLE"),
        Change(START + 6000, "NOT_INUSE"),
    ]
    assert staffed_and_available_ms(changes, [(START, END)], START, END) == (1_797_000, 1_795_000)
    assert staffed_and_available_ms(changes, [(START, START + 2000)], START, END) == (2000, 1000)
    assert staffed_and_available_ms(changes, [(START - 99, START + 500)], START, START + 400) == (400, 400)


def test_a_phone_whose_state_was_not_known_all_the_time_is_null() -> None:
    late = [Change(START + 1000, "NOT_INUSE")]
    assert staffed_and_available_ms(late, [(START, END)], START, END) == (None, None)
    assert staffed_and_available_ms(late, [(START + 1000, END)], START, END) == (1_799_000, 1_799_000)
    lost = [Change(START - 1, "INUSE"), Change(START + 5, None)]
    assert staffed_and_available_ms(lost, [(START, END)], START, END) == (None, None)
    assert staffed_and_available_ms([], [(START, END)], START, END) == (None, None)
    assert staffed_and_available_ms(late, [], START, END) == (None, None)


def test_spans_that_overlap_are_counted_once() -> None:
    assert overlap_ms([(0, 10), (5, 20), (30, 40)], 2, 35) == 23
    assert overlap_ms([(0, 10), (2, 4)], 0, 100) == 10
    assert overlap_ms([], 0, 100) == 0
