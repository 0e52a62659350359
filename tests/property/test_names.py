"""A client's number stands in no word that leaves the daemon, wherever in Asterisk's names it stood.

The streams of real calls are told anew with a number planted in every field that can hold one: names of
channels as each driver makes them, caller ids, what was dialled, what a dialplan does, who hung up first.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from callsteward.ari import events
from callsteward.calls.tracker import Tracker
from callsteward.config import Config, Endpoints, Line
from callsteward.feed import gauge_messages, messages
from callsteward.feed.topics import Topics
from callsteward.metrics.calls import CallMetrics
from callsteward.record.call import encode
from callsteward.record.facts import Alert, CallEnded, CallHappened, CallTagged
from tests.replay.streams import CAPTURES, STREAMS

# What Asterisk's drivers call a channel that has a number as its peer, caller or dialled extension.
SPELLED: tuple[str, ...] = (
    "DAHDI/i1/{number}-{serial:x}",
    "DAHDI/i2/{number}:12-{serial:x}",
    "CAPI/ISDN1/{number}-{serial:x}",
    "IAX2/{number}-{serial}",
    "PJSIP/{number}-{serial:08x}",
    "PJSIP/trunk_{number}-{serial:08x}",
    "SIP/{number}-{serial:08x}",
    "SIP/+{number}-{serial:08x}",
    "OOH323/{number}-{serial}",
    "OOH323/{number}@192.0.2.1-{serial}",
    "SCCP/{number}-{serial:08X}",
    "Mobile/{number}-{serial:04x}",
    "Skinny/{number}@phone-{serial}",
    "Unknown/line-{number}",
)
CONFIGS = (
    Config(lines=(Line(name="support", queues=("support",), dids=("100",)),)),
    # Whoever is on one of these is taken for an operator, and becomes a level of a topic.
    Config(endpoints=Endpoints(operators=("*/*",))),
)
_SERIAL = re.compile(r"-([0-9a-f]+)(<ZOMBIE>)?\Z")
_LOCAL = re.compile(r"\ALocal/[^@]*@")


@functools.cache
def told(path: Path) -> tuple[dict[str, Any], ...]:
    return tuple(json.loads(line) for line in path.read_bytes().splitlines())


class Planter:
    """Tells a stream anew, a number in each of its names."""

    def __init__(self, number: str, spelled: str) -> None:
        self._number = number
        self._spelled = spelled

    def name(self, name: str) -> str:
        """The name a channel would have; operators' phones keep theirs."""
        if name.startswith("Local/"):
            return _LOCAL.sub(f"Local/{self._number}@", name)
        serial = _SERIAL.search(name)
        if serial is None or not name.startswith("PJSIP/trunk"):
            return name
        made = self._spelled.format(number=self._number, serial=int(serial.group(1), 16))
        return made + (serial.group(2) or "")

    def channel(self, channel: dict[str, Any]) -> None:
        channel["name"] = self.name(channel["name"])
        channel["accountcode"] = self._number
        caller = channel.get("caller", {})
        if not re.fullmatch(r"\d{2,4}", caller.get("number", "")):
            caller["number"] = self._number
        caller["name"] = f"Client {self._number}"
        channel["connected"] = {"name": self._number, "number": f"+{self._number}"}
        position = channel.get("dialplan", {})
        if position.get("app_name") != "Queue" and position.get("app_data") != "(Outgoing Line)":
            position["app_data"] = f"PJSIP/{self._number}@trunk,30"
        source = channel.get("channelvars", {}).get("CHANNEL(hangupsource)")
        if source:
            channel["channelvars"]["CHANNEL(hangupsource)"] = self.name(source)

    def event(self, told: dict[str, Any]) -> bytes:
        event = json.loads(json.dumps(told))
        for value in event.values():
            if isinstance(value, dict) and "dialplan" in value:
                self.channel(value)
        for key in ("dialstring", "forward", "exten"):
            if event.get(key):
                event[key] = self._number
        return json.dumps(event).encode()


