"""Reports about rating calls: the dialplan's UserEvents, and Local channels that end."""

from __future__ import annotations

from enum import StrEnum

from callsteward.ari import fence_events
from callsteward.record.rating_id import rating_of


class RatingSignal(StrEnum):
    """`state` of the UserEvents of dialplan/callsteward-rating.conf; `gone` is a channel's end."""

    DIALLING = "rating_dialling"
    OVER = "rating_over"
    FENCE = "rating_fence"
    LOCKED = "rating_locked"
    REFUSED = "rating_refused"
    FORGOTTEN = "rating_forgotten"
    GONE = "gone"


RatingReport = fence_events.FenceReport[RatingSignal]

read = fence_events.FenceReportReader("rt", RatingSignal, gone=RatingSignal.GONE, of_channel=rating_of).read
