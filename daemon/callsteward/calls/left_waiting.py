"""Clients who after a talk wait for another operator without success: contacts lost, though spoken to.

They were transferred to a queue or a phone, or the operator hung up and the dialplan went on to another
queue. The rating, an announcement or a mailbox after the talk does not count, nor a client who is connected
again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from callsteward.calls.model import Call, Leg

# An attended transfer is reported just before the client is moved, or just after.
_TRANSFER_MS = 1000


def parted(call: Call) -> None:
    """The talk is over: remember the queue in which the client's channel and Local channels are."""
    for leg in call.legs:
        leg.left_at = leg.position


def look(call: Call, leg: Leg, ms: int) -> None:
    """Note when the client's channel, or a Local channel before it, enters a queue after the talk."""
    position = leg.position
    if call.waits_since_ms is None and position is not None and position != leg.left_at:
        call.waits_since_ms = ms


def waited_ms(call: Call, ended_ms: int | None) -> int | None:
    """How long the client had waited since the last talk, None for a client who did not wait."""
    if not call.talks or ended_ms is None or call.handed_over_ms is not None:
        return None
    parted_ms = call.talks[-1][1]
    if ended_ms <= parted_ms:
        return None
    if call.waits_since_ms is None and not _rang(call, parted_ms, ended_ms):
        return None
    return ended_ms - parted_ms


def _rang(call: Call, parted_ms: int, ended_ms: int) -> bool:
    """True if a phone rang for the client after the talk."""
    given = any(abs(transfer.at_ms - parted_ms) <= _TRANSFER_MS for transfer in call.transfers)
    for attempt in call.attempts:
        if parted_ms <= attempt.dial_ms < ended_ms:
            return True
        # It rang already when the client was transferred to it (blonde transfer, a queue asked first).
        if given and attempt.dial_ms < parted_ms and (attempt.end_ms is None or attempt.end_ms > parted_ms):
            return True
    return False
