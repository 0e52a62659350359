from collections.abc import Callable
from zoneinfo import ZoneInfo

from callsteward.feed.gauge_messages import LineNowMessage, OperatorNowMessage
from callsteward.feed.gauges import STRANGERS, Gauge, Gauges
from callsteward.feed.today import Today
from callsteward.feed.topics import Topics
from callsteward.record.call import CallRecord
from callsteward.record.facts import LineNow, OperatorNow, OperatorState

NOW = 1_795_314_131_000  # 2026-11-22T02:22:11Z
LINE = "callsteward/main/lines/support/now"
OPERATOR = "callsteward/main/operators/101/now"


def _gauges() -> Gauges:
    today = Today(ZoneInfo("Europe/Moscow"))
    topics = Topics("callsteward", "main")
    return Gauges(site="main", topics=topics, today=today, lines=["support"], operators=["101"])


def _line(due: list[tuple[str, Gauge]]) -> LineNowMessage | None:
    found = dict(due).get(LINE)
    assert found is None or isinstance(found, LineNowMessage)
    return found


def _operator(due: list[tuple[str, Gauge]]) -> OperatorNowMessage:
    found = dict(due)[OPERATOR]
    assert isinstance(found, OperatorNowMessage)
    return found


def test_configured_lines_and_operators_have_gauges_from_the_start() -> None:
    due = dict(_gauges().due(NOW, 0))
    line, operator = due[LINE], due[OPERATOR]
    assert isinstance(line, LineNowMessage)
    assert isinstance(operator, OperatorNowMessage)
    assert (line.waiting, line.talking, line.longest_wait_s, line.service_level_today) == (0, 0, None, None)
    assert (line.offered_today, line.day) == (0, "2026-11-22")
    assert (operator.state, operator.since, operator.hold_s) == ("idle", "2026-11-22T02:22:11.000Z", None)


def test_nothing_is_sent_that_did_not_change() -> None:
    gauges = _gauges()
    gauges.due(NOW, 0)
    gauges.show([], [], NOW + 5000)
    gauges.show([LineNow(line="support")], [], NOW + 6000)
    assert gauges.due(NOW + 10_000, 10) == []


def test_at_most_one_a_second_and_the_newest_wins() -> None:
    gauges = _gauges()
    gauges.due(NOW, 0)
    for talking in range(1, 50):
        gauges.show([LineNow(line="support", talking=talking)], [], NOW)
        assert gauges.due(NOW, talking / 50) == []
    assert gauges.wait_s(0.98) == 1.0 - 0.98
    sent = _line(gauges.due(NOW, 1.0))
    assert sent is not None
    assert sent.talking == 49


def test_a_change_undone_within_the_second_is_not_sent() -> None:
    gauges = _gauges()
    gauges.due(NOW, 0)
    gauges.show([LineNow(line="support", ringing=1)], [], NOW)
    gauges.due(NOW, 0.5)
    gauges.show([LineNow(line="support")], [], NOW)
    assert gauges.due(NOW, 1.5) == []


def test_a_change_after_a_quiet_second_is_due_at_once() -> None:
    gauges = _gauges()
    gauges.due(NOW, 0)
    gauges.show([LineNow(line="support", ringing=1)], [], NOW)
    assert _line(gauges.due(NOW, 1.0)) is not None


def test_a_wait_counts_up_once_a_second_while_it_lasts() -> None:
    gauges = _gauges()
    gauges.due(NOW, 0)
    gauges.show([LineNow(line="support", waiting=1, longest_wait_since_ms=NOW)], [], NOW)
    waits: list[float | None] = []
    for tenth in range(10, 50):
        sent = _line(gauges.due(NOW + 100 * tenth, tenth / 10))
        if sent is not None:
            waits.append(sent.longest_wait_s)
    assert waits == [1.0, 2.0, 3.0, 4.0]
    gauges.show([], [], NOW + 5000)
    sent = _line(gauges.due(NOW + 5000, 5))
    assert sent is not None
    assert (sent.waiting, sent.longest_wait_s) == (0, None)
    assert gauges.due(NOW + 60_000, 60) == []


