"""The daemon's metrics for Prometheus after one fact of each kind."""

from __future__ import annotations

import re

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from callsteward.callback.states import CallbackMoved, CallbackRow, CallbackState
from callsteward.config import Config
from callsteward.health import Counters, FeedState, Health, OutboxState, Readings
from callsteward.metrics.scrape import Metrics
from callsteward.outgoing.words import Actor
from callsteward.record.facts import Alert, CallEnded
from tests.unit.store.samples import RECORD

_NAME = re.compile(r"\b(callsteward_[a-z_]+|process_[a-z_]+)\b")


def scrape() -> bytes:
    """A scrape in which every metric has a sample."""
    counters = Counters(overtaken_intervals=2)
    counters.unknown["ChannelVarset"] += 1
    counters.shed["speech"] += 1
    readings = Readings(
        counters=counters,
        asterisk=lambda: (True, ""),
        feed=lambda: FeedState(True, 0, {"record": 0}, OutboxState()),
        open_calls=lambda: 0,
        event_lag_s=lambda: 0.0,
        frames_waiting=lambda: 0,
        journal_bytes=lambda: 0,
        health=lambda: Health(role="acts", standby="ready"),
        tasks=lambda: 0,
    )
    metrics = Metrics(Config(), readings)
    alert = Alert(
        call_id="1", line="support", rule="hold_limit", at_ms=2, operator="101", limit_s=1, since_ms=1
    )
    callback = CallbackRow(
        id="c", site="main", origin_call_id="1", line="support", number=None, client_masked=None,
        client_ref=None, operator=None, state=CallbackState.EXPIRED, reason="", dropped_at_ms=1,
        created_at_ms=1, changed_at_ms=1, attempts=0, asked=None, channel_id=None,
    )  # fmt: skip
    metrics.calls.observe(CallEnded(RECORD))
    metrics.calls.observe(CallEnded(msgspec.structs.replace(RECORD, complete=False)))
    metrics.calls.observe(alert)
    metrics.calls.observe(CallbackMoved(callback, Actor.DAEMON))
    return metrics.scrape()[0]


def exported_names() -> set[str]:
    return {
        sample.name
        for family in text_string_to_metric_families(scrape().decode())
        for sample in family.samples
    }


def used_names(text: str) -> set[str]:
    """Names of metrics in PromQL. `job="callsteward"` is none."""
    return set(_NAME.findall(text))
