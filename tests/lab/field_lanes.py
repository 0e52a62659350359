"""The lanes of the field site: each scenario's own operators, trunks and queues.

The names are those of a site that the project did not make: operators 201…, DIDs 6001…, queues ``sales0``
and ``600``. The lane is the second digit of an operator, a DID and a numbered queue, and the last but one
of an outside number, so that one dialplan serves every lane.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.lab.lanes import TECHNOLOGIES, Driver, OutsideLine

FIELD_LANES = 8
PLAIN = (1, 2, 3, 4)
"""Places of operators with an ordinary phone."""
TWO_PHONES = 6
"""The place of an operator with a desk phone and a softphone."""
AGENT = 7
"""The place of an operator who logs in to the pool of agents."""
SCRIPTED = (8, 9)
"""Places of operators whose phone is a `ScriptedPhone`, known by its address; session timers run on the first
and an RTP timeout on the second."""
TRUNKS = ("provider", "backup", "mobile", "timers", "lazy")
"""Outside lines by place (1…). Session timers run on ``timers`` and ``lazy``, which is also told who is on
the line after a transfer."""


@dataclass(frozen=True, slots=True)
class FieldLane:
    """One scenario's share of the field site."""

    index: int
    driver: Driver = "pjsip"

    @property
    def technology(self) -> str:
        """The first part of its phones' channel names."""
        return TECHNOLOGIES[self.driver]

    def operator(self, place: int) -> str:
        """The extension of operator ``place`` (1…9)."""
        return f"2{self.index}{place}"

    @property
    def operators(self) -> tuple[str, ...]:
        return tuple(self.operator(place) for place in range(1, 10))

    def trunk(self, name: str) -> OutsideLine:
        """The outside line of that name, and the number of whoever is on it."""
        return self.outside(TRUNKS.index(name) + 1)

    def outside(self, place: int) -> OutsideLine:
        """Outside line ``place`` (1…5)."""
        endpoint = f"{TRUNKS[place - 1]}{self.index}"
        return OutsideLine(
            endpoint=endpoint,
            number=f"790000000{self.index}{place}",
            address=f"127.0.{place}.{self.index + 1}",
            # chan_sip knows who registers by that name alone, and who calls by the address registered.
            registers_as=endpoint if self.driver == "sip" else "",
        )

    @property
    def outside_lines(self) -> tuple[OutsideLine, ...]:
        return tuple(self.trunk(name) for name in TRUNKS)

    @property
    def numbers(self) -> tuple[str, ...]:
        """The other names of this lane that a record may have, in the same order in every lane."""
        return (self.queue("0"),)

    def scripted_address(self, place: int) -> str:
        """Where the scripted phone of operator ``place`` is."""
        return f"127.0.{place}.{self.index + 1}"

    def did(self, kind: int) -> str:
        """The number a client dials (``10`` → ``6310`` in lane 3)."""
        return f"6{self.index}{kind:02d}"

    def queue(self, kind: str) -> str:
        """A queue with a name (``sales``, ``service`` …), or a FreePBX one by its last digit (``0``)."""
        return f"6{self.index}{kind}" if kind.isdigit() else f"{kind}{self.index}"


def every_field_lane(driver: Driver = "pjsip") -> tuple[FieldLane, ...]:
    return tuple(FieldLane(index, driver) for index in range(FIELD_LANES))
