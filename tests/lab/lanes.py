"""Lanes: each scenario's own operators, outside lines, queues and extensions.

Scenarios run at the same time on one Asterisk, so nothing may be shared but the PBX.
Lane 0 has the names of the recorded captures (operators 101…, outside line ``trunk``).
"""

from __future__ import annotations

from dataclasses import dataclass

LANES = 12
OPERATORS_PER_LANE = 4
PASSWORD = "lab-phone"
"""Every operator phone's SIP password; the lab listens on 127.0.0.1 only."""


@dataclass(frozen=True, slots=True)
class OutsideLine:
    """A phone in the outside world: it is known to the PBX by its address."""

    endpoint: str
    number: str
    address: str


@dataclass(frozen=True, slots=True)
class Lane:
    """One scenario's share of the PBX."""

    index: int

    def operator(self, place: int) -> str:
        """The user name and extension of operator ``place`` (1…4)."""
        return f"1{self.index}{place}"

    @property
    def operators(self) -> tuple[str, ...]:
        return tuple(self.operator(place + 1) for place in range(OPERATORS_PER_LANE))

    def outside(self, place: int) -> OutsideLine:
        """Outside line ``place`` (1…3): the client, and two more."""
        suffix = "" if self.index == 0 else str(self.index)
        letter = ("", "b", "c")[place - 1]
        return OutsideLine(
            endpoint=f"trunk{suffix}{letter}",
            number=f"790000000{self.index + 20 * (place - 1):02d}",
            address=f"127.0.{place}.{self.index + 1}",
        )

    @property
    def outside_lines(self) -> tuple[OutsideLine, ...]:
        return tuple(self.outside(place) for place in (1, 2, 3))

    def did(self, kind: int) -> str:
        """The number a client dials: two digits of kind, two of lane (``10`` → ``1003``)."""
        return f"{kind}{self.index:02d}"

    def queue(self, kind: str) -> str:
        """A queue of this lane: support, ringall, local, optimised, solo, empty."""
        return f"{kind}{self.index}"

    @property
    def park_extension(self) -> str:
        return f"8{self.index:02d}0"

    @property
    def park_slot(self) -> str:
        """The first slot; a lane parks one call at a time."""
        return f"8{self.index:02d}1"


def every_lane() -> tuple[Lane, ...]:
    return tuple(Lane(index) for index in range(LANES))
