"""A scrape after some facts."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from callsteward import __version__
from callsteward.callback.states import CallbackMoved, CallbackRow, CallbackState
from callsteward.health import Counters
from callsteward.metrics.scrape import Metrics
from callsteward.outgoing.words import Actor
from callsteward.record.call import Direction, Hangup, Hold, Outcome, Party, Rating, Side
from callsteward.record.facts import Alert, CallEnded, CallHappened, Happening, LineNow
from tests.unit.store.samples import RECORD

NOW_MS = 1_795_348_800_000


class Scraped:
    """Samples by name and labels."""

    def __init__(self, metrics: Metrics) -> None:
        body, self.content_type = metrics.scrape()
        self.text = body.decode()
        self._samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(self.text)
            for sample in family.samples
        }

    def get(self, name: str, **labels: str) -> float | None:
        return self._samples.get((f"callsteward_{name}", frozenset(labels.items())))

    def names(self, name: str) -> list[dict[str, str]]:
        return [dict(labels) for found, labels in self._samples if found == f"callsteward_{name}"]


def ended(**changes: Any) -> CallEnded:
    return CallEnded(msgspec.structs.replace(RECORD, **changes), "+79031234567")


def test_a_configured_line_is_there_before_its_first_call(metrics: Metrics) -> None:
    scraped = Scraped(metrics)
    for line in ("support", "sales", "default"):
        for state in ("waiting", "ringing", "talking", "on_hold"):
            assert scraped.get("line_calls", line=line, state=state) == 0
        assert scraped.get("talk_seconds_count", line=line) == 0
        assert scraped.get("wait_seconds_count", line=line, answered="false") == 0


def test_a_call_is_counted_once_in_everything_it_says(metrics: Metrics) -> None:
    metrics.calls.observe(ended())
    scraped = Scraped(metrics)
    assert scraped.get("calls_total", line="support", direction="inbound", outcome="completed") == 1
    assert scraped.get("first_hangups_total", line="support", party="client") == 1
    assert scraped.get("answer_latency_seconds_sum", line="support") == 3.2
    assert scraped.get("answer_latency_seconds_bucket", line="support", le="3.0") == 0
    assert scraped.get("answer_latency_seconds_bucket", line="support", le="4.0") == 1
    assert scraped.get("wait_seconds_sum", line="support", answered="true") == 3.347
    assert scraped.get("wait_seconds_count", line="support", answered="false") == 0
    assert scraped.get("talk_seconds_sum", line="support") == 40.0
    assert scraped.get("hold_seconds_sum", line="support") == 4.999
    assert scraped.get("rule_checks_total", line="support", rule="answer_late", result="met") == 1
    assert scraped.get("incomplete_calls_total", line="support") == 0


def test_an_abandoned_call_waited_but_nobody_hung_up_on_anybody(metrics: Metrics) -> None:
    metrics.calls.observe(
        ended(
            outcome=Outcome.ABANDONED,
            answered_at=None,
            wait_s=31.0,
            talk_s=None,
            answer_latency_s=None,
            holds=(),
        )
    )
    scraped = Scraped(metrics)
    assert scraped.get("wait_seconds_sum", line="support", answered="false") == 31.0
    assert scraped.names("first_hangups_total") == []
    assert scraped.get("talk_seconds_count", line="support") == 0
    assert scraped.get("hold_seconds_count", line="support") == 0


def test_unobserved_values_are_not_counted(metrics: Metrics) -> None:
    metrics.calls.observe(ended(complete=False, wait_s=None, talk_s=None, answer_latency_s=None, holds=()))
    scraped = Scraped(metrics)
    assert scraped.get("incomplete_calls_total", line="support") == 1
    for name in ("answer_latency_seconds_count", "talk_seconds_count", "hold_seconds_count"):
        assert scraped.get(name, line="support") == 0
    assert scraped.get("wait_seconds_count", line="support", answered="true") == 0


def test_an_outbound_call_has_no_wait_of_a_client(metrics: Metrics) -> None:
    metrics.calls.observe(ended(direction=Direction.OUTBOUND))
    scraped = Scraped(metrics)
    assert scraped.get("calls_total", line="support", direction="outbound", outcome="completed") == 1
    assert scraped.get("wait_seconds_count", line="support", answered="true") == 0
    assert scraped.get("talk_seconds_count", line="support") == 1


def test_each_hold_is_counted_by_itself_and_a_lost_connection_is_the_networks(metrics: Metrics) -> None:
    holds = tuple(Hold(by=Side.OPERATOR, at="2026-11-22T02:22:30.000Z", duration_s=s) for s in (7.0, 150.0))
    lost = Hangup(
        first=Party.NETWORK, cause=44, tech_cause=None, evidence=(), confidence=RECORD.hangup.confidence
    )
    metrics.calls.observe(ended(holds=holds, hangup=lost))
    scraped = Scraped(metrics)
    assert scraped.get("hold_seconds_count", line="support") == 2
    assert scraped.get("hold_seconds_bucket", line="support", le="120.0") == 1
    assert scraped.get("first_hangups_total", line="support", party="network") == 1


def test_scores_are_counted_once_by_their_records(metrics: Metrics) -> None:
    metrics.calls.observe(ended(rating=Rating("answered", "stay", 4)))
    metrics.calls.observe(ended())
    scraped = Scraped(metrics)
    assert scraped.get("ratings_total", line="support", status="answered") == 1
    assert scraped.get("ratings_total", line="support", status="not_asked") == 1
    assert scraped.get("rating_score_sum", line="support") == 4
    assert scraped.get("rating_score_count", line="support") == 1


def test_alerts_and_callbacks_are_counted(metrics: Metrics) -> None:
    metrics.calls.observe(
        Alert(call_id="1", line="support", rule="hold_limit", at_ms=2, operator="101", limit_s=1, since_ms=1)
    )
    callback = CallbackRow(
        id="c", site="main", origin_call_id="1", line="support", number="+79031234567", client_masked=None,
        client_ref=None, operator=None, state=CallbackState.EXPIRED, reason="", dropped_at_ms=1,
        created_at_ms=1, changed_at_ms=1, attempts=0, asked=None, channel_id=None,
    )  # fmt: skip
    metrics.calls.observe(CallbackMoved(callback, Actor.DAEMON))
    metrics.calls.observe(CallHappened(call_id="1", line="support", event=Happening.RINGING, at_ms=1))
    scraped = Scraped(metrics)
    assert scraped.get("alerts_total", line="support", rule="hold_limit") == 1
    assert scraped.get("callback_transitions_total", line="support", state="expired") == 1


def test_gauges_follow_the_moment_and_fall_back_to_rest(metrics: Metrics) -> None:
    busy = LineNow(
        line="support", waiting=2, ringing=1, talking=3, on_hold=4, longest_wait_since_ms=NOW_MS - 12_500
    )
    metrics.calls.gauges([busy, LineNow(line="unforeseen", talking=1)], NOW_MS)
    scraped = Scraped(metrics)
    assert scraped.get("line_calls", line="support", state="on_hold") == 4
    assert scraped.get("line_calls", line="unforeseen", state="talking") == 1
    assert scraped.get("line_longest_wait_seconds", line="support") == 12.5
    # Asterisk's clock was set back.
    metrics.calls.gauges([busy], NOW_MS - 60_000)
    assert Scraped(metrics).get("line_longest_wait_seconds", line="support") == 0
    metrics.calls.gauges([], NOW_MS)
    scraped = Scraped(metrics)
    assert scraped.get("line_calls", line="support", state="on_hold") == 0
    assert scraped.get("line_calls", line="unforeseen", state="talking") == 0


def test_health_is_read_when_asked(metrics: Metrics, counters: Counters) -> None:
    counters.frames = 10
    counters.unknown["ChannelVarset"] = 6
    scraped = Scraped(metrics)
    assert scraped.get("ari_frames_total") == 10
    assert scraped.get("ari_unknown_events_total", type="ChannelVarset") == 6
    assert scraped.get("asterisk_connected") == 1
    assert scraped.get("broker_connected") == 0
    assert scraped.get("open_calls") == 4
    assert scraped.get("event_lag_seconds") == 0.25
    assert scraped.get("event_queue_frames") == 17
    assert scraped.get("feed_queue_messages") == 3
    assert scraped.get("feed_dropped_messages_total", kind="record") == 2
    assert scraped.get("journal_bytes") == 1234
    assert scraped.get("outbox_messages") == 5
    assert scraped.get("outbox_bytes") == 600
    assert scraped.get("outbox_limit_bytes") == 1000
    assert 7 <= (scraped.get("outbox_oldest_seconds") or 0) < 60
    assert scraped.get("asyncio_tasks") == 9
    assert scraped.get("build_info", version=__version__) == 1
    counters.frames = 11
    assert Scraped(metrics).get("ari_frames_total") == 11


def test_no_end_of_unknown_types_makes_no_end_of_series(metrics: Metrics, counters: Counters) -> None:
    for number in range(200):
        counters.unknown[f"Type{number}"] = 2 if number < 49 else 1
    counters.unknown["other"] = 5
    scraped = Scraped(metrics)
    assert len(scraped.names("ari_unknown_events_total")) == 50
    assert scraped.get("ari_unknown_events_total", type="other") == 5 + 151
    assert scraped.get("ari_unknown_events_total", type="Type3") == 2


def test_no_number_client_call_or_operator_is_in_a_scrape(metrics: Metrics) -> None:
    metrics.calls.observe(ended())
    text = Scraped(metrics).text
    for private in ("79031234567", "7903***4567", RECORD.call_id, str(RECORD.client_ref), '"101"'):
        assert private not in text


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text;version=1.0.0"])
def test_no_series_says_when_another_one_was_made(metrics: Metrics, accept: str) -> None:
    metrics.calls.observe(ended())
    body, _ = metrics.scrape(accept)
    assert b"callsteward_talk_seconds_count" in body
    assert b"_created" not in body


def test_openmetrics_is_served_on_request(metrics: Metrics) -> None:
    assert metrics.scrape()[1].startswith("text/plain")
    body, content_type = metrics.scrape("application/openmetrics-text;version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")
