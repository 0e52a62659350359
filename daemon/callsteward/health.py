"""How the daemon itself does: what went wrong since the start, what is wrong now, where that is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import msgspec

from callsteward.ari.counters import Counters

ConfigState = Literal["current", "refused", "needs_restart"]
DiskState = Literal["working", "hangs", "refuses"]
PartsState = Literal["open", "waiting"]


class OutboxState(NamedTuple):
    """What waits on disk for the broker, measured every 5 s: messages, bytes (and how many may), ms UTC."""

    messages: int = 0
    size: int = 0
    limit: int = 0
    oldest_ms: int | None = None


class FeedState(NamedTuple):
    """How the feed does: whether the broker is connected, and its messages, waiting and given up by kind."""

    connected: bool = False
    waiting: int = 0
    dropped: Mapping[str, int] = {}
    outbox: OutboxState | None = None


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Counts are since the daemon's start."""

    frames_waiting: int = 0
    frames_shed: int = 0
    overflows: int = 0
    disconnects: int = 0
    refused: int = 0
    silences: int = 0
    malformed: int = 0
    tracker_errors: int = 0
    clock_steps: int = 0
    disk: DiskState = "working"
    disk_detail: str = ""
    config: ConfigState = "current"
    config_detail: str = ""
    parts: PartsState = "open"
    parts_detail: str = ""

    @property
    def news(self) -> tuple[object, ...]:
        """What is worth a status at once: everything but how many frames wait at this moment."""
        return msgspec.structs.astuple(self)[1:]


class Readings(msgspec.Struct, kw_only=True):
    """Where the daemon's state is read. Lags in seconds, depths in messages or frames."""

    counters: Counters
    asterisk: Callable[[], tuple[bool, str]]
    """Whether Asterisk is connected, and why not."""
    feed: Callable[[], FeedState]
    open_calls: Callable[[], int]
    event_lag_s: Callable[[], float]
    frames_waiting: Callable[[], int]
    journal_bytes: Callable[[], int]
    overtaken: Callable[[], int]
    tasks: Callable[[], int]
