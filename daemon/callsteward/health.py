"""The daemon's own health: errors since the start, present troubles, and the places where they are read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import msgspec

ConfigState = Literal["current", "refused", "needs_restart"]
DiskState = Literal["working", "hangs", "refuses"]
PartsState = Literal["open", "waiting"]
Role = Literal["alone", "acts", "stands_by"]
StandbyState = Literal["none", "ready", "not_ready", "absent"]


# Asterisk has about fifty types of events; other types that frames claim must not fill the memory.
MOST_TYPES = 200
LONGEST_TYPE = 64
OTHER = "other"


@dataclass(slots=True)
class Counters:
    """Counts since the start. `frames` came off the socket, `events` reached the tracker."""

    frames: int = 0
    events: int = 0
    malformed: int = 0
    unknown: Counter[str] = field(default_factory=Counter)
    tracker_errors: int = 0
    connects: int = 0
    disconnects: int = 0
    overflows: int = 0
    snapshots: int = 0
    max_depth: int = 0
    shed: Counter[str] = field(default_factory=Counter)
    """Frames left out because too many waited, by kind (`ari.shedding.Shed`)."""
    refused: int = 0
    """Times that Asterisk refused the ARI user or password."""
    silences: int = 0
    """Links given up because Asterisk did not answer the heartbeat."""
    clock_steps: int = 0
    """Times that the machine's clock, or that of Asterisk elsewhere, was set by more than a second."""
    disk_stalls: int = 0
    """Writes to the journal's disk that took longer than a second."""
    disk_errors: int = 0
    """Times that the disk began to refuse the journal."""
    compactions: int = 0
    overtaken_intervals: int = 0
    """Revisions that were not sent: a newer one was made while they waited for the broker."""
    reloads: int = 0
    reload_errors: int = 0

    def summary(self) -> dict[str, object]:
        """For the log, when the daemon stops."""
        return {
            "frames": self.frames,
            "events": self.events,
            "unknown": dict(self.unknown),
            "malformed": self.malformed,
            "tracker_errors": self.tracker_errors,
            "connects": self.connects,
            "disconnects": self.disconnects,
            "shed": dict(self.shed),
            "overflows": self.overflows,
            "refused": self.refused,
            "silences": self.silences,
            "clock_steps": self.clock_steps,
            "disk_stalls": self.disk_stalls,
            "disk_errors": self.disk_errors,
            "compactions": self.compactions,
            "reloads": self.reloads,
            "reload_errors": self.reload_errors,
            "max_depth": self.max_depth,
        }

    def count_unknown(self, kind: str) -> None:
        """Count an event of a type that is not used here; beyond a number of types they count as `other`."""
        kind = kind[:LONGEST_TYPE]
        if kind not in self.unknown and len(self.unknown) >= MOST_TYPES:
            kind = OTHER
        self.unknown[kind] += 1

    def count_malformed(self) -> bool:
        """Count a frame that is no event; whether to log it: the first ten, then one in a thousand."""
        self.malformed += 1
        return self.malformed <= 10 or self.malformed % 1000 == 0


class OutboxState(NamedTuple):
    """Messages on disk for the broker, measured every 5 s: number, bytes (and limit), oldest in ms UTC."""

    messages: int = 0
    size: int = 0
    limit: int = 0
    oldest_ms: int | None = None


class FeedState(NamedTuple):
    """The state of the feed: whether the broker is connected; messages waiting, and given up by kind."""

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
    role: Role = "alone"
    """Whether this daemon acts for its site, or stands by for the other one; alone without [standby]."""
    instance: str = ""
    """The daemon's name among the two of its site."""
    standby: StandbyState = "none"
    """Whether the daemon that stands by could act."""
    standby_detail: str = ""

    @property
    def news(self) -> tuple[object, ...]:
        """Changes of these are worth a status at once: everything but the number of waiting frames."""
        return msgspec.structs.astuple(self)[1:]


class Readings(msgspec.Struct, kw_only=True):
    """Functions that read the daemon's state. Lags in seconds, depths in messages or frames."""

    counters: Counters
    asterisk: Callable[[], tuple[bool, str]]
    """Whether Asterisk is connected, and why not."""
    feed: Callable[[], FeedState]
    open_calls: Callable[[], int]
    event_lag_s: Callable[[], float]
    frames_waiting: Callable[[], int]
    journal_bytes: Callable[[], int]
    tasks: Callable[[], int]
    health: Callable[[], Health]
