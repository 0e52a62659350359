"""The trials with rating calls: the daemon is killed at a point of one. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

import msgspec

FAULT = "SIGKILL at a point of a rating call"


class RatingScene(StrEnum):
    """The client's behaviour, or what happens to them."""

    ANSWERS = "presses a key"
    MORE = "answers the second question"
    SILENT = "hangs up in the menu"
    BUSY = "is busy"
    LISTED = "is on the do-not-call list by then"
    LISTED_LATE = "comes onto the list while their phone rings"
    LATE = "is called too late"


INVITES = {
    RatingScene.ANSWERS: 1,
    RatingScene.MORE: 1,
    RatingScene.SILENT: 1,
    RatingScene.BUSY: 1,
    RatingScene.LISTED: 0,
    RatingScene.LISTED_LATE: 1,
    RatingScene.LATE: 0,
}
"""What the client's phone receives."""

INTERRUPTED = ("unanswered", "interrupted")
ENDS: dict[RatingScene, frozenset[tuple[str, str]]] = {
    # If the daemon dies, the dialplan thanks the client and the menu is over.
    RatingScene.ANSWERS: frozenset({("answered", ""), INTERRUPTED}),
    RatingScene.MORE: frozenset({("answered", "")}),
    RatingScene.SILENT: frozenset({("unanswered", "hung_up"), INTERRUPTED}),
    RatingScene.BUSY: frozenset({("not_reached", "busy")}),
    RatingScene.LISTED: frozenset({("suppressed", "do_not_call")}),
    RatingScene.LISTED_LATE: frozenset({("not_reached", "do_not_call")}),
    RatingScene.LATE: frozenset({("expired", "too_late")}),
}
"""What the ledger may say at the end: state and reason."""


class RatingCell(msgspec.Struct, frozen=True):
    """One row of the table. `points`: where the daemon's first, second … life ends."""

    points: tuple[str, ...]
    scene: RatingScene = RatingScene.ANSWERS

    @property
    def phase(self) -> str:
        return ", ".join(self.points)

    @property
    def title(self) -> str:
        return f"rating: {FAULT} / {self.phase} / {self.scene}"


def _around(name: str, scene: RatingScene) -> Iterator[RatingCell]:
    for when in ("before", "after"):
        yield RatingCell((f"{when}:rating:{name}",), scene)


def every_rating_cell() -> tuple[RatingCell, ...]:
    cells: list[RatingCell] = []
    for scene, names in (
        (RatingScene.ANSWERS, ("scheduled", "dialling", "originate", "asking", "answered")),
        (RatingScene.MORE, ("kept",)),
        (RatingScene.SILENT, ("unanswered",)),
        (RatingScene.BUSY, ("not_reached",)),
        (RatingScene.LISTED, ("suppressed",)),
        (RatingScene.LISTED_LATE, ("hang_up",)),
        (RatingScene.LATE, ("expired",)),
    ):
        for name in names:
            cells += _around(name, scene)
    for when in ("before", "after"):
        cells.append(RatingCell(("after:rating:dialling", f"{when}:rating:ask")))
    return tuple(cells)


def breach(
    scene: RatingScene, *, invites: int, rows: list[dict[str, object]], recorded: bool, score: int
) -> str:
    """The mistakes of a run; empty if there are none."""
    if len(rows) != 1:
        return f"{len(rows)} rows in the ledger"
    row = rows[0]
    if invites != INVITES[scene]:
        return f"the client's phone rang {invites} times"
    ended = (str(row["state"]), str(row["reason"]))
    if ended not in ENDS[scene]:
        return f"the ledger says {ended[0]} ({ended[1]})"
    if ended[0] == "answered" and row["score"] != score:
        return f"the ledger has the score {row['score']}"
    return "" if recorded else "the call that is rated has no record"


SHARPEST_RATINGS: tuple[RatingCell, ...] = (
    RatingCell(("after:rating:dialling",)),
    RatingCell(("after:rating:originate",)),
)
"""Those that `make test` plays."""
