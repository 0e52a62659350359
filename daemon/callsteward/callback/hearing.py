"""Turns the dialplan's reports on a callback into steps of it."""

from __future__ import annotations

import structlog

from callsteward.callback import signals
from callsteward.callback.dialplan import CallbackDialplan
from callsteward.callback.ledger import CallbackLedger
from callsteward.callback.permission import Permission
from callsteward.callback.signals import CallbackReport, CallbackSignal
from callsteward.callback.states import UNDER_WAY, CallbackRow, CallbackState
from callsteward.callback.steps import Steps
from callsteward.outgoing.words import Actor
from callsteward.outgoing.work import Work

log = structlog.get_logger(__name__)


class Hearing:
    """Takes one report at a time."""

    def __init__(
        self,
        work: Work[CallbackRow, CallbackState],
        ledger: CallbackLedger,
        steps: Steps,
        dialplan: CallbackDialplan,
        permission: Permission,
    ) -> None:
        self._work = work
        self._ledger = ledger
        self._steps = steps
        self._dialplan = dialplan
        self._permission = permission

    async def take(self, item: CallbackReport) -> None:
        """Make the step that follows from a report. Raises StoreError; may get the same report again."""
        callback = await self._ledger.find(item.about)
        if callback is None:
            return
        steps, move = self._steps, self._work.move
        match item.said:
            case CallbackSignal.OPERATOR_ANSWERED:
                await move(
                    callback, CallbackState.OPERATOR_ANSWERED, Actor.OPERATOR, among=(CallbackState.OFFERED,)
                )
            case CallbackSignal.DECLINED:
                await steps.ask_another(callback, "operator_declined", Actor.OPERATOR)
            case CallbackSignal.MAY_CALL:
                await self._permission.asked(callback, item)
            case CallbackSignal.UNASKED:
                await steps.ask_another(callback, "not_asked_in_time", Actor.DAEMON)
            case CallbackSignal.DIALLING:
                evidence = "the fence was claimed"
                if (
                    await move(callback, CallbackState.DIALLING, Actor.ASTERISK, evidence=evidence)
                    is not None
                ):
                    steps.dialled.add(callback.id)
            case CallbackSignal.OVER:
                await self._over(callback, item, "the dial ended")
            case CallbackSignal.FENCE:
                await self._fence(callback, item)
            case CallbackSignal.REFUSED:
                await move(callback, CallbackState.CANCELLED, Actor.ASTERISK, reason="refused_by_dialplan")
            case CallbackSignal.FORGOTTEN:
                await self._work.gone(callback)
            case CallbackSignal.GONE:
                await self._gone(callback, item)
            case CallbackSignal.LOCKED:
                log.warning("the fence was locked", action="callback_locked", callback=callback.id)

    async def _over(self, callback: CallbackRow, item: CallbackReport, evidence: str) -> None:
        told = f"{evidence}: {item.status or 'no result'}"
        if item.status == "ANSWER":
            await self._work.move(
                callback, CallbackState.REACHED, Actor.ASTERISK, reason="answered", evidence=told
            )
            return
        why = await self._work.why_not_reached(callback, item)
        await self._work.move(callback, CallbackState.NOT_REACHED, Actor.ASTERISK, reason=why, evidence=told)

    async def _fence(self, callback: CallbackRow, item: CallbackReport) -> None:
        """The answer to our question about the fence, or a second attempt found it claimed."""
        self._work.asked_ms.pop(callback.id, None)
        lives = await self._dialplan.lives(callback.channel_id)
        another = item.channel_id != callback.channel_id
        if item.at and (item.status or not (lives and another)):
            await self._over(callback, item, f"the fence was claimed at {item.at}")
        elif not item.at and lives is False and callback.state is CallbackState.DIALLING:
            # The fence was claimed, and Asterisk's database has lost it: the client's phone may have rung.
            await self._over(callback, item, "the fence is lost")
        elif not item.at and lives is False and callback.state in UNDER_WAY:
            # No operator refused: whoever is free may be asked at once.
            await self._work.move(callback, CallbackState.DUE, Actor.ASTERISK, reason="not_dialled")

    async def _gone(self, callback: CallbackRow, item: CallbackReport) -> None:
        """The operator's channel ended. Without an earlier report of a result, no client was dialled."""
        if item.channel_id != callback.channel_id:
            return
        if callback.state is CallbackState.OFFERED:
            await self._steps.ask_another(callback, signals.not_answered(item.cause), Actor.ASTERISK)
        elif callback.state is CallbackState.OPERATOR_ANSWERED:
            await self._steps.ask_another(callback, "operator_hung_up", Actor.OPERATOR)
        elif callback.state is CallbackState.DIALLING:
            self._work.looked_after.discard(callback.id)