def words(config: Config, frames: Iterator[bytes]) -> Iterator[str]:
    """Everything that leaves the daemon for a stream: records, messages, topics, gauges, metrics."""
    tracker = Tracker(config)
    topics = Topics("callsteward", "main")
    registry = CollectorRegistry()
    metrics = CallMetrics(registry, [])
    for number, frame in enumerate(frames):
        event = events.decode(frame)
        if event is None:
            continue
        for fact in tracker.handle(event):
            metrics.observe(fact)
            match fact:
                case CallEnded(record):
                    yield encode(record).decode()
                    yield topics.of("calls", record.line, "ended")
                    yield messages.encode(messages.call_ended(record)).decode()
                case CallHappened():
                    yield messages.encode(messages.call_event("main", fact)).decode()
                case CallTagged():
                    yield messages.encode(messages.call_tag("main", fact)).decode()
                case Alert():
                    yield messages.encode(messages.alert("main", fact)).decode()
        if number % 5 == 0:
            for operator in tracker.operators_now():
                yield topics.operator_now(operator.operator)
                yield messages.encode(gauge_messages.operator_now("main", operator, 0)).decode()
            for line in tracker.lines_now():
                yield topics.line_now(line.line)
            metrics.gauges(tracker.lines_now(), 0)
    for fact in tracker.finish():
        metrics.observe(fact)
        if isinstance(fact, CallEnded):
            yield encode(fact.record).decode()
    yield generate_latest(registry).decode()


def as_it_was(event: dict[str, Any]) -> bytes:
    return json.dumps(event).encode()


def said(path: Path, config: Config, tell: Callable[[dict[str, Any]], bytes]) -> str:
    return "\n".join(words(config, map(tell, told(path))))


@functools.cache
def digits_of(path: Path, config_number: int) -> frozenset[str]:
    """Five digits in a row that are said of a stream in which nothing is planted (ids, serials)."""
    text = said(path, CONFIGS[config_number], as_it_was)
    return frozenset(
        run[start : start + 5] for run in re.findall(r"\d{5,}", text) for start in range(len(run) - 4)
    )


def fives(number: str) -> set[str]:
    return {number[start : start + 5] for start in range(len(number) - 4)}


NUMBERS = st.from_regex(r"79[0-9]{9}|[1-9][0-9]{6,14}", fullmatch=True)


@given(
    path=st.sampled_from([*CAPTURES, *STREAMS]),
    number=NUMBERS,
    spelled=st.sampled_from(SPELLED),
    config=st.sampled_from(range(len(CONFIGS))),
)
@settings(max_examples=150, deadline=None)
def test_no_output_has_more_than_four_digits_of_a_planted_number(
    path: Path, number: str, spelled: str, config: int
) -> None:
    tell = Planter(number, spelled).event
    looked_for = fives(number) - digits_of(path, config)
    for word in words(CONFIGS[config], map(tell, told(path))):
        for five in looked_for:
            assert five not in word, word


@pytest.mark.parametrize("spelled", SPELLED)
def test_each_drivers_channel_is_shown_with_a_mask(spelled: str) -> None:
    """The call itself is the same whatever its client's channel is called."""
    path = next(path for path in CAPTURES if path.stem == "netdrop")
    plain = said(path, CONFIGS[0], as_it_was)
    masked = said(path, CONFIGS[0], Planter("79031234567", spelled).event)
    assert "+7903***4567" in masked
    for word in ('"first":"network"', '"mid_dialogue_drop"', '"cause":44', "destroyed with cause 44"):
        assert word in masked
    assert masked.count("callsteward.call/1") == plain.count("callsteward.call/1")


def test_no_table_of_the_tracker_grows_with_each_new_name() -> None:
    """Twenty thousand callers of an ISDN line, each with a channel name of their own."""
    tracker = Tracker(CONFIGS[1])
    stamp = "2026-11-22T12:00:00.000+0000"
    for serial in range(20_000):
        channel = {
            "id": f"1795348800.{serial}",
            "name": f"SIP/198.51.{serial >> 8}.{serial & 255}-{serial:08x}",
        }
        if serial % 2:
            channel["name"] = f"DAHDI/i1/790{serial:08}-{serial:x}"
        for kind in ("ChannelCreated", "ChannelDestroyed"):
            event = events.decode(
                json.dumps({"type": kind, "timestamp": stamp, "channel": channel, "cause": 16})
            )
            assert event is not None
            tracker.handle(event)
    directory = tracker._desk.directory
    assert len(directory._endpoints) <= 4096
    assert (
        len({endpoint.name for endpoint in directory._endpoints.values() if endpoint.shown == "DAHDI/i1"})
        == 1
    )
    assert tracker._desk.left == {}
    assert tracker.open_legs == 0
