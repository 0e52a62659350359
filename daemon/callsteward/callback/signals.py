"""Reports about callbacks: the dialplan's UserEvents, and operators' channels that end."""

from __future__ import annotations

from enum import StrEnum

from callsteward.ari import fence_events
from callsteward.record.callback_id import callback_of


class CallbackSignal(StrEnum):
    """`state` of the UserEvents of dialplan/callsteward-callback.conf; `gone` is a channel's end."""

    OPERATOR_ANSWERED = "operator_answered"
    DECLINED = "declined"
    MAY_CALL = "may_call"
    UNASKED = "unasked"
    DIALLING = "dialling"
    OVER = "over"
    FENCE = "fence"
    LOCKED = "locked"
    REFUSED = "refused"
    FORGOTTEN = "forgotten"
    GONE = "gone"


CallbackReport = fence_events.FenceReport[CallbackSignal]

read = fence_events.FenceReportReader(
    "cb", CallbackSignal, gone=CallbackSignal.GONE, of_channel=callback_of
).read

_NOT_ANSWERED = {
    17: "operator_busy",
    19: "operator_no_answer",
    21: "operator_rejected",
    20: "operator_offline",
}


def not_answered(cause: int) -> str:
    """The reason why an operator did not take the callback, by the Q.850 cause of their phone's channel."""
    return _NOT_ANSWERED.get(cause, "operator_no_answer")
