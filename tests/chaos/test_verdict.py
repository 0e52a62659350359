"""The breaches that the verdict finds."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chaos.cells import Scene
from tests.chaos.verdict import judge

ORIGIN = {"direction": "inbound", "complete": True, "callback": {"decision": "due", "reason": "drop"}}
UNSEEN = ORIGIN | {
    "complete": False,
    "callback": {"decision": "not_due", "reason": "end_not_observed"},
}


def _judged(
    state: str,
    reason: str = "a reason",
    *,
    invites: int = 1,
    answered: bool = False,
    scene: Scene = Scene.REACHED,
    **more: Any,
) -> str:
    rows = [{"state": state, "reason": reason}] if state else []
    given: dict[str, Any] = {"rows": rows, "records": [ORIGIN], **more}
    return judge(scene, invites=invites, answered=answered, **given).breach


@pytest.mark.parametrize(
    ("state", "reason", "invites", "answered"),
    [
        ("reached", "answered", 1, True),
        ("not_reached", "busy", 1, False),
        ("not_reached", "result_unknown", 1, True),
        ("not_reached", "unavailable", 0, False),
        ("expired", "nobody_free", 0, False),
    ],
)
def test_one_invite_is_right_and_so_is_none_with_a_reason(
    state: str, reason: str, invites: int, answered: bool
) -> None:
    assert _judged(state, reason, invites=invites, answered=answered) == ""


@pytest.mark.parametrize(
    ("state", "reason", "invites", "answered", "breach"),
    [
        ("reached", "answered", 2, True, "rang 2 times"),
        ("due", "", 0, False, "left due"),
        ("dialling", "", 1, False, "left dialling"),
        ("reached", "answered", 0, False, "no phone rang"),
        ("reached", "answered", 1, False, "nobody answered"),
        ("expired", "", 0, False, "does not say why"),
        ("expired", "nobody_free", 1, False, "says expired"),
        ("not_reached", "busy", 1, True, "the ledger says busy"),
    ],
)
def test_a_breach_is_named(state: str, reason: str, invites: int, answered: bool, breach: str) -> None:
    assert breach in _judged(state, reason, invites=invites, answered=answered)


def test_a_client_who_called_again_is_not_to_be_called() -> None:
    assert "after all" in _judged("reached", "answered", answered=True, scene=Scene.AGAIN)
    assert _judged("cancelled", "client_called_again", invites=0, scene=Scene.AGAIN) == ""


def test_two_rows_are_one_too_many() -> None:
    rows = [{"state": "reached", "reason": "answered"}] * 2
    assert "2 rows" in _judged("", rows=rows)


def test_a_call_without_a_record_is_lost() -> None:
    assert "no record" in _judged("reached", "answered", answered=True, records=[])
    assert "no trace" in _judged("", invites=0, records=[])


def test_without_a_row_only_an_incomplete_record_explains_it() -> None:
    assert _judged("", invites=0, records=[UNSEEN]) == ""
    assert "was seen" in _judged("", invites=0)
    assert "without a row" in _judged("", invites=1, records=[UNSEEN])
