"""A year of calls: records like those of the captures, with other people, times and ends.

Three lines, sixty operators, working days busier than weekends, two peaks a day. The same numbers give the
same records.
"""

from __future__ import annotations

import bisect
import itertools
import random
from collections.abc import Iterator
from datetime import UTC, datetime

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
    Silence,
    Speech,
    Transfer,
    TransferKind,
    TransferResult,
)

LINES = ("support", "sales", "delivery")
OPERATORS = tuple(str(number) for number in range(101, 161))
DAYS = 365
# 2025-11-01 UTC, so that November 2025 is the first whole month.
START_MS = 1_761_955_200_000
DAY_MS = 86_400_000
# Calls of each hour of a day (UTC), in parts of the whole.
_HOURS = (2, 1, 1, 1, 2, 6, 15, 40, 70, 90, 95, 85, 70, 72, 80, 85, 75, 55, 40, 28, 20, 12, 8, 4)
_WEEK = (100, 95, 92, 90, 95, 40, 30)


def stamp(at_ms: int) -> str:
    """RFC 3339 with milliseconds."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def arrivals(count: int, draw: random.Random) -> Iterator[int]:
    """When each call arrives, in order: `count` in a year."""
    weights = [
        _WEEK[(hour // 24) % 7] * _HOURS[hour % 24] * draw.uniform(0.8, 1.2) for hour in range(DAYS * 24)
    ]
    ends = list(itertools.accumulate(weights))
    hours = [0] * (DAYS * 24)
    for _ in range(count):
        hours[bisect.bisect(ends, draw.random() * ends[-1], hi=len(ends) - 1)] += 1
    for hour, calls in enumerate(hours):
        for offset in sorted(draw.randrange(3_600_000) for _ in range(calls)):
            yield START_MS + hour * 3_600_000 + offset


def records(count: int, site: str = "main", seed: int = 1) -> Iterator[CallRecord]:
    """A year's records, in the order of the calls' arrival."""
    draw = random.Random(seed)
    clients = max(1, count // 4)
    for number, at_ms in enumerate(arrivals(count, draw)):
        yield _record(draw, site, number, at_ms, draw.randrange(clients))


def _rules(
    answer: float | None, greeting: float | None, hold: float, talk: float, by: str | None
) -> tuple[RuleCheck, ...]:
    met, none = RuleResult.MET, RuleResult.NOT_APPLICABLE

    def within(rule: str, value: float | None, limit: float) -> RuleCheck:
        result = none if value is None else met if value <= limit else RuleResult.BROKEN
        return RuleCheck(rule, result, value, limit)

    return (
        within("answer_within", answer, 5.0),
        RuleCheck("no_contact_lost", met if by else RuleResult.BROKEN, by is not None, True),
        within("greeting", greeting, 2.0),
        within("silence_limit", 0.0 if by else None, 10.0),
        within("hold_limit", hold if by else None, 120.0),
        within("talk_limit", talk if by else None, 900.0),
        RuleCheck("interruptions", none, 0.0 if by else None, None),
        RuleCheck("transfers", met if by else none, 0.0 if by else None, 1.0),
        RuleCheck("transfer_with_ticket", none, None, True),
        RuleCheck("operator_hangs_up_last", met if by else none, by, "client"),
        RuleCheck("registered_within", none, None, 300.0),
    )


def _record(draw: random.Random, site: str, number: int, at_ms: int, client: int) -> CallRecord:
    def seconds(mean: float) -> float:
        return round(draw.expovariate(1 / mean), 3)

    kind = draw.random()
    direction = Direction.OUTBOUND if kind > 0.93 else Direction.INBOUND
    answered = draw.random() < 0.9
    operator = draw.choice(OPERATORS)
    wait, ring = seconds(12.0), seconds(3.0)
    talk = seconds(180.0) if answered else 0.0
    holds: tuple[Hold, ...] = ()
    if answered and draw.random() < 0.15:
        held = seconds(25.0)
        holds = (Hold(Side.OPERATOR, stamp(at_ms + round(wait * 1000) + 20_000), held),)
    hold = sum(item.duration_s for item in holds)
    ended_ms = at_ms + round((wait + talk + hold) * 1000)
    trunk = f"PJSIP/trunk-{number * 2 & 0xFFFFFFFF:08x}"
    attempts = [
        Attempt(draw.choice(OPERATORS), stamp(at_ms + 5), seconds(6.0), AttemptResult.NO_ANSWER)
        for _ in range(draw.choice((0, 0, 0, 1, 2)))
    ]
    transfers: tuple[Transfer, ...] = ()
    if answered:
        attempts.append(
            Attempt(
                operator, stamp(ended_ms - round((talk + hold + ring) * 1000)), ring, AttemptResult.ANSWERED
            )
        )
        if draw.random() < 0.04:
            giver = draw.choice(OPERATORS)
            moment = stamp(ended_ms - round(talk * 500))
            transfers = (Transfer(TransferKind.BLIND, giver, operator, moment, TransferResult.COMPLETED),)
            attempts.append(Attempt(giver, moment, seconds(3.0), AttemptResult.ANSWERED))
    by_client = draw.random() < 0.8
    outcome = Outcome.COMPLETED
    decision = CallbackDecision(Decision.NOT_DUE, "client_hung_up" if by_client else "operator_hung_up")
    if not answered:
        outcome = draw.choice((Outcome.ABANDONED, Outcome.SHORT_ABANDONED, Outcome.NO_ANSWER))
        decision = CallbackDecision(Decision.NOT_DUE, "not_answered")
    elif draw.random() < 0.02:
        outcome, decision = Outcome.MID_DIALOGUE_DROP, CallbackDecision(Decision.DUE, "mid_dialogue_drop")
    ended_by = trunk if by_client else f"PJSIP/{operator}-{number * 2 + 1 & 0xFFFFFFFF:08x}"
    greeting = seconds(0.6) if answered else None
    party = Party.CLIENT if by_client or not answered else Party.OPERATOR
    return CallRecord(
        call_id=f"{at_ms // 1000}.{number * 3}",
        site=site,
        line=LINES[min(int(draw.expovariate(1.0)), 2)],
        direction=direction,
        client_masked=f"+7903***{client % 10_000:04d}",
        client_ref=f"{client * 0x9E3779B97F4A7C15F39CC0605CEDC835 % (1 << 128):032x}",
        operator=operator if answered else None,
        started_at=stamp(at_ms),
        answered_at=stamp(at_ms + round(wait * 1000)) if answered else None,
        ended_at=stamp(ended_ms),
        wait_s=wait,
        answer_latency_s=ring if answered else None,
        talk_s=talk,
        hold_s=hold,
        duration_s=round(wait + talk + hold, 3),
        holds=holds,
        silences=(Silence(stamp(ended_ms - 15_000), seconds(12.0)),) if draw.random() < 0.1 else (),
        speech=Speech(
            round(talk * draw.random() * 0.6, 3),
            round(talk * draw.random() * 0.6, 3),
            seconds(1.0),
            draw.randrange(3),
            draw.randrange(3),
            greeting,
        )
        if answered
        else None,
        attempts=tuple(attempts),
        transfers=transfers,
        hangup=Hangup(
            first=party,
            cause=16,
            tech_cause=None,
            evidence=(f"hang-up request on {ended_by} (cause 16)", f"hangupsource {ended_by}")
            if draw.random() < 0.5
            else (f"hang-up request on {ended_by} (cause 16)",),
            confidence=Confidence.CERTAIN,
        ),
        outcome=outcome,
        callback=decision,
        rating=Rating("given", "stay", draw.randint(1, 5))
        if draw.random() < 0.2
        else Rating("not_asked", "cooldown"),
        standard=_rules(ring if answered else None, greeting, hold, talk, party.value if answered else None),
        complete=draw.random() < 0.995,
        unobserved=(),
    )
