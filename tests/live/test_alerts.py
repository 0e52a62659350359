"""Alerts while the call goes on: each once, at once, and none on a call that keeps to the standard.

The line `strict` has limits a test has the time to cross: answer 2 s, hold 3 s, silence 4 s, talk 8 s.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest

from callsteward.record.call import CallRecord, RuleResult
from tests.judge.truth import SPEECH_S, TIMES_S, Truth, epoch
from tests.lab.asterisk import Asterisk
from tests.lab.phone_process import Phones
from tests.live import published
from tests.live.daemon import Daemon
from tests.live.play import masked
from tests.live.settings import ALERT_LANES, STRICT
from tests.live.subscriber import Received, Subscriber

pytestmark = [pytest.mark.live, pytest.mark.takes(22)]

PROMPT_S = 0.5
RULES = {
    "answer_within": STRICT["answer_limit_s"],
    "hold_limit": STRICT["hold_limit_s"],
    "silence_limit": STRICT["silence_limit_s"],
    "talk_limit": STRICT["talk_limit_s"],
}


@dataclass(frozen=True)
class Call:
    """One call on the strict line: what was said about it, and what its phones did."""

    record: CallRecord
    alerts: list[Received]
    events: list[dict[str, Any]]
    truth: Truth

    def alert(self, rule: str) -> Received:
        (found,) = (item for item in self.alerts if item.body["rule"] == rule)
        return found

    def happened(self, event: str) -> str:
        return next(str(item["at"]) for item in self.events if item["event"] == event)


@pytest.fixture(scope="module")
def calls(pbx: Asterisk, daemon: Daemon, subscriber: Subscriber) -> Mapping[str, Call]:
    """Two calls at once, second by second: one crosses every limit, one stays within all of them."""
    late_lane, good_lane = ALERT_LANES
    began = time.time()
    with Phones(pbx.sip_port, late_lane) as late, Phones(pbx.sip_port, good_lane) as good:
        late.two()
        good.two()
        late.do("dial", "client", late.lane.did(10))
        good.call(answered_after_s=1.0)
        good.say("op1", 1.0)
        good.say("client", 1.0)  # by now the late one has rung for some 3 s
        late.do("until_ringing", "op1")
        late.do("pick_up", "op1")
        late.do("until_talking", "client")
        late.say("op1", 1.0)  # then 4 s of silence
        good.do("hold", "op1")
        time.sleep(2.0)
        good.do("unhold", "op1")
        good.say("op1", 0.8)
        good.bye()
        time.sleep(2.0)
        late.do("hold", "op1")  # 3 s; the talk passes 8 s meanwhile
        time.sleep(4.0)
        late.do("unhold", "op1")
        late.say("client", 1.0)
        late.bye()
        truths = {"late": (late.lane, late.truth), "good": (good.lane, good.truth)}
    return {name: _call(subscriber, masked(lane, 1), truth, began) for name, (lane, truth) in truths.items()}


def _call(subscriber: Subscriber, client: str, truth: Truth, began: float) -> Call:
    ended = subscriber.wait(
        "main",
        "calls/strict/ended",
        lambda body: body["client_masked"] == client and epoch(body["started_at"]) >= began,
    )
    record = published.record_of(ended.body)
    mine = [item for item in subscriber.of("main") if item.body.get("call_id") == record.call_id]
    alerts = [item for item in mine if item.body["schema"] == "callsteward.alert/1"]
    events = [item.body for item in mine if item.body["schema"] == "callsteward.call-event/1"]
    return Call(record, alerts, events, truth)


@pytest.mark.parametrize("rule", sorted(RULES))
def test_a_crossed_limit_alerts_once(calls: Mapping[str, Call], rule: str) -> None:
    rules = [item.body["rule"] for item in calls["late"].alerts]
    assert rules.count(rule) == 1, rules


@pytest.mark.parametrize("rule", sorted(RULES))
def test_an_alert_comes_within_half_a_second(calls: Mapping[str, Call], rule: str) -> None:
    alert = calls["late"].alert(rule)
    assert 0 <= alert.at - epoch(alert.body["at"]) <= PROMPT_S


@pytest.mark.parametrize("rule", sorted(RULES))
def test_an_alert_names_the_moment_its_limit_was_crossed(calls: Mapping[str, Call], rule: str) -> None:
    body = calls["late"].alert(rule).body
    since, at = (datetime.fromisoformat(body[key]) for key in ("since", "at"))
    assert (at - since).total_seconds() == RULES[rule]
    assert body["limit_s"] == RULES[rule]
    assert body["line"] == "strict"


def test_an_alert_counts_from_what_it_limits(calls: Mapping[str, Call]) -> None:
    late = calls["late"]
    assert late.alert("answer_within").body["since"] == late.happened("ringing")
    assert late.alert("hold_limit").body["since"] == late.happened("hold")
    # The talk begins as the two are connected, a few ms after the answer.
    talk = late.alert("talk_limit").body["since"]
    assert 0 <= epoch(talk) - epoch(late.happened("answered")) <= TIMES_S
    hushed = late.truth.at("hush")
    held = late.truth.at("hold")
    assert hushed is not None
    assert held is not None
    assert abs(epoch(late.alert("silence_limit").body["since"]) - hushed) <= SPEECH_S
    assert abs(epoch(late.alert("hold_limit").body["since"]) - held) <= TIMES_S


def test_an_alert_names_the_operator_and_goes_to_its_own_topic(calls: Mapping[str, Call]) -> None:
    late = calls["late"]
    for item in late.alerts:
        assert item.topic.endswith(f"/alerts/strict/{item.body['rule']}")
        assert not item.retained
        assert item.body["operator"] == late.record.operator


def test_a_call_within_the_limits_alerts_nobody(calls: Mapping[str, Call]) -> None:
    assert [item.body["rule"] for item in calls["good"].alerts] == []


def test_the_record_breaks_the_rules_that_were_alerted(calls: Mapping[str, Call]) -> None:
    for name, call in calls.items():
        broken = {check.rule for check in call.record.standard if check.result is RuleResult.BROKEN}
        assert broken & set(RULES) == (set(RULES) if name == "late" else set()), name
        assert call.record.complete
