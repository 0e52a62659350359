"""The gauges of this moment, by line and operator; the envelope is explained in `feed.messages`."""

from __future__ import annotations

from typing import Literal

from callsteward.feed.envelope import BLANK, Count, Envelope, PublishedSeconds, Share, Stamp, stamp
from callsteward.feed.today import DayCounts
from callsteward.record.facts import LineNow, OperatorNow, OperatorState, OperatorStatus


class LineNowMessage(Envelope, frozen=True, kw_only=True):
    """`lines/LINE/now`: clients on the line at this moment, and the line's inbound calls of `day`.

    `longest_wait_s` is null while nobody waits, and counts up once a second while somebody does. `lost`
    counts lost calls of any day that nobody has dealt with yet. The `…_today` fields: see `feed.today`.
    `service_level_today` is a share from 0 to 1, null without calls.
    """

    schema: Literal["callsteward.line-now/1"] = "callsteward.line-now/1"
    line: str
    waiting: Count
    ringing: Count
    talking: Count
    on_hold: Count
    lost: Count
    longest_wait_s: PublishedSeconds | None
    day: str
    offered_today: Count
    answered_today: Count
    abandoned_today: Count
    short_abandoned_today: Count
    service_level_today: Share | None
    service_level_threshold_s: PublishedSeconds


class OperatorNowMessage(Envelope, frozen=True, kw_only=True):
    """`operators/OPERATOR/now`: the operator's state and since when; `hold_s` counts up during a hold.

    `state` is what calls say alone. `status` is what calls, phone and queues say together: `free` (idle, and
    a call can reach them), `ringing`, `talking`, `on_hold`, `wrap_up`, `paused` (in one of their queues at
    least, and none rings them all the same), `away`, `unreachable` (the phone is not registered, or does not
    answer) and `unknown` (Asterisk has not said, or is not connected). `paused_queues` counts the queues in
    which they are paused, null while that is not known; `pause_reason` is null where Asterisk does not tell.
    """

    schema: Literal["callsteward.operator-now/1"] = "callsteward.operator-now/1"
    operator: str
    state: OperatorState
    since: Stamp
    call_id: str | None
    line: str | None
    hold_since: Stamp | None
    hold_s: PublishedSeconds | None
    status: OperatorStatus
    status_since: Stamp | None
    paused_queues: Count | None
    paused_since: Stamp | None
    pause_reason: str | None


def line_now(
    site: str, now: LineNow, day: str, counts: DayCounts, threshold_s: float, now_ms: int
) -> LineNowMessage:
    since = now.longest_wait_since_ms
    return LineNowMessage(
        **BLANK,
        site=site,
        line=now.line,
        waiting=now.waiting,
        ringing=now.ringing,
        talking=now.talking,
        on_hold=now.on_hold,
        lost=now.lost,
        longest_wait_s=None if since is None else _elapsed(since, now_ms),
        day=day,
        offered_today=counts.offered,
        answered_today=counts.answered,
        abandoned_today=counts.abandoned,
        short_abandoned_today=counts.short_abandoned,
        service_level_today=counts.service_level,
        service_level_threshold_s=threshold_s,
    )


def operator_now(site: str, now: OperatorNow, now_ms: int) -> OperatorNowMessage:
    held = now.hold_since_ms
    return OperatorNowMessage(
        **BLANK,
        site=site,
        operator=now.operator,
        state=now.state,
        since=stamp(now.since_ms),
        call_id=now.call_id,
        line=now.line,
        hold_since=None if held is None else stamp(held),
        hold_s=None if held is None else _elapsed(held, now_ms),
        status=status_of(now),
        status_since=_stamped(now.since_ms if now.status is None else now.status_since_ms),
        paused_queues=now.paused_queues,
        paused_since=_stamped(now.paused_since_ms),
        pause_reason=now.pause_reason,
    )


def status_of(now: OperatorNow) -> OperatorStatus:
    """Where no part says more: what calls say, and of an idle operator nothing."""
    if now.status is not None:
        return now.status
    return OperatorStatus.UNKNOWN if _idle(now) else OperatorStatus(now.state)


def _idle(now: OperatorNow) -> bool:
    return now.state == OperatorState.IDLE


def _stamped(ms: int | None) -> str | None:
    return None if ms is None else stamp(ms)


def _elapsed(since_ms: int, now_ms: int) -> float:
    """Whole seconds, so that a gauge made twice within a second is the same gauge.

    Asterisk's clock and the daemon's may differ a little: a wait is never negative.
    """
    return float(max(0, now_ms - since_ms) // 1000)
