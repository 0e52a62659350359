"""Clients who called another site with the same database meanwhile, or were reached by one.

Nobody notifies this process of that: the store is asked each time the open callbacks are looked at, and once
more right before a client is dialled. The step that lets an operator's phone ring asks in its own
transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from callsteward.callback.ledger import CallbackLedger
from callsteward.callback.states import CANCELLABLE, CallbackRow, CallbackState
from callsteward.outgoing.words import Actor, Met

if TYPE_CHECKING:
    from callsteward.outgoing.contacts import Contacts
    from callsteward.outgoing.work import Work


class Elsewhere:
    """Cancels their callbacks, by steps that `work` makes."""

    def __init__(
        self, work: Work[CallbackRow, CallbackState], ledger: CallbackLedger, contacts: Contacts
    ) -> None:
        self._work = work
        self._ledger = ledger
        self._contacts = contacts

    async def cancel(self) -> frozenset[str]:
        """Cancel the callbacks whose client another site had since. Returns them. Raises StoreError."""
        met = await self._ledger.met_elsewhere()
        for callback in met:
            contact = await self._contacts.elsewhere(callback.number or "", 0)
            if contact is None:
                continue  # erased at this moment
            actor = Actor.CLIENT if contact.reason is Met.CALLED_AGAIN else Actor.OPERATOR
            await self._work.move(
                callback,
                CallbackState.CANCELLED,
                actor,
                reason=contact.reason.value,
                evidence=contact.evidence,
                among=tuple(CANCELLABLE),
            )
        return frozenset(callback.id for callback in met)
