"""Makes the facts about ratings and complaints again, as they were published: for `callsteward feed resend`.

The ledger keeps only the last step of a rating.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from callsteward.config import Config
from callsteward.feed.resend import Again, LeaveOut, ResendSource, ResendSpan
from callsteward.rating.complaints import Complaints
from callsteward.rating.ledger import RatingLedger
from callsteward.rating.states import ComplaintRaised, RatingMoved
from callsteward.store.records import Store


async def _ratings(
    config: Config, store: Store, span: ResendSpan, leave_out: LeaveOut
) -> AsyncIterator[Again]:
    """The last steps of ratings, those made in the span."""
    ledger = RatingLedger(store.engine, config.site.name)
    async for rating in ledger.changed(span.from_ms, span.to_ms, line=span.line):
        if rating.comment_ms is not None and rating.comment_file is None:
            # Past the retention the comment's name is deleted. It was in the message and its message_id.
            leave_out()
        else:
            yield Again(RatingMoved(rating))


async def _complaints(
    config: Config, store: Store, span: ResendSpan, _leave_out: LeaveOut
) -> AsyncIterator[Again]:
    """The complaints raised in the span."""
    for raised in await Complaints(store.engine, config.site.name).listed(line=span.line, everything=True):
        if span.from_ms <= raised.raised_at_ms < span.to_ms:
            yield Again(ComplaintRaised(raised))


AGAIN = {"rating": ResendSource(_ratings), "complaint": ResendSource(_complaints)}
