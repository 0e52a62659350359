"""The parts that a configuration may leave out, and how the ones there are act as one."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import aiohttp

from callsteward.ari.events import Event
from callsteward.ari.frames import FrameQueue
from callsteward.ari.link import OnChange
from callsteward.ari.rest import HttpTransport, Rest
from callsteward.callback.decisions import Decisions
from callsteward.callback.execution import Execution
from callsteward.callback.forbidding import Forbidding, telling
from callsteward.callback.ledger import Ledger
from callsteward.callback.policy import Policy
from callsteward.calls.tracker import Tracker
from callsteward.clock import EventClock
from callsteward.config import Config
from callsteward.feed.output import Output
from callsteward.intervals.compose import Intervals
from callsteward.intervals.publisher import Open
from callsteward.outgoing.do_not_call import DoNotCall
from callsteward.outgoing.guard import Guard
from callsteward.outgoing.zones import ClientZones
from callsteward.record.facts import Fact
from callsteward.store.outbox import Announce
from callsteward.store.records import Store
from callsteward.stream.pump import Judge, Listener


def asterisk_now(clock: EventClock) -> Callable[[], int]:
    def now_ms() -> int:
        now = clock.now_ms()
        return now if now is not None else time.time_ns() // 1_000_000

    return now_ms


class Callbacks(NamedTuple):
    decisions: Decisions
    execution: Execution


def open_callbacks(
    config: Config,
    store: Store,
    session: aiohttp.ClientSession,
    tracker: Tracker,
    clock: EventClock,
    feed: Output,
    announce: Announce,
) -> Callbacks | None:
    """What decides on callbacks and carries them out; None with `callback.enabled = false`."""
    if not config.callback.enabled:
        return None

    now_ms = asterisk_now(clock)
    ledger = Ledger(store.engine, config.site.name, announce)
    policy = Policy(config)
    zones = ClientZones(store.engine)
    decisions = Decisions(
        guard=Guard(config),
        policy=policy,
        ledger=ledger,
        do_not_call=DoNotCall(store.engine),
        zones=zones,
        now_ms=now_ms,
    )
    execution = Execution(
        config,
        decisions=decisions,
        policy=policy,
        ledger=ledger,
        zones=zones,
        rest=Rest(HttpTransport(session, config.asterisk)),
        operators_now=tracker.operators_now,
        now_ms=now_ms,
        publish=feed.publish,
        steady_ms=lambda: time.monotonic_ns() // 1_000_000,
    )
    return Callbacks(decisions, execution)


def open_forbidding(
    config: Config,
    store: Store,
    decisions: Decisions | None,
    clock: EventClock,
    feed: Output,
    announce: Announce,
) -> Forbidding:
    """The way onto the do-not-call list, for every part that has one."""
    return Forbidding(
        store.engine,
        config.site.name,
        now_ms=asterisk_now(clock),
        announce=announce,
        told=telling(decisions, feed.publish),
    )


def open_intervals(
    config: Config,
    store: Store,
    session: aiohttp.ClientSession,
    tracker: Tracker,
    clock: EventClock,
    frames: FrameQueue,
    feed: Output,
    announce: Announce,
) -> Intervals | None:
    """What sums the intervals and publishes them; None with `intervals.enabled = false`."""
    if not config.intervals.enabled:
        return None
    return Intervals(
        config,
        store.engine,
        Rest(HttpTransport(session, config.asterisk)),
        now_ms=asterisk_now(clock),
        still_open=lambda: Open(tracker.open_since_ms, frames.idle),
        publish=feed.publish,
        announce=announce,
    )


def in_turn(*judges: Judge | None) -> Judge:
    """One judge for those there are, in this order."""
    present = [judge for judge in judges if judge is not None]

    async def judge(facts: Sequence[Fact]) -> Sequence[Fact]:
        for one in present:
            facts = await one(facts)
        return facts

    return judge


def all_of(*listeners: Listener | None) -> Listener | None:
    """One listener for those there are; None where there are none, since it is asked for every event."""
    present = [listener for listener in listeners if listener is not None]
    if len(present) < 2:
        return present[0] if present else None

    def hear(event: Event) -> None:
        for listener in present:
            listener(event)

    return hear


def each(listeners: Sequence[OnChange]) -> OnChange:
    def on_change(connected: bool, detail: str) -> None:
        for listener in listeners:
            listener(connected, detail)

    return on_change
