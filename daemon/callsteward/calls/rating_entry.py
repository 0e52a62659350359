"""A client's channel comes to the rating, as the dialplan reports: the talk is judged and a fact is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from callsteward.calls import measure
from callsteward.calls.handover import ended_by
from callsteward.record.call import Direction, TransferResult
from callsteward.record.facts import HandOver
from callsteward.record.rating_id import rating_of

if TYPE_CHECKING:
    from callsteward.calls.desk import Desk
    from callsteward.calls.model import Leg, TransferMade


def came_by(transfer: TransferMade) -> None:
    """The transfer brought the client to the rating; it was no attempt to find a colleague."""
    transfer.to_rating = True
    transfer.result = TransferResult.COMPLETED


def enter(desk: Desk, leg: Leg, ms: int) -> None:
    """The leg has come to the rating."""
    call = leg.call
    if call.client is not leg:
        return
    rating_call = rating_of(call.id) is not None
    handed_over = False
    if call.talks and not call.contact and not rating_call and desk.asks_after_talk(call.line):
        call.handed_over_ms = ms
        last = call.transfers[-1] if call.transfers else None
        if last is not None and last.result is None:
            # Nobody else has the client, and yet the transfer has not failed.
            came_by(last)
        _, handed_over = ended_by(call, call.requests, desk.limits(call.line).abnormal_causes)
    desk.facts.append(
        HandOver(
            call_id=call.id,
            channel_id=leg.id,
            line=call.line or desk.default_line,
            direction=Direction.RATING if rating_call else measure.direction_of(call),
            at_ms=ms,
            operator=call.operator,
            connected=bool(call.talks) or call.answered_ms is not None,
            dialogue=measure.greeted(desk, call),
            handed_over=handed_over,
            client_number=call.client_number,
            client_masked=desk.numbers.masked(call.client_number),
            client_ref=desk.numbers.ref(call.client_number),
        )
    )
