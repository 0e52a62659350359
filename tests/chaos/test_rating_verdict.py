"""When a rating is wrong, or a client was let go in silence."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from callsteward.record.call import CallRecord, Direction, Rating
from tests.chaos.rating_verdict import (
    ANSWERED,
    HUNG_UP,
    INTERRUPTED,
    Does,
    Menu,
    Told,
    choices,
    mistakes,
    named,
    possible,
)
from tests.chaos.record_cells import Outer
from tests.unit.store.samples import RECORD

THANKED = Menu(let_go_s=3.0, thanked=True)


def _record(told: Told) -> CallRecord:
    return msgspec.structs.replace(RECORD, direction=Direction.INBOUND, rating=Rating(*told))


def _row(told: Told, **changes: Any) -> dict[str, Any]:
    return {"state": told[0], "score": told[2], **changes}


def _found(told: Told, *rows: dict[str, Any], menu: Menu = THANKED) -> list[str]:
    return mistakes([_record(told)], rows, allowed=(INTERRUPTED, ANSWERED), menu=menu)


def test_a_rating_as_it_was_is_well() -> None:
    assert _found(INTERRUPTED, _row(INTERRUPTED)) == []
    assert _found(ANSWERED, _row(ANSWERED)) == []
    assert _found(INTERRUPTED, _row(INTERRUPTED), menu=Menu(let_go_s=None, thanked=False)) == []


@pytest.mark.parametrize(
    ("told", "rows", "menu", "breach"),
    [
        (HUNG_UP, [_row(HUNG_UP)], THANKED, "rating is unanswered (hung_up)"),
        (INTERRUPTED, [], THANKED, "0 rows"),
        (ANSWERED, [_row(ANSWERED), _row(ANSWERED)], THANKED, "2 rows"),
        (INTERRUPTED, [_row(INTERRUPTED, state="asking")], THANKED, "left the rating asking"),
        (ANSWERED, [_row(ANSWERED, score=1)], THANKED, "the ledger says answered, 1"),
        (ANSWERED, [_row(ANSWERED)], Menu(let_go_s=5.1, thanked=True), "let go after 5.1 s"),
        (ANSWERED, [_row(ANSWERED)], Menu(let_go_s=1.0, thanked=False), "not thanked"),
    ],
)
def test_mistakes_are_named(told: Told, rows: list[dict[str, Any]], menu: Menu, breach: str) -> None:
    (found,) = _found(told, *rows, menu=menu)
    assert breach in found


def test_a_client_who_was_not_asked_has_no_row() -> None:
    told = ("not_asked", "not_observed", None)
    assert mistakes([_record(told)], [], allowed=[told], menu=THANKED) == []
    assert "1 rows" in mistakes([_record(told)], [_row(INTERRUPTED)], allowed=[told], menu=THANKED)[0]
    assert named([_record(told)]) == "not_asked (not_observed)"
    assert named([_record(ANSWERED)]) == "answered (4)"


def test_a_key_counts_where_nothing_failed_and_may_where_both_were_at_once() -> None:
    assert list(possible(Outer.BROKER, Does.PRESSES)) == [ANSWERED]
    assert list(possible(Outer.BROKER, Does.HANGS_UP)) == [HUNG_UP]
    assert set(possible(Outer.KILL, Does.PRESSES_BEFORE)) == {ANSWERED, INTERRUPTED}
    assert list(possible(Outer.CUT, Does.PRESSES)) == [INTERRUPTED]
    for fault in Outer:
        for does in choices(fault):
            assert possible(fault, does)
