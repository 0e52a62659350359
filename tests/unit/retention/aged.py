"""Calls of a given age, and what deletes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from callsteward import features
from callsteward.config import Config
from callsteward.record.call import CallbackDecision, CallRecord, Decision
from callsteward.retention.expiry import Expiry
from callsteward.store.records import CallQuery, Store
from tests.unit.store.samples import RECORD

CONFIG = Config()
ZONE = ZoneInfo("Europe/Moscow")
NUMBER = "+79031234567"
KEEP_DAYS = 40
DUE = CallbackDecision(Decision.DUE, "mid_dialogue_drop")
# 22 November 2026, 05:00 in Moscow. The oldest day that is kept is 13 October.
NOW_MS = 1_795_312_800_000
KEPT_MS = round(datetime(2026, 10, 13, tzinfo=ZONE).timestamp() * 1000)
OLD_MS = KEPT_MS - 1


def record(call_id: str, at_ms: int = OLD_MS, **changes: Any) -> CallRecord:
    """A call that arrived then and was on for a minute."""
    moments = [datetime.fromtimestamp(at_ms / 1000, UTC) + timedelta(seconds=s) for s in (0, 5, 60)]
    started, answered, ended = [
        moment.isoformat(timespec="milliseconds").replace("+00:00", "Z") for moment in moments
    ]
    changes = {"started_at": started, "answered_at": answered, "ended_at": ended, **changes}
    return msgspec.structs.replace(RECORD, call_id=call_id, **changes)


def expiry(store: Store, now_ms: int = NOW_MS, machine_ms: int = NOW_MS, **changes: Any) -> Expiry:
    return Expiry(
        store.engine,
        "main",
        KEEP_DAYS,
        features.plans(),
        zone=ZONE,
        now_ms=lambda: now_ms,
        machine_ms=lambda: machine_ms,
        **changes,
    )


async def left(store: Store) -> list[str]:
    return [item.call_id async for item in store.calls(CallQuery())]
