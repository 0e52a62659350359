"""Is a callback made? One pure, total decision with its reason; docs/standard.md, `one_callback`.

The tracker has said what the call was (`calls.outcome.callback`); here stands what forbids calling back all
the same. The order is that of the reasons' weight: what can never be called comes before what may not be
called now.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from callsteward.outgoing.may import Standing
from callsteward.outgoing.words import Against
from callsteward.record.call import CallbackDecision, Decision

if TYPE_CHECKING:
    from callsteward.config import Config


class Reason(StrEnum):
    """Why a callback that was due is not made. What holds for every call to a client stands beside these."""

    CALLED_AGAIN = "client_called_again"
    SPOKEN_TO = "client_spoken_to"
    NUMBER_LIMIT = "number_limit"
    LINE_LIMIT = "line_limit"


INSTEAD_OF_CALLBACK = "instead_of_callback"
"""The reason of a call by which a client forestalled their callback."""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a call that ended, for the decision. Counts do not include this call."""

    decision: CallbackDecision
    line: str
    client: Standing
    dropped_ms: int
    now_ms: int
    called_again: bool = False
    spoken_to: bool = False
    to_number_today: int = 0
    of_line_this_hour: int = 0
    forestalled: bool = False


class Policy:
    """Decides as a site's configuration asks."""

    def __init__(self, config: Config) -> None:
        self._settings = config.callback

    def decide(self, case: Case) -> CallbackDecision:
        """Due, or not and why. A call that makes no callback due keeps its own reason."""
        if case.decision.decision is not Decision.DUE:
            if case.forestalled and case.decision.decision is Decision.NOT_DUE:
                return CallbackDecision(Decision.NOT_DUE, INSTEAD_OF_CALLBACK)
            return case.decision
        reason = self._against(case)
        return case.decision if reason is None else CallbackDecision(Decision.SUPPRESSED, reason)

    def _against(self, case: Case) -> str | None:
        if case.client.never is not None:
            return case.client.never
        if case.called_again:
            return Reason.CALLED_AGAIN.value
        if case.spoken_to:
            return Reason.SPOKEN_TO.value
        if not case.client.now:
            return Against.CALLING_HOURS.value
        if case.to_number_today >= self._settings.per_number_a_day:
            return Reason.NUMBER_LIMIT.value
        if case.of_line_this_hour >= self._settings.per_line_an_hour:
            return Reason.LINE_LIMIT.value
        return None
