"""What the connection and the pump met, as counts. Nothing here stops the daemon; somebody must see it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

# Asterisk has some fifty types of events; what else a frame calls itself must not fill the memory.
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
    """Frames left out where too many waited, by what they were (`ari.shedding.Shed`)."""
    refused: int = 0
    """Times that Asterisk refused the ARI user or password."""
    silences: int = 0
    """Links given up since Asterisk did not answer the heartbeat."""
    clock_steps: int = 0
    """Times that the machine's clock was set, or Asterisk's on another one, by more than a second."""
    disk_stalls: int = 0
    """Times that the journal's disk took longer than a second for a write."""
    disk_errors: int = 0
    """Times that the disk began to refuse the journal."""
    compactions: int = 0
    reloads: int = 0
    reload_errors: int = 0

    def count_unknown(self, kind: str) -> None:
        """Count an event of a type that is of no use here; past a number of types they are one, `other`."""
        kind = kind[:LONGEST_TYPE]
        if kind not in self.unknown and len(self.unknown) >= MOST_TYPES:
            kind = OTHER
        self.unknown[kind] += 1

    def count_malformed(self) -> bool:
        """Count a frame that is no event; whether to say so: the first ten, then one of a thousand."""
        self.malformed += 1
        return self.malformed <= 10 or self.malformed % 1000 == 0