def test_a_hold_counts_up_and_an_operator_who_is_left_out_is_idle_again() -> None:
    gauges = _gauges()
    gauges.due(NOW, 0)
    held = OperatorNow(
        operator="101",
        state=OperatorState.ON_HOLD,
        since_ms=NOW,
        call_id="1.1",
        line="support",
        hold_since_ms=NOW,
    )
    gauges.show([], [held], NOW)
    assert _operator(gauges.due(NOW + 1000, 1)).hold_s == 1.0
    assert _operator(gauges.due(NOW + 2000, 2)).hold_s == 2.0
    gauges.show([], [], NOW + 3000)
    operator = _operator(gauges.due(NOW + 3000, 3))
    assert (operator.state, operator.call_id, operator.since) == ("idle", None, "2026-11-22T02:22:14.000Z")
    gauges.show([], [], NOW + 9000)
    assert gauges.due(NOW + 9000, 9) == []


def test_an_operator_nobody_configured_appears_with_the_first_call() -> None:
    gauges = _gauges()
    gauges.due(NOW, 0)
    talking = OperatorNow(operator="PJSIP/7", state=OperatorState.TALKING, since_ms=NOW)
    gauges.show([], [talking], NOW)
    assert [topic for topic, _ in gauges.due(NOW, 1)] == ["callsteward/main/operators/PJSIP%2F7/now"]


def test_names_without_end_are_forgotten_by_the_broker_too() -> None:
    """A pattern that takes every caller for an operator: those at rest longest go, none on a call."""
    gauges = _gauges()
    gauges.due(NOW, 0)
    for second in range(STRANGERS + 10):
        caller = OperatorNow(operator=f"10.0.0.{second}", state=OperatorState.TALKING, since_ms=NOW + second)
        gauges.show([], [caller], NOW + second)
        gauges.due(NOW + second, second * 2)
    # The first one left its call with the second one's coming, and so on.
    assert gauges.gone == [f"callsteward/main/operators/10.0.0.{second}/now" for second in range(10)]
    assert len(gauges._operators) == STRANGERS + 1
    assert OPERATOR not in gauges.gone
    gauges.resend()
    assert len(gauges.due(NOW, 10_000)) == STRANGERS + 2


def test_later_changes_by_the_tracker_do_not_change_shown_gauges() -> None:
    gauges = _gauges()
    gauges.due(NOW, 0)
    line = LineNow(line="support", talking=1)
    gauges.show([line], [], NOW)
    line.talking = 2
    gauges.show([line], [], NOW)
    sent = _line(gauges.due(NOW, 1))
    assert sent is not None
    assert sent.talking == 2


def test_a_clock_behind_gives_no_negative_wait() -> None:
    gauges = _gauges()
    gauges.show([LineNow(line="support", waiting=1, longest_wait_since_ms=NOW + 300)], [], NOW)
    sent = _line(gauges.due(NOW, 0))
    assert sent is not None
    assert sent.longest_wait_s == 0.0


def test_an_ended_call_counts_into_its_day_and_midnight_starts_again(
    record: Callable[..., CallRecord],
) -> None:
    gauges = _gauges()
    gauges.due(NOW, 0)
    gauges.count(record())
    sent = _line(gauges.due(NOW, 1))
    assert sent is not None
    assert (sent.offered_today, sent.answered_today, sent.service_level_today) == (1, 1, 1.0)
    midnight = 1_795_381_200_000  # 2026-11-23T00:00 in Moscow
    assert gauges.due(midnight - 1, 67_000) == []
    sent = _line(gauges.due(midnight, 67_001))
    assert sent is not None
    assert (sent.day, sent.offered_today, sent.service_level_today) == ("2026-11-23", 0, None)


def test_after_a_reconnect_everything_is_sent_again_at_once() -> None:
    gauges = _gauges()
    assert len(gauges.due(NOW, 0)) == 2
    gauges.resend()
    assert len(gauges.due(NOW, 0.1)) == 2


def test_at_a_stop_nothing_waits_for_its_second() -> None:
    gauges = _gauges()
    gauges.due(NOW, 0)
    gauges.show([LineNow(line="support", talking=1)], [], NOW)
    assert gauges.due(NOW, 0.1) == []
    assert _line(gauges.due(NOW, 0.1, at_once=True)) is not None


def test_ten_thousand_lines_that_rest_cost_nothing() -> None:
    gauges = _gauges()
    gauges.show([LineNow(line=str(n), talking=1) for n in range(10_000)], [], NOW)
    assert len(gauges.due(NOW, 0)) == 10_002
    assert gauges.due(NOW, 1) == []
    assert gauges.wait_s(1) == 1.0
