"""Asterisk's own records of the calls: CDR, CEL and queue_log.

They are an independent second opinion on every number callsteward publishes.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.lab.pbx_config import CDR_FIELDS, CEL_FIELDS


@dataclass(frozen=True, slots=True)
class Cdr:
    """One CDR row. Times are Unix seconds, None where Asterisk had none."""

    caller_id: str
    source: str
    destination: str
    context: str
    channel: str
    peer_channel: str
    app: str
    app_data: str
    start: float | None
    answer: float | None
    end: float | None
    duration_s: float | None
    billsec_s: float | None
    disposition: str
    unique_id: str
    linked_id: str
    sequence: str


@dataclass(frozen=True, slots=True)
class Cel:
    """One CEL row. ``extra`` is its JSON (HANGUP: hangupcause, hangupsource, dialstatus)."""

    event: str
    time: float
    caller: str
    dnid: str
    exten: str
    context: str
    channel: str
    app: str
    app_data: str
    unique_id: str
    linked_id: str
    peer: str
    extra: dict[str, object]


@dataclass(frozen=True, slots=True)
class QueueEvent:
    """One queue_log row: ENTERQUEUE, CONNECT, ABANDON, COMPLETECALLER …"""

    time: float
    call_id: str
    queue: str
    member: str
    event: str
    fields: tuple[str, ...]


def _seconds(text: str) -> float | None:
    value = float(text or 0)
    return value or None


def read_cdr(path: Path) -> list[Cdr]:
    return [
        Cdr(
            caller_id=row["caller_id"],
            source=row["source"],
            destination=row["destination"],
            context=row["context"],
            channel=row["channel"],
            peer_channel=row["peer_channel"],
            app=row["app"],
            app_data=row["app_data"],
            start=_seconds(row["start"]),
            answer=_seconds(row["answer"]),
            end=_seconds(row["end"]),
            duration_s=_seconds(row["duration_s"]),
            billsec_s=_seconds(row["billsec_s"]),
            disposition=row["disposition"],
            unique_id=row["unique_id"],
            linked_id=row["linked_id"],
            sequence=row["sequence"],
        )
        for row in _csv(path, [name for name, _ in CDR_FIELDS])
    ]


def read_cel(path: Path) -> list[Cel]:
    rows = []
    for row in _csv(path, [name for name, _ in CEL_FIELDS]):
        extra = json.loads(row["extra"]) if row["extra"] else {}
        rows.append(
            Cel(
                event=row["event"],
                time=float(row["time"]),
                caller=row["caller"],
                dnid=row["dnid"],
                exten=row["exten"],
                context=row["context"],
                channel=row["channel"],
                app=row["app"],
                app_data=row["app_data"],
                unique_id=row["unique_id"],
                linked_id=row["linked_id"],
                peer=row["peer"],
                extra=extra,
            )
        )
    return rows


def read_queue_log(path: Path) -> list[QueueEvent]:
    if not path.exists():
        return []
    rows = []
    for line in path.read_text().splitlines():
        parts = line.split("|")
        if len(parts) < 5:
            continue
        time, call_id, queue, member, event, *fields = parts
        while fields and not fields[-1]:
            fields.pop()
        rows.append(QueueEvent(float(time), call_id, queue, member, event, tuple(fields)))
    return rows


def _csv(path: Path, names: list[str]) -> Iterator[dict[str, str]]:
    if not path.exists():
        return
    with path.open(newline="") as source:
        for row in csv.reader(source):
            if len(row) == len(names):
                yield dict(zip(names, row, strict=True))
