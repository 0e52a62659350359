"""Is a callback made? One pure, total decision with its reason; docs/standard.md, `one_callback`.

The tracker has said what the call was (`calls.outcome.callback`); here stands what forbids calling back all
the same. The order is that of the reasons' weight: what can never be called comes before what may not be
called now.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import msgspec

from callsteward.outgoing.guard import Checked
from callsteward.outgoing.hours import Hours
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
    client: Checked
    dropped_ms: int
    now_ms: int
    do_not_call: bool = False
    called_again: bool = False
    spoken_to: bool = False
    zone: ZoneInfo | None = None
    """Where the client is, as an admin imported it."""
    to_number_today: int = 0
    of_line_this_hour: int = 0
    forestalled: bool = False


class Policy:
    """Decides as a site's configuration asks."""

    def __init__(self, config: Config) -> None:
        self._settings = config.callback
        self._hours = Hours(config)

    def decide(self, case: Case) -> CallbackDecision:
        """Due, or not and why. A call that makes no callback due keeps its own reason."""
        if case.decision.decision is not Decision.DUE:
            if case.forestalled and case.decision.decision is Decision.NOT_DUE:
                return CallbackDecision(Decision.NOT_DUE, INSTEAD_OF_CALLBACK)
            return case.decision
        reason = self._against(case)
        return case.decision if reason is None else CallbackDecision(Decision.SUPPRESSED, reason)

    def _against(self, case: Case) -> str | None:
        number = case.client.number
        if number is None:
            return Against.NO_NUMBER.value if case.client.refusal is None else case.client.refusal.value
        if case.do_not_call:
            return Against.DO_NOT_CALL.value
        if case.called_again:
            return Reason.CALLED_AGAIN.value
        if case.spoken_to:
            return Reason.SPOKEN_TO.value
        if not self.may_call(
            number, case.line, dropped_ms=case.dropped_ms, at_ms=case.now_ms, zone=case.zone
        ):
            return Against.CALLING_HOURS.value
        if case.to_number_today >= self._settings.per_number_a_day:
            return Reason.NUMBER_LIMIT.value
        if case.of_line_this_hour >= self._settings.per_line_an_hour:
            return Reason.LINE_LIMIT.value
        return None

    def hours_bind(self, *, dropped_ms: int, at_ms: int) -> bool:
        """Whether the client's zone matters at a moment."""
        return not self._hours.exempt(dropped_ms=dropped_ms, at_ms=at_ms)

    def may_call(
        self, number: str, line: str, *, dropped_ms: int, at_ms: int, zone: ZoneInfo | None = None
    ) -> bool:
        """Whether the hours allow it at a moment; asked again each time an operator is to be rung."""
        return self._hours.allow(number, line, dropped_ms=dropped_ms, at_ms=at_ms, own=zone)
