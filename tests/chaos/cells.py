"""The trials with callbacks: a fault in a phase of a scene. Pure.

A scene is how the phones behave, and how often the client's phone should ring. A point is a place in the
daemon's code (callsteward.faults); a moment is one of the call.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

import msgspec


class Fault(StrEnum):
    POINT = "SIGKILL at a point"
    POINTS = "SIGKILL at two points"
    KILL = "SIGKILL"
    CUT = "websocket cut"
    HALF_OPEN = "half-open socket"
    RESTART = "core restart now"
    PBX_KILL = "SIGKILL of Asterisk"
    DISK = "full disk"
    DISK_LONG = "full disk, too long"
    DATABASE_RESTART = "PostgreSQL restarted"
    DATABASE_READ_ONLY = "PostgreSQL read-only"
    DATABASE_CROWDED = "PostgreSQL takes no connection"
    DATABASE_CUT = "network to PostgreSQL cut"
    DATABASE_SLOW = "network to PostgreSQL slow"


OF_THE_DATABASE = frozenset(
    {
        Fault.DATABASE_RESTART,
        Fault.DATABASE_READ_ONLY,
        Fault.DATABASE_CROWDED,
        Fault.DATABASE_CUT,
        Fault.DATABASE_SLOW,
    }
)
"""The faults of a database that is a server."""


class Moment(StrEnum):
    """When a fault comes, in the life of a call that breaks and is called back."""

    DIALOGUE = "dialogue"
    LOSS = "loss"
    OPERATOR_RINGS = "operator rings"
    OPERATOR_UP = "operator up"
    CLIENT_RINGS = "client rings"
    TALK = "talk"


class Scene(StrEnum):
    REACHED = "reached"
    BUSY = "client busy"
    SECOND = "second operator"
    AGAIN = "client calls again"
    AGAIN_UNNOTICED = "client is back unnoticed"
    NOBODY = "no operator answers"


STEPS = ("due", "offered", "originate", "operator_answered", "admit", "dialling", "reached", "record")
"""The points of a callback that reaches its client, in order."""

INVITES = {
    Scene.REACHED: 1,
    Scene.BUSY: 1,
    Scene.SECOND: 1,
    Scene.AGAIN: 0,
    Scene.AGAIN_UNNOTICED: 0,
    Scene.NOBODY: 0,
}
"""The INVITEs that the client's phone receives if nothing fails."""


class Cell(msgspec.Struct, frozen=True):
    """One row of the table. `points`: where the daemon's first, second … life ends, counted from `moment`
    on where there is one."""

    fault: Fault
    scene: Scene = Scene.REACHED
    moment: Moment | None = None
    points: tuple[str, ...] = ()

    @property
    def phase(self) -> str:
        where = ", ".join(self.points)
        return " from ".join(filter(None, (where, self.moment and self.moment.value)))

    @property
    def title(self) -> str:
        return f"callback: {self.fault} / {self.phase} / {self.scene}"


def _around(name: str, scene: Scene = Scene.REACHED, moment: Moment | None = None) -> Iterator[Cell]:
    for when in ("before", "after"):
        yield Cell(Fault.POINT, scene, moment, (f"{when}:{name}",))


def every_cell() -> tuple[Cell, ...]:
    """All cells: each named fault point, then each outer fault in each phase."""
    cells: list[Cell] = []
    for name in STEPS:
        cells += _around(name)
    # It is emptied at the daemon's start, too.
    cells += _around("clear", moment=Moment.LOSS)
    for moment in (Moment.LOSS, Moment.OPERATOR_RINGS, Moment.CLIENT_RINGS, Moment.TALK):
        cells += _around("journal", moment=moment)
    cells += _around("record", moment=Moment.TALK)
    cells += _around("not_reached", Scene.BUSY)
    cells += _around("due", Scene.SECOND, Moment.OPERATOR_RINGS)
    for name in ("cancelled", "hang_up"):
        cells += _around(name, Scene.AGAIN)
    cells += _around("suppressed", Scene.AGAIN_UNNOTICED)
    cells += _around("expired", Scene.NOBODY)
    for first, second in (
        ("after:offered", "before:ask"),
        ("after:offered", "after:ask"),
        ("after:originate", "before:reached"),
        ("after:dialling", "after:reached"),
    ):
        cells.append(Cell(Fault.POINTS, points=(first, second)))
    for fault in Fault:
        if fault in {Fault.POINT, Fault.POINTS, Fault.DISK_LONG}:
            continue
        cells += [Cell(fault, moment=moment) for moment in Moment]
    cells += [Cell(Fault.DISK_LONG, moment=moment) for moment in (Moment.LOSS, Moment.OPERATOR_UP)]
    return tuple(cells)


SHARPEST: tuple[Cell, ...] = (
    Cell(Fault.HALF_OPEN, moment=Moment.OPERATOR_RINGS),
    Cell(Fault.POINT, points=("after:offered",)),
    Cell(Fault.POINT, points=("after:originate",)),
    Cell(Fault.POINT, points=("before:dialling",)),
    Cell(Fault.POINT, Scene.AGAIN, points=("after:cancelled",)),
    Cell(Fault.PBX_KILL, moment=Moment.CLIENT_RINGS),
    Cell(Fault.CUT, moment=Moment.CLIENT_RINGS),
    Cell(Fault.DISK, moment=Moment.OPERATOR_RINGS),
    Cell(Fault.DATABASE_CUT, moment=Moment.OPERATOR_RINGS),
)
"""The handful that `make test` plays."""
