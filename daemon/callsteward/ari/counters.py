"""What the connection and the pump met, as counts. Nothing here stops the daemon; somebody must see it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


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
