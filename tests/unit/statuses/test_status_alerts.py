"""Alerts about operators, each told once."""

from __future__ import annotations

import msgspec
import pytest

from callsteward.config import StatusesSettings
from callsteward.feed import messages
from callsteward.record.facts import Alert, LineNow, OperatorNow, OperatorState, OperatorStatus
from callsteward.statuses.alerts import StatusAlerts

NOON = 1_795_345_200_000
FREE, PAUSED, TALKING = OperatorStatus.FREE, OperatorStatus.PAUSED, OperatorStatus.TALKING
UNREACHABLE, UNKNOWN = OperatorStatus.UNREACHABLE, OperatorStatus.UNKNOWN


def operator(
    name: str, status: OperatorStatus, *, since_ms: int | None = None, reason: str = ""
) -> OperatorNow:
    return OperatorNow(
        operator=name,
        state=OperatorState.IDLE,
        since_ms=0,
        status=status,
        paused_since_ms=since_ms,
        pause_reason=reason or None,
    )


def alerts(**settings: object) -> StatusAlerts:
    rosters = {"hotline": ["101", "102"], "sales": ["103"]}
    return StatusAlerts(StatusesSettings.model_validate(settings), ("hotline", "sales"), rosters.__getitem__)


def told(found: list[Alert]) -> list[tuple[str, str, str | None, int]]:
    return [(alert.rule, alert.line, alert.operator, alert.at_ms - NOON) for alert in found]


@pytest.mark.parametrize(("reason", "limit_s"), [("lunch", 3600), ("smoke", 900), ("", 900)])
def test_a_pause_is_told_when_its_reason_s_time_is_over_and_once(reason: str, limit_s: int) -> None:
    watch = alerts(pause_limits_s={"lunch": 3600, "*": 900})
    paused = [operator("102", PAUSED, since_ms=NOON, reason=reason)]
    over_ms = NOON + limit_s * 1000
    assert watch.look([], paused, over_ms - 1) == []
    assert told(watch.look([], paused, over_ms)) == [("paused_too_long", "hotline", "102", limit_s * 1000)]
    assert watch.look([], paused, over_ms + 60_000) == []
    # Back, and paused again.
    assert watch.look([], [operator("102", FREE)], over_ms + 61_000) == []
    again = [operator("102", PAUSED, since_ms=over_ms + 62_000, reason=reason)]
    assert len(watch.look([], again, over_ms + 62_000 + limit_s * 1000)) == 1


def test_a_reason_without_a_limit_has_no_alert() -> None:
    watch = alerts(pause_limits_s={"smoke": 300})
    paused = [operator("102", PAUSED, since_ms=NOON, reason="lunch"), operator("101", PAUSED, since_ms=NOON)]
    assert watch.look([], paused, NOON + 86_400_000) == []


def test_nobody_free_while_clients_wait() -> None:
    watch = alerts(nobody_free_s=60)
    waiting = [LineNow(line="hotline", waiting=1)]
    busy = [operator("101", TALKING), operator("102", PAUSED, since_ms=NOON)]
    assert watch.look(waiting, busy, NOON) == []
    assert watch.look(waiting, busy, NOON + 59_999) == []
    assert told(watch.look(waiting, busy, NOON + 60_000)) == [("nobody_free", "hotline", None, 60_000)]
    assert watch.look(waiting, busy, NOON + 90_000) == []
    # The client was answered, and the time begins anew with the next one.
    assert watch.look([], busy, NOON + 100_000) == []
    assert watch.look(waiting, busy, NOON + 101_000) == []
    assert told(watch.look(waiting, busy, NOON + 161_000)) == [("nobody_free", "hotline", None, 161_000)]


@pytest.mark.parametrize("status", [FREE, UNKNOWN])
def test_with_somebody_free_or_not_known_nobody_is_told_to_be_missing(status: OperatorStatus) -> None:
    watch = alerts(nobody_free_s=1, everybody_away_s=1)
    now = [operator("101", PAUSED, since_ms=NOON), operator("102", status)]
    waiting = [LineNow(line="hotline", waiting=1)]
    assert [watch.look(waiting, now, NOON + 10_000 * step) for step in range(3)] == [[], [], []]


def test_everybody_away() -> None:
    watch = alerts(everybody_away_s=30)
    away = [operator("101", PAUSED, since_ms=NOON), operator("102", UNREACHABLE), operator("103", TALKING)]
    assert watch.look([], away, NOON) == []
    assert told(watch.look([], away, NOON + 30_000)) == [("everybody_away", "hotline", None, 30_000)]


def test_two_lines_alerts_of_one_moment_are_two_messages() -> None:
    alert = Alert(
        call_id="", line="hotline", rule="nobody_free", at_ms=NOON, operator=None, limit_s=1, since_ms=NOON
    )
    other = msgspec.structs.replace(alert, line="sales")
    assert messages.alert("main", alert).message_id != messages.alert("main", other).message_id
