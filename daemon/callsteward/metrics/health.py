"""The daemon's own health as metrics: read from its parts when Prometheus asks, so counting costs nothing."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from callsteward import __version__
from callsteward.health import OTHER, OutboxState, Readings
from callsteward.store.stored import UNREADABLE

# A type's name comes off the wire: a label for each, up to a limit.
_UNKNOWN_TYPES = 50


class HealthCollector(Collector):
    """Health as metrics."""

    def __init__(self, health: Readings) -> None:
        self._health = health

    def collect(self) -> Iterator[Metric]:
        """The metrics of this moment."""
        health = self._health
        counters = health.counters
        feed = health.feed()
        info = InfoMetricFamily("callsteward_build", "The running version.")
        info.add_metric([], {"version": __version__})
        yield info
        yield _gauge("asterisk_connected", "1 while ARI is connected.", health.asterisk()[0])
        own = health.health()
        if own.role != "stands_by":  # which is connected to none
            yield _gauge("broker_connected", "1 while the MQTT broker is connected.", feed.connected)
        yield _gauge("acting", "1 while this daemon acts for its site.", own.role != "stands_by")
        if own.role != "alone":
            yield _gauge(
                "standby_ready",
                "1 while the daemon that stands by could take over.",
                own.standby == "ready",
            )
        yield _gauge("open_calls", "Calls in progress.", health.open_calls())
        yield _gauge(
            "event_lag_seconds",
            "How long the oldest event of the last batch had waited in the daemon.",
            health.event_lag_s(),
        )
        yield _gauge("event_queue_frames", "Events waiting for the tracker.", health.frames_waiting())
        yield _gauge(
            "event_queue_frames_max", "The most events that ever waited for the tracker.", counters.max_depth
        )
        yield _gauge(
            "feed_queue_messages",
            "Messages the MQTT broker has not acknowledged yet.",
            feed.waiting,
        )
        if feed.outbox is not None:
            yield from _outbox(feed.outbox)
        yield _gauge("journal_bytes", "The journal's size.", health.journal_bytes())
        yield _counter(
            "store_unreadable_records",
            "Stored records that could not be read and were left out; the log names them.",
            UNREADABLE.count,
        )
        yield _counter(
            "feed_overtaken_intervals",
            "Interval revisions not sent because a newer one was made while they waited.",
            health.counters.overtaken_intervals,
        )
        yield _counter("ari_frames", "Frames received over the websocket.", counters.frames)
        yield _counter("ari_events", "Events that reached the tracker.", counters.events)
        yield _counter("ari_malformed_frames", "Frames that were no ARI event.", counters.malformed)
        yield _counter("ari_connects", "Connections made to Asterisk.", counters.connects)
        yield _counter("ari_disconnects", "Connections to Asterisk lost.", counters.disconnects)
        yield _counter(
            "ari_overflows", "Connections given up because the queue was full.", counters.overflows
        )
        yield _counter("tracker_errors", "Events on which the tracker failed.", counters.tracker_errors)
        yield _counter("ari_refusals", "Times that Asterisk refused the password.", counters.refused)
        yield _counter(
            "ari_silences", "Links given up because the heartbeat was not answered.", counters.silences
        )
        yield _counter("clock_steps", "Times that the clock was set.", counters.clock_steps)
        yield _counter("disk_stalls", "Writes to the journal that took over a second.", counters.disk_stalls)
        yield _counter(
            "disk_errors", "Times that the disk began to refuse the journal.", counters.disk_errors
        )
        yield _counter("reload_errors", "Configurations refused on SIGHUP.", counters.reload_errors)
        yield _gauge("asyncio_tasks", "asyncio tasks of the daemon.", health.tasks())
        shed = CounterMetricFamily(
            "callsteward_ari_shed_frames", "Frames left out because too many waited.", labels=["kind"]
        )
        for kind, count in counters.shed.items():
            shed.add_metric([kind], count)
        yield shed
        unknown = CounterMetricFamily(
            "callsteward_ari_unknown_events",
            "Events of types that callsteward does not use.",
            labels=["type"],
        )
        for kind, count in _bounded(counters.unknown).items():
            unknown.add_metric([kind], count)
        yield unknown
        dropped = CounterMetricFamily(
            "callsteward_feed_dropped_messages",
            "Messages given up because too many waited for the broker.",
            labels=["kind"],
        )
        for kind, count in feed.dropped.items():
            dropped.add_metric([kind], count)
        yield dropped


def _outbox(state: OutboxState) -> Iterator[Metric]:
    yield _gauge("outbox_messages", "Messages on disk that the broker has not acknowledged.", state.messages)
    yield _gauge("outbox_bytes", "Bytes of those messages.", state.size)
    yield _gauge("outbox_limit_bytes", "Bytes from which on the oldest messages are dropped.", state.limit)
    waited_s = 0.0 if state.oldest_ms is None else max(0.0, time.time() - state.oldest_ms / 1000)
    yield _gauge("outbox_oldest_seconds", "How long the oldest of those messages has waited.", waited_s)


def _bounded(unknown: Counter[str]) -> dict[str, int]:
    """The most frequent types by name, all others under one."""
    shown = dict(unknown.most_common(_UNKNOWN_TYPES))
    rest = unknown.total() - sum(shown.values())
    return shown | {OTHER: rest + shown.get(OTHER, 0)} if rest else shown


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"callsteward_{name}", text, value=float(value))


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"callsteward_{name}", text, value=float(value))
