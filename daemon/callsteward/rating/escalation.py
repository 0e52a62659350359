"""Brings complaints to a supervisor: listed and published (docs/standard.md, `complaint_escalated`)."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from callsteward.rating.complaints import LOW_RATING, Complaints
from callsteward.rating.states import ComplaintRaised, RatingRow
from callsteward.record.call import CallRecord

log = structlog.get_logger(__name__)


class Escalation:
    """Publishes a complaint once: not if its call is, or was, on the list. Methods raise StoreError."""

    def __init__(
        self, complaints: Complaints, now_ms: Callable[[], int], publish: Callable[[ComplaintRaised], None]
    ) -> None:
        self._complaints = complaints
        self._now_ms = now_ms
        self._publish = publish

    async def of_call(self, record: CallRecord, reason: str) -> None:
        """A call that has ended is a complaint; the tag may have come after its end."""
        await self._of(record, reason, None)

    async def of_rating(self, rating: RatingRow, score: int) -> None:
        """A client gave a low score."""
        await self._of(rating, LOW_RATING, score)

    async def _of(self, about: CallRecord | RatingRow, reason: str, score: int | None) -> None:
        raised = await self._complaints.raise_(
            call_id=about.call_id,
            line=about.line,
            operator=about.operator,
            client_masked=about.client_masked,
            client_ref=about.client_ref,
            reason=reason,
            score=score,
            at_ms=self._now_ms(),
        )
        if raised is not None:
            log.warning(
                "complaint escalated",
                action="complaint_escalated",
                complaint=raised.id,
                call_id=about.call_id,
                line=about.line,
                reason=reason,
                score=score,
            )
            self._publish(ComplaintRaised(raised))
