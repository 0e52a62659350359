"""How the daemon itself does, for `status`: what went wrong since the start, and what is wrong now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import msgspec

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
