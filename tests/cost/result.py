"""The cost of calls, and why a machine did not carry them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tests.cost.cpu import Spent

GOAL = 0.25
# Of the rate that was asked for, less than this was not carried.
_OF_RATE = 0.95


@dataclass(frozen=True)
class Cost:
    """Calls at a rate, and the CPU time for them: until the last one's record is published.

    `failed`: calls that did not go as they should at the phones. `late`: records that came more than a second
    after their call. `shares`: what the profile counts for each part, of the daemon's own CPU time.
    """

    rate: float
    seconds: float
    calls: int
    failed: int
    records: int
    late: int
    daemon: Spent
    asterisk_s: float
    broker_s: float
    shares: Mapping[str, float]

    @property
    def ratio(self) -> float:
        """The daemon's CPU time for one second of Asterisk's."""
        return self.daemon.all_s / self.asterisk_s

    @property
    def met(self) -> bool:
        return self.ratio <= GOAL

    def of_1000(self, seconds: float) -> float:
        """Seconds of CPU for 1,000 calls."""
        return 1000 * seconds / self.calls

    @property
    def parts(self) -> dict[str, float]:
        """Seconds of CPU for 1,000 calls, by part of the daemon; together the daemon's."""
        own = {part: self.of_1000(share * self.daemon.own_s) for part, share in self.shares.items()}
        if self.daemon.children_s:
            name = "compaction"
            own[name] = own.get(name, 0.0) + self.of_1000(self.daemon.children_s)
        return own

    @property
    def not_carried(self) -> str:
        """Why the machine does not carry this rate; empty where it does."""
        came = self.calls / self.seconds
        if came < _OF_RATE * self.rate:
            return f"only {came:.1f} calls a second were made"
        if self.failed:
            return f"{self.failed} calls failed at the phones"
        return f"{self.late} records came later than a second" if self.late else ""

    @property
    def lost(self) -> int:
        return self.calls - self.records

    def told(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self) | {
            "carried": not self.not_carried,
            "not_carried": self.not_carried,
            "daemon_s_per_1000_calls": round(self.of_1000(self.daemon.all_s), 3),
            "asterisk_s_per_1000_calls": round(self.of_1000(self.asterisk_s), 3),
            "ratio": round(self.ratio, 3),
            "parts_s_per_1000_calls": {part: round(cost, 3) for part, cost in self.parts.items()},
        }
