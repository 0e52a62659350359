"""Faults in the phases of a call, whose record must be right all the same. Pure."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Phase(StrEnum):
    """Where the fault comes."""

    RINGING = "ringing"
    GREETING = "greeting"
    DIALOGUE = "dialogue"
    HOLD = "on hold"
    TRANSFER = "transfer"
    WRAP_UP = "wrap-up"
    CALLBACK = "callback ringing"
    IVR = "IVR"


class Outer(StrEnum):
    KILL = "SIGKILL of the daemon"
    TERM = "SIGTERM of the daemon"
    CUT = "websocket cut"
    BROKER = "SIGKILL of the broker"
    RESTART = "core restart now"
    PBX_KILL = "SIGKILL of Asterisk"


OF_THE_PBX = frozenset({Outer.RESTART, Outer.PBX_KILL})
"""They end the calls in progress."""


OF_THE_DAEMON = frozenset({Outer.KILL, Outer.TERM})


class Connect(StrEnum):
    """`asterisk.connect`, and whether a systemd keeps the connection of a daemon that is gone."""

    CLIENT = "client"
    OUTBOUND = "outbound"
    KEPT = "outbound, kept"


class RecordCell(msgspec.Struct, frozen=True):
    """One cell of the table."""

    fault: Outer
    phase: Phase
    connect: Connect = Connect.CLIENT

    @property
    def observed(self) -> bool:
        """True if the daemon must observe all of it."""
        return self.connect is Connect.KEPT

    @property
    def title(self) -> str:
        return f"records: {self.fault} / {self.phase} / {self.connect}"


def every_record_cell() -> tuple[RecordCell, ...]:
    return tuple(
        RecordCell(fault, phase, connect)
        for connect in Connect
        for fault in Outer
        for phase in Phase
        # What ends with the daemon is kept.
        if connect is not Connect.KEPT or fault in OF_THE_DAEMON
    )


SHARPEST_RECORDS: tuple[RecordCell, ...] = (
    RecordCell(Outer.KILL, Phase.HOLD),
    RecordCell(Outer.CUT, Phase.TRANSFER),
    RecordCell(Outer.PBX_KILL, Phase.DIALOGUE),
    RecordCell(Outer.KILL, Phase.TRANSFER, Connect.KEPT),
    RecordCell(Outer.KILL, Phase.IVR),
    RecordCell(Outer.CUT, Phase.IVR, Connect.OUTBOUND),
)
"""Those that `make test` plays."""
