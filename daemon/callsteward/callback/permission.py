"""Whether a client may still be called, asked of the store at every look and before each dial.

Other processes put numbers on the do-not-call list too (the command line, another site that shares the
database), so nothing is remembered here. An operator's phone rings only after the ledger's step `offered`,
which the callback of a listed client never makes. Between the operator's answer and the client's phone the
dialplan asks (`may_call`) and dials nobody without an answer.
"""

from __future__ import annotations

from collections.abc import Iterable

import structlog

from callsteward.callback.dialplan import GO, Dialplan
from callsteward.callback.heard import Heard
from callsteward.callback.ledger import Ledger
from callsteward.callback.states import CANCELLABLE, GIVEN_UP, Callback, State
from callsteward.callback.steps import Steps
from callsteward.outgoing.words import Actor, Against
from callsteward.record.callback_id import callback_of

log = structlog.get_logger(__name__)

EVIDENCE = "the client is on the do-not-call list"


class Permission:
    """Ends what may not go on, and lets operators through to clients who may be called."""

    def __init__(self, ledger: Ledger, steps: Steps, dialplan: Dialplan) -> None:
        self._ledger = ledger
        self._steps = steps
        self._dialplan = dialplan
        # By callback: the globals that let an operator through. A kill leaves one behind at most, and no
        # other attempt reads it.
        self._let_through: dict[str, set[str]] = {}

    async def look(self, opened: list[Callback], *, linked: bool) -> list[Callback]:
        """The open callbacks without those whose client is on the list by now. Raises StoreError."""
        await self._take_back(opened, linked=linked)
        forbidden = await self._ledger.forbidden() if opened else []
        for callback in forbidden:
            if callback.state in CANCELLABLE:
                await self._cancel(callback)
            elif linked and callback.id in self._steps.dialled and callback.channel_id is not None:
                # Their phone rings this moment. Where the dial was not followed from its beginning they may
                # be talking, and nobody is cut off.
                self._steps.dialled.discard(callback.id)
                log.info("stopped ringing a client", action="callback_forbidden", callback=callback.id)
                await self._dialplan.hang_up(callback.channel_id)
        return await self._ledger.opened() if forbidden else opened

    async def asked(self, callback: Callback, item: Heard) -> None:
        """An operator has answered, and the dialplan asks whether the client may be called."""
        # Any dialplan may send a UserEvent: only a callback's own channel is answered.
        if callback_of(item.channel_id) != callback.id or not (
            item.attempt.isascii() and item.attempt.isdigit()
        ):
            return
        if await self._ledger.forbids(callback):
            await self._cancel(callback)
        elif callback.state in CANCELLABLE:
            name = f"{GO}{callback.id}_{item.attempt}"
            self._let_through.setdefault(callback.id, set()).add(name)
            await self._dialplan.admit(name)
            return
        elif callback.state not in GIVEN_UP:
            return  # Dialled already: a journal is run again, or another operator has the client.
        await self._dialplan.turn_away(item.channel_id)

    async def _cancel(self, callback: Callback) -> None:
        await self._steps.move(
            callback,
            State.CANCELLED,
            Actor.DAEMON,
            reason=Against.DO_NOT_CALL.value,
            evidence=EVIDENCE,
            among=tuple(CANCELLABLE),
        )

    async def _take_back(self, opened: Iterable[Callback], *, linked: bool) -> None:
        """Remove the globals of operators who have gone through, or were not there any more."""
        if not linked:
            return
        waiting = {callback.id for callback in opened if callback.state in CANCELLABLE}
        for name in self._let_through.keys() - waiting:
            for variable in self._let_through.pop(name):
                await self._dialplan.put(variable, None)
