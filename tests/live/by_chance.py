"""What chance decides between the phones and Asterisk, told from the events the daemon got."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from callsteward.record.call import CallRecord, Party
from tests.judge.expected import Expected
from tests.live.daemon import Daemon


def as_it_fell(name: str, expected: Expected, records: Sequence[CallRecord], daemon: Daemon) -> Expected:
    """What a scenario must come to, the dice being cast."""
    if name == "both_bye" and _hang_ups(daemon, records[0]) == 1:
        # Asterisk was quicker to take the call down than the second BYE was to arrive.
        expected = replace(expected, confidence="certain")
    if name == "both_bye" and records[0].hangup.first is Party.OPERATOR:
        # Both were sent in the same millisecond: which one Asterisk reads first is chance.
        expected = replace(expected, first="operator", callback=("not_due", "operator_hung_up"))
    if name == "blind_queue" and len(_dialled(daemon, records[0])) == 2:
        # To the queue the phone that gave the client back was still busy: it rang the other at once.
        expected = replace(expected, attempts=(expected.attempts[0], expected.attempts[-1]))
    return expected


def _recorded(daemon: Daemon) -> list[dict[str, Any]]:
    """The events the daemon got."""
    assert daemon.recording is not None
    return [json.loads(line) for line in daemon.recording.read_bytes().splitlines()]


def _hang_ups(daemon: Daemon, record: CallRecord) -> int:
    """How many parties of a call asked for its end."""
    return sum(
        event["type"] == "ChannelHangupRequest"
        and "soft" not in event
        and event["channel"]["channelvars"]["CHANNEL(linkedid)"] == record.call_id
        for event in _recorded(daemon)
    )


def _dialled(daemon: Daemon, record: CallRecord) -> set[str]:
    """The channels of phones that were dialled for a call."""
    return {
        event["peer"]["id"]
        for event in _recorded(daemon)
        if event["type"] == "Dial" and event["peer"]["channelvars"]["CHANNEL(linkedid)"] == record.call_id
    }
