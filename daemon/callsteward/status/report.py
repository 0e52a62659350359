"""The answer to `callsteward status`: the daemon, its links, its outbox, its open work. No IO."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from callsteward import __version__
from callsteward.feed.gauge_messages import status_of
from callsteward.health import FeedState, Health
from callsteward.record.facts import OperatorNow, OperatorStatus
from callsteward.record.moments import rfc3339

OpenWork = Mapping[str, Mapping[str, int]]
"""Open work by kind (`callbacks`, `ratings`, `lost`, `complaints`), each by state or line: how many."""


class LinkStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The link to Asterisk; `detail` says why it is down, or how it is connected."""

    connected: bool
    detail: str


class OutboxStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Messages on disk that the broker has not acknowledged; `oldest_at`: RFC 3339, null for none."""

    messages: int
    bytes: int
    limit_bytes: int
    oldest_at: str | None


class Broker(msgspec.Struct, frozen=True, kw_only=True):
    """The link to the MQTT broker. Messages: `waiting` now, and `dropped` since the start by kind."""

    enabled: bool
    connected: bool
    waiting: int
    dropped: dict[str, int]
    outbox: OutboxStatus | None


class OperatorStands(msgspec.Struct, frozen=True, kw_only=True):
    """An operator at this moment: `status` for `for_s` seconds, on a call of `line`; why they are paused."""

    operator: str
    status: OperatorStatus
    for_s: float | None
    line: str | None
    pause_reason: str | None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One answer. `problems` has a sentence for each present problem; empty: all is well.

    `work` is null if the database gave no answer in time. Counts in `health` are since the start.
    """

    schema: Literal["callsteward.local_status/1"] = "callsteward.local_status/1"
    running: bool
    site: str
    problems: list[str]
    version: str = ""
    boot_id: str = ""
    pid: int | None = None
    started_at: str | None = None
    uptime_s: float | None = None
    asterisk: LinkStatus | None = None
    broker: Broker | None = None
    store: str | None = None
    journal_bytes: int | None = None
    open_calls: int | None = None
    frames_waiting: int | None = None
    event_lag_s: float | None = None
    work: OpenWork | None = None
    health: Health | None = None
    operators: list[OperatorStands] = []


def broker_of(feed: FeedState, *, enabled: bool) -> Broker:
    """The broker's part of the answer."""
    outbox = feed.outbox
    return Broker(
        enabled=enabled,
        connected=feed.connected,
        waiting=feed.waiting,
        dropped=dict(feed.dropped),
        outbox=None
        if outbox is None
        else OutboxStatus(
            messages=outbox.messages,
            bytes=outbox.size,
            limit_bytes=outbox.limit,
            oldest_at=rfc3339(outbox.oldest_ms),
        ),
    )


def operators_of(now: Iterable[OperatorNow], now_ms: int) -> list[OperatorStands]:
    """The operators by name, as their gauges have them. `now_ms` is Asterisk's clock."""
    return [
        OperatorStands(
            operator=one.operator,
            status=status_of(one),
            for_s=_for_s(one, now_ms),
            line=one.line,
            pause_reason=one.pause_reason,
        )
        for one in sorted(now, key=lambda one: one.operator)
    ]


def _for_s(one: OperatorNow, now_ms: int) -> float | None:
    since_ms = one.since_ms if one.status is None else one.status_since_ms
    return None if since_ms is None else max(0.0, (now_ms - since_ms) / 1000)


def problems_of(*, asterisk: LinkStatus, broker: Broker, health: Health, work: OpenWork | None) -> list[str]:
    """The present problems, each with what to do about it if the daemon knows."""
    found = []
    if not asterisk.connected:
        found.append(f"no link to Asterisk ({asterisk.detail}): `callsteward check` says what to mend")
    if broker.enabled and not broker.connected and health.role != "stands_by":
        found.append(f"no link to the MQTT broker; {_many(broker.waiting, 'message')} wait for it")
    if (
        broker.outbox is not None
        and broker.outbox.limit_bytes
        and broker.outbox.bytes >= broker.outbox.limit_bytes
    ):
        found.append("the outbox is full: its oldest messages are dropped until the broker takes them again")
    if health.disk != "working":
        found.append(f"the disk {health.disk}: {health.disk_detail}")
    if work is None:
        found.append("the database gives no answer: open work is not known")
    if health.config == "refused":
        found.append(f"the changed configuration is refused, the old one goes on: {health.config_detail}")
    elif health.config == "needs_restart":
        found.append(f"the changed configuration needs a restart: {health.config_detail}")
    if health.standby in {"absent", "not_ready"}:
        who = "this daemon" if health.role == "stands_by" else "no other daemon"
        could = "cannot take over" if health.role == "stands_by" else "could take over"
        found.append(f"{who} {could}: {health.standby_detail}")
    if health.parts_detail:
        found.append(health.parts_detail)
    if health.tracker_errors:
        found.append(
            f"the tracker failed on {_many(health.tracker_errors, 'event')} so far: the log names them"
        )
    return found


def report(
    *,
    site: str,
    boot_id: str,
    pid: int,
    started_s: float,
    asterisk: LinkStatus,
    broker: Broker,
    store: str,
    journal_bytes: int,
    open_calls: int,
    event_lag_s: float,
    health: Health,
    work: OpenWork | None,
    operators: list[OperatorStands],
    now_s: float | None = None,
) -> Report:
    """The answer of a running daemon. `started_s`: seconds since 1970, like `now_s`."""
    now_s = time.time() if now_s is None else now_s
    return Report(
        running=True,
        site=site,
        problems=problems_of(asterisk=asterisk, broker=broker, health=health, work=work),
        version=__version__,
        boot_id=boot_id,
        pid=pid,
        started_at=rfc3339(round(started_s * 1000)),
        uptime_s=round(max(0.0, now_s - started_s), 3),
        asterisk=asterisk,
        broker=broker,
        store=store,
        journal_bytes=journal_bytes,
        open_calls=open_calls,
        frames_waiting=health.frames_waiting,
        event_lag_s=round(event_lag_s, 3),
        work=work,
        health=health,
        operators=operators,
    )


def not_running(site: str, why: str) -> Report:
    """The answer if no daemon gave one."""
    return Report(running=False, site=site, problems=[why])


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
