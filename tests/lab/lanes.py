"""Lanes: each scenario's own operators, outside lines, queues and extensions.

Scenarios run at the same time on one Asterisk, so nothing may be shared but the PBX.
Lane 0 has the names of the recorded captures (operators 101…, outside line ``trunk``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Driver = Literal["pjsip", "sip"]
"""Which of Asterisk's SIP stacks the phones are on: chan_pjsip, or chan_sip (up to Asterisk 20)."""
TECHNOLOGIES: dict[Driver, str] = {"pjsip": "PJSIP", "sip": "SIP"}

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
    registers_as: str = ""
    """The name it registers by, where the driver wants another one than its number."""


@dataclass(frozen=True, slots=True)
class Lane:
    """One scenario's share of the PBX."""

    index: int
    driver: Driver = "pjsip"

    @property
    def technology(self) -> str:
        """The first part of its phones' channel names."""
        return TECHNOLOGIES[self.driver]

    def operator(self, place: int) -> str:
        """The user name and extension of operator ``place`` (1…4)."""
        return f"1{self.index}{place}"

    @property
    def operators(self) -> tuple[str, ...]:
        return tuple(self.operator(place + 1) for place in range(OPERATORS_PER_LANE))

    def outside(self, place: int) -> OutsideLine:
        """Outside line ``place``: 1 the client, 2 and 3 two more, 4 one that no RTP timeout watches over."""
        suffix = "" if self.index == 0 else str(self.index)
        letter = ("", "b", "c", "t")[place - 1]
        endpoint = f"trunk{suffix}{letter}"
        return OutsideLine(
            endpoint=endpoint,
            number=f"790000000{self.index + 20 * (place - 1):02d}",
            address=f"127.0.{place}.{self.index + 1}",
            # chan_sip knows who registers by that name alone, and who calls by the address registered.
            registers_as=endpoint if self.driver == "sip" else "",
        )

    @property
    def outside_lines(self) -> tuple[OutsideLine, ...]:
        return tuple(self.outside(place) for place in (1, 2, 3))

    @property
    def timed_line(self) -> OutsideLine:
        """The outside line whose talks nothing watches over but a session timer."""
        return self.outside(4)

    def did(self, kind: int) -> str:
        """The number a client dials: two digits of kind, two of lane (``10`` → ``1003``)."""
        return f"{kind}{self.index:02d}"

    def queue(self, kind: str) -> str:
        """A queue of this lane: support, ringall, local, optimised, solo, empty."""
        return f"{kind}{self.index}"

    @property
    def numbers(self) -> tuple[str, ...]:
        """The other names of this lane that a record may have, in the same order in every lane."""
        return self.did(20), self.park_extension

    @property
    def park_extension(self) -> str:
        return f"8{self.index:02d}0"

    @property
    def park_slot(self) -> str:
        """The first slot; a lane parks one call at a time."""
        return f"8{self.index:02d}1"


def every_lane(driver: Driver = "pjsip") -> tuple[Lane, ...]:
    return tuple(Lane(index, driver) for index in range(LANES))
