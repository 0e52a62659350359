"""May the client still be called? The answer to the dialplan, after the operator has answered.

The store is asked, since other processes put numbers on the do-not-call list, too. Without an answer the
dialplan does not dial the client.
"""

from __future__ import annotations

from collections.abc import Iterable

import structlog

from callsteward.callback.dialplan import GO, CallbackDialplan
from callsteward.callback.elsewhere import Elsewhere
from callsteward.callback.ledger import CallbackLedger
from callsteward.callback.signals import CallbackReport
from callsteward.callback.states import CANCELLABLE, GIVEN_UP, CallbackRow, CallbackState
from callsteward.outgoing.work import Work
from callsteward.record.callback_id import callback_of

log = structlog.get_logger(__name__)


class Permission:
    """Lets operators through to clients who may be called."""

    def __init__(
        self,
        work: Work[CallbackRow, CallbackState],
        ledger: CallbackLedger,
        dialplan: CallbackDialplan,
        elsewhere: Elsewhere,
    ) -> None:
        self._work = work
        self._ledger = ledger
        self._dialplan = dialplan
        self._elsewhere = elsewhere
        # By callback: the globals that let operators through. A killed daemon leaves at most one behind, and
        # no other attempt reads it.
        self._let_through: dict[str, set[str]] = {}

    async def asked(self, callback: CallbackRow, item: CallbackReport) -> None:
        """Let the operator through, or end their channel. Raises StoreError."""
        # Any dialplan may send a UserEvent: only a callback's own channel is answered.
        if callback_of(item.channel_id) != callback.id or not (
            item.attempt.isascii() and item.attempt.isdigit()
        ):
            return
        if await self._ledger.forbids(callback):
            await self._work.stop(callback)
        elif callback.state in CANCELLABLE and callback.id in await self._elsewhere.cancel():
            log.info("the client had another site", action="callback_elsewhere", callback=callback.id)
        elif callback.state in CANCELLABLE:
            name = f"{GO}{callback.id}_{item.attempt}"
            self._let_through.setdefault(callback.id, set()).add(name)
            await self._dialplan.admit(name)
            return
        elif callback.state not in GIVEN_UP:
            return  # The client is dialled already: a journal is run again, or another operator has them.
        await self._dialplan.turn_away(item.channel_id)

    async def take_back(self, opened: Iterable[CallbackRow]) -> None:
        """Remove the globals of operators who have come through to the client or have hung up."""
        if not self._work.linked:
            return
        waiting = {callback.id for callback in opened if callback.state in CANCELLABLE}
        for name in self._let_through.keys() - waiting:
            for variable in self._let_through.pop(name):
                await self._dialplan.put(variable, None)
