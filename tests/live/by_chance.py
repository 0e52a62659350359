"""Results that chance decides between the phones and Asterisk, found in the events that the daemon got."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from callsteward.ari.events import epoch_ms
from callsteward.calls.hangup import SIMULTANEOUS_MS
from callsteward.record.call import CallRecord, Party
from tests.judge.expected import Expected
from tests.live.daemon import Daemon


def as_it_fell(name: str, expected: Expected, records: Sequence[CallRecord], daemon: Daemon) -> Expected:
    """The expected result of a scenario, as chance decided it."""
    if name == "both_bye":
        asked_ms = _hang_ups_ms(daemon, records[0])
        if len(asked_ms) == 1 or asked_ms[1] - asked_ms[0] > SIMULTANEOUS_MS:
            # Asterisk was quicker to take the call down than the second BYE was to arrive, or that one was
            # lost on its way and sent again.
            expected = replace(expected, confidence="certain")
    if name == "both_bye" and records[0].hangup.first is Party.OPERATOR:
        # Both were sent in the same millisecond: which one Asterisk reads first is chance.
        expected = replace(expected, first="operator", callback=("not_due", "operator_hung_up"))
    if name == "blind_queue" and len(_dialled(daemon, records[0])) == 2:
        # To the queue the phone that gave the client back was still busy: it rang the other at once.
        expected = replace(expected, attempts=(expected.attempts[0], expected.attempts[-1]))
    if name == "queue_timeout" and len(_dialled(daemon, records[0])) == 1:
        # The second ring would have begun in the last second of the queue's eight.
        expected = replace(expected, attempts=expected.attempts[:1])
    return expected


def _recorded(daemon: Daemon) -> list[dict[str, Any]]:
    """The events the daemon got."""
    assert daemon.recording is not None
    return [json.loads(line) for line in daemon.recording.read_bytes().splitlines()]


def _hang_ups_ms(daemon: Daemon, record: CallRecord) -> list[int]:
    """When parties of a call asked for its end, by Asterisk's clock, ms since 1970.

    A party whose channel Asterisk had already begun to take down asked too late.
    """
    asked: list[int] = []
    taken_down: set[str] = set()
    for event in _recorded(daemon):
        if event["type"] != "ChannelHangupRequest":
            continue
        channel = event["channel"]
        if channel["channelvars"]["CHANNEL(linkedid)"] != record.call_id:
            continue
        if "soft" in event:
            taken_down.add(channel["id"])
        elif channel["id"] not in taken_down:
            asked.append(epoch_ms(event["timestamp"]) or 0)
    return asked


def _dialled(daemon: Daemon, record: CallRecord) -> set[str]:
    """The channels of phones that were dialled for a call."""
    return {
        event["peer"]["id"]
        for event in _recorded(daemon)
        if event["type"] == "Dial" and event["peer"]["channelvars"]["CHANNEL(linkedid)"] == record.call_id
    }
