"""Statuses that operators and integrations ask for, by code or command: busy, away, back, wrap-up over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from callsteward.record.facts import OperatorStatus
from callsteward.statuses.setting import Setting

_GIVES: Final = {"busy": OperatorStatus.PAUSED, "away": OperatorStatus.AWAY}
_ENDS: Final[Mapping[str, tuple[OperatorStatus, ...]]] = {"back": (), "ready": (OperatorStatus.WRAP_UP,)}
ACTIONS: Final = frozenset(_GIVES) | frozenset(_ENDS)


class StatusAnswer(NamedTuple):
    """The answer. `refused`: why nothing was done, empty where it was done, with its `result`."""

    refused: str = ""
    result: str = ""


class StatusDesk:
    """Carries out what is asked. `known`: whether an operator is one; `may`: why nothing can be done now."""

    def __init__(self, setting: Setting, *, known: Callable[[str], bool], may: Callable[[], str]) -> None:
        self._setting = setting
        self._known = known
        self._may = may

    async def ask(self, operator: str, action: str, *, reason: str, by: str) -> StatusAnswer:
        """`action`: busy, away, back, or ready (wrap-up over). Raises StoreError; then nothing was done."""
        if not self._known(operator):
            return StatusAnswer("unknown_operator")
        refused = self._may()
        if refused:
            return StatusAnswer(refused)
        status = _GIVES.get(action)
        if status is not None:
            took = await self._setting.begin(operator, status, reason=reason, given_by=by)
            return StatusAnswer(result=status.value if took else "goes_on")
        ended = await self._setting.end(operator, by=by, only=_ENDS[action])
        if ended is None:
            # What somebody else has paused stays paused.
            return StatusAnswer(result="nothing_to_end")
        return StatusAnswer(result="back" if ended else "goes_on")
