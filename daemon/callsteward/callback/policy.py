"""Is a callback made? One pure decision for every case, with its reason; docs/standard.md, `one_callback`.

The tracker has decided whether the call makes a callback due (`calls.outcome.callback`); here are the reasons
that forbid it all the same. Reasons that hold for ever come before those that hold at the moment.
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
    """The reason why a due callback is not made. Reasons against any call to a client are in `Against`."""

    CALLED_AGAIN = "client_called_again"
    SPOKEN_TO = "client_spoken_to"
    NUMBER_LIMIT = "number_limit"
    LINE_LIMIT = "line_limit"


INSTEAD_OF_CALLBACK = "instead_of_callback"
"""The reason in the record of a client's own call that made their callback unnecessary."""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A call that has ended, with all that the decision needs. Counts do not include this call."""

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
        """Due, or the reason why not. A call that makes no callback due keeps its own reason."""
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
