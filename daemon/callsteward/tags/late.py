"""The meaning of the tag `dropped` for a call whose record is made already. Pure.

The record stays as it was published; what is decided later stands in the ledger and on the feed. The rule
is the one of a tag that comes in time (calls/outcome.py): the tag proves that the connection broke, and a
client who was lost before the greeting was over is not called back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from callsteward.calls.outcome import TAGGED
from callsteward.record.call import CallbackDecision, CallRecord, Decision, Direction, Outcome, spoken_s

if TYPE_CHECKING:
    from callsteward.config.profile import Profile

REQUESTED = "requested"
"""The reason of a callback that an integration asked for."""

_ABOUT_CALLBACKS = frozenset({Direction.CALLBACK, Direction.RATING})


def dropped(record: CallRecord, profile: Profile) -> CallbackDecision:
    """The decision for a call that is over, after somebody tagged it as dropped."""
    against = _against(record)
    if against is not None:
        return against
    if not record.connected:
        return CallbackDecision(Decision.NOT_DUE, "not_answered")
    if record.outcome is Outcome.EARLY_DROP or not _greeted(record, profile):
        return CallbackDecision(Decision.NOT_DUE, "early_drop")
    return CallbackDecision(Decision.DUE, TAGGED)


def requested(record: CallRecord) -> CallbackDecision:
    """The decision for a call that is over, after somebody asked for a callback; its end does not matter."""
    return _against(record) or CallbackDecision(Decision.DUE, REQUESTED)


def _against(record: CallRecord) -> CallbackDecision | None:
    if record.direction is Direction.INTERNAL:
        return CallbackDecision(Decision.NOT_DUE, "internal")
    if record.direction in _ABOUT_CALLBACKS:
        return CallbackDecision(Decision.SUPPRESSED, f"was_{record.direction.value}")
    return None


def _greeted(record: CallRecord, profile: Profile) -> bool:
    answered = record.answered_at
    if record.unobserved and (
        answered is None or any(span.to is None or span.to > answered for span in record.unobserved)
    ):
        return True  # nobody watched the greeting: nobody is told there was none
    return spoken_s(record) >= profile.greeting_s
