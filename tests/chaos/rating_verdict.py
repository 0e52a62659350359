"""The rating of a client who was in the menu during a fault: its result, and how the client left. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec

from callsteward.record.call import CallRecord
from tests.chaos.record_cells import OF_THE_PBX, Outer

SCORE = 4
POLITE_S = 5.0
"""So soon after the fault, or the key, the client has been thanked and their call has ended."""

Told = tuple[str, str, int | None]
ANSWERED: Told = ("answered", "stay", SCORE)
INTERRUPTED: Told = ("unanswered", "interrupted", None)
HUNG_UP: Told = ("unanswered", "hung_up", None)
NOT_AVAILABLE: Told = ("not_asked", "not_available", None)
NOT_OBSERVED: Told = ("not_asked", "not_observed", None)
_OPEN = {"scheduled", "dialling", "asking"}


class Does(StrEnum):
    """The client's behaviour in the menu."""

    COMES = "comes under the fault"
    WAITS = "waits"
    PRESSES_BEFORE = "presses, then the fault"
    PRESSES = "presses after the fault"
    HANGS_UP = "hangs up after the fault"


def choices(fault: Outer) -> tuple[Does, ...]:
    """The behaviours to try under a fault: none that waits until the menu ends; a dead PBX hears no key."""
    if fault is Outer.BROKER:
        return (Does.PRESSES_BEFORE, Does.PRESSES, Does.HANGS_UP)
    if fault in OF_THE_PBX:
        return (Does.WAITS, Does.PRESSES_BEFORE)
    return tuple(Does)


def possible(fault: Outer, does: Does) -> Collection[Told]:
    """The results that a record may have for the rating: several if two events came at once."""
    if does is Does.COMES:
        return (NOT_AVAILABLE, NOT_OBSERVED, INTERRUPTED)
    if does is Does.PRESSES_BEFORE:
        return (ANSWERED,) if fault is Outer.BROKER else (ANSWERED, INTERRUPTED)
    if fault is not Outer.BROKER:
        return (INTERRUPTED,)
    return (ANSWERED,) if does is Does.PRESSES else (HUNG_UP,)


class Menu(msgspec.Struct, frozen=True, kw_only=True):
    """How the client left the menu, as the phones and Asterisk's log know it.

    `let_go_s`: from the fault (or the key that ended the menu) to the call's end; None where the client
    hung up, or where Asterisk died and there was nobody to let them go. `thanked`: the farewell was the last
    thing they were played.
    """

    let_go_s: float | None
    thanked: bool


def mistakes(
    records: Sequence[CallRecord],
    rows: Sequence[Mapping[str, Any]],
    *,
    allowed: Collection[Told],
    menu: Menu,
) -> list[str]:
    """The mistakes in the rating. `rows`: the ledger's rows of this run."""
    found: list[str] = []
    told = [_told(record) for record in records if record.direction.value == "inbound"]
    found += [f"the record's rating is {_name(one)}" for one in told if one not in allowed]
    # A client who was not asked has no row.
    if len(rows) != sum(one[0] != "not_asked" for one in told):
        found.append(f"{len(rows)} rows in the ledger")
    for row in rows:
        if row["state"] in _OPEN:
            found.append(f"the ledger left the rating {row['state']}")
        elif any((row["state"], row["score"]) != (one[0], one[2]) for one in told):
            found.append(f"the ledger says {row['state']}, {row['score']}, the record otherwise")
    if menu.let_go_s is not None and menu.let_go_s > POLITE_S:
        found.append(f"the client was let go after {menu.let_go_s:.1f} s")
    if menu.let_go_s is not None and not menu.thanked:
        found.append("the client was not thanked")
    return found


def named(records: Sequence[CallRecord]) -> str:
    """The rating as a record tells it, in a few words."""
    told = [_told(record) for record in records if record.direction.value == "inbound"]
    return "; ".join(map(_name, told))


def _told(record: CallRecord) -> Told:
    rating = record.rating
    return (rating.status, rating.reason or "", rating.score)


def _name(told: Told) -> str:
    status, reason, score = told
    return f"{status} ({score})" if score is not None else f"{status} ({reason})"
