"""A daemon's messages, read back as records and call events, and the mistakes in them."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import Any

import jsonschema
import msgspec

from callsteward import features
from callsteward.feed import contract
from callsteward.record.call import CallRecord, Direction
from tests.judge.truth import epoch
from tests.live.subscriber import Received

ENVELOPE = {"message_id", "boot_id", "seq", "ts"}


def record_of(body: dict[str, Any]) -> CallRecord:
    """The call record in a message of `calls/LINE/ended`, without its envelope."""
    return msgspec.convert({key: value for key, value in body.items() if key not in ENVELOPE}, CallRecord)


@functools.cache
def _validators() -> dict[str, jsonschema.Draft202012Validator]:
    return {
        name: jsonschema.Draft202012Validator(schema)
        for name, schema in contract.json_schemas(features.topics()).items()
    }


def schema_errors(messages: Iterable[Received]) -> list[str]:
    """Messages that are not what their schema says."""
    found = []
    for message in messages:
        validator = _validators().get(message.body.get("schema", ""))
        if validator is None:
            found.append(f"{message.topic}: no schema {message.body.get('schema')!r}")
            continue
        found += [f"{message.topic}: {error.message}" for error in validator.iter_errors(message.body)]
    return found


def sequence_errors(messages: Sequence[Received]) -> list[str]:
    """Numbered messages of one boot come as 1, 2, 3 …, none missing, none twice."""
    numbers = [item.body["seq"] for item in messages]
    return [] if numbers == list(range(1, len(numbers) + 1)) else [f"seq is {numbers}"]


def story_errors(events: Sequence[dict[str, Any]], record: CallRecord) -> list[str]:
    """A call's events against each other and against its record."""
    found = []
    kinds = [event["event"] for event in events]
    moments = [event["at"] for event in events]
    # A call with a client begins with their coming, or with our calling them.
    client = record.direction is not Direction.INTERNAL
    if kinds.count("started") != client or (client and kinds[:1] != ["started"]):
        found.append(f"not begun by one `started`: {kinds}")
    elif client and record.client_masked != events[0]["client_masked"]:
        found.append(
            f"started by {events[0]['client_masked']}, the record's client is {record.client_masked}"
        )
    # Asterisk stamps neighbours in the wrong order by a few milliseconds at times.
    found += [
        f"{kinds[index + 1]} at {moments[index + 1]} after {kinds[index]} at {moments[index]}"
        for index in range(len(events) - 1)
        if moments[index + 1] < moments[index] and moments[index + 1][:-4] != moments[index][:-4]
    ]
    # Phones that began to ring in the same millisecond have no order.
    ringing = [event for event in events if event["event"] == "ringing"]
    rung = [event["operator"] for event in sorted(ringing, key=lambda item: (item["at"], item["operator"]))]
    rings = [attempt for attempt in record.attempts if attempt.ring_s is not None]
    rings.sort(key=lambda item: (item.at, item.operator))
    # A colleague asked during a hold may ring in a call of its own, until the two become one.
    plain = [attempt.operator for attempt in rings if not _on_hold(record, attempt.at)]
    if rung not in (plain, [attempt.operator for attempt in rings]):
        found.append(f"ringing at {rung}, the record's attempts are {record.attempts}")
    answers = [event["at"] for event in events if event["event"] == "answered"]
    if record.answered_at is not None and record.attempts and answers[:1] != [record.answered_at]:
        found.append(f"answered {answers}, the record says {record.answered_at}")
    if record.answered_at is None and answers:
        found.append(f"answered {answers}, the record says nobody did")
    holds = [event["at"] for event in events if event["event"] == "hold"]
    backs = [(event["by"], event["duration_s"]) for event in events if event["event"] == "unhold"]
    if holds != [hold.at for hold in record.holds]:
        found.append(f"held at {holds}, the record has {record.holds}")
    if backs != [(hold.by.value, hold.duration_s) for hold in record.holds]:
        found.append(f"unheld {backs}, the record has {record.holds}")
    if kinds.count("silence") != len(record.silences or ()):
        found.append(f"{kinds.count('silence')} silences, the record has {record.silences}")
    moved = [(event["by"], event["to"]) for event in events if event["event"] == "transfer"]
    if moved != [(transfer.by, transfer.to) for transfer in record.transfers]:
        found.append(f"transfers {moved}, the record has {record.transfers}")
    hung_up = [event["by"] for event in events if event["event"] == "hangup"]
    if record.hangup.first.value in {"client", "operator", "network"} and (
        record.hangup.first.value not in hung_up
    ):
        found.append(f"hangup {hung_up}, the record says {record.hangup.first}")
    return found


def _on_hold(record: CallRecord, moment: str) -> bool:
    at = epoch(moment)
    return any(epoch(hold.at) <= at <= epoch(hold.at) + hold.duration_s for hold in record.holds)
