"""A call record to vary."""

from callsteward.record.call import (
    Attempt,
    AttemptResult,
    CallbackDecision,
    CallRecord,
    Confidence,
    Decision,
    Direction,
    Hangup,
    Hold,
    Outcome,
    Party,
    Rating,
    RuleCheck,
    RuleResult,
    Side,
    Span,
)

RECORD = CallRecord(
    call_id="1795314131.35",
    site="main",
    line="support",
    direction=Direction.INBOUND,
    client_masked="+7903***4567",
    client_ref="5f0c",
    operator="101",
    started_at="2026-11-22T02:22:11.654Z",
    answered_at="2026-11-22T02:22:15.001Z",
    ended_at="2026-11-22T02:23:00.000Z",
    wait_s=3.347,
    answer_latency_s=3.2,
    talk_s=40.0,
    hold_s=4.999,
    duration_s=48.346,
    holds=(Hold(by=Side.OPERATOR, at="2026-11-22T02:22:30.000Z", duration_s=4.999),),
    silences=None,
    speech=None,
    attempts=(
        Attempt(operator="101", at="2026-11-22T02:22:11.800Z", ring_s=3.2, result=AttemptResult.ANSWERED),
    ),
    transfers=(),
    hangup=Hangup(
        first=Party.CLIENT, cause=16, tech_cause=None, evidence=("bye",), confidence=Confidence.CERTAIN
    ),
    outcome=Outcome.COMPLETED,
    callback=CallbackDecision(decision=Decision.NOT_DUE, reason="completed"),
    rating=Rating(status="not_asked", reason="off"),
    standard=(
        RuleCheck(rule="answer_late", result=RuleResult.MET, value=3.2, limit=5.0),
        RuleCheck(rule="client_hangs_up_first", result=RuleResult.MET, value=True, limit=True),
    ),
    complete=True,
    unobserved=(Span(from_=None, to="2026-11-22T02:22:11.000Z"),),
)
