"""What Asterisk said about a callback becomes a step of it."""

from __future__ import annotations

import structlog

from callsteward.callback import heard
from callsteward.callback.dialplan import Dialplan
from callsteward.callback.heard import Heard, Said
from callsteward.callback.ledger import Ledger
from callsteward.callback.permission import Permission
from callsteward.callback.states import UNDER_WAY, Callback, State
from callsteward.callback.steps import Steps
from callsteward.outgoing.words import Actor
from callsteward.outgoing.work import Work

log = structlog.get_logger(__name__)


class Hearing:
    """Takes one saying at a time."""

    def __init__(
        self,
        work: Work[Callback, State],
        ledger: Ledger,
        steps: Steps,
        dialplan: Dialplan,
        permission: Permission,
    ) -> None:
        self._work = work
        self._ledger = ledger
        self._steps = steps
        self._dialplan = dialplan
        self._permission = permission

    async def take(self, item: Heard) -> None:
        """Make the step that follows. Raises StoreError; may be told again."""
        callback = await self._ledger.find(item.about)
        if callback is None:
            return
        steps, move = self._steps, self._work.move
        match item.said:
            case Said.OPERATOR_ANSWERED:
                await move(callback, State.OPERATOR_ANSWERED, Actor.OPERATOR, among=(State.OFFERED,))
            case Said.DECLINED:
                await steps.ask_another(callback, "operator_declined", Actor.OPERATOR)
            case Said.MAY_CALL:
                await self._permission.asked(callback, item)
            case Said.UNASKED:
                await steps.ask_another(callback, "not_asked_in_time", Actor.DAEMON)
            case Said.DIALLING:
                evidence = "the fence was claimed"
                if await move(callback, State.DIALLING, Actor.ASTERISK, evidence=evidence) is not None:
                    steps.dialled.add(callback.id)
            case Said.OVER:
                await self._over(callback, item, "the dial ended")
            case Said.FENCE:
                await self._fence(callback, item)
            case Said.REFUSED:
                await move(callback, State.CANCELLED, Actor.ASTERISK, reason="refused_by_dialplan")
            case Said.FORGOTTEN:
                await self._work.gone(callback)
            case Said.GONE:
                await self._gone(callback, item)
            case Said.LOCKED:
                log.warning("the fence was locked", action="callback_locked", callback=callback.id)

    async def _over(self, callback: Callback, item: Heard, evidence: str) -> None:
        told = f"{evidence}: {item.status or 'no result'}"
        if item.status == "ANSWER":
            await self._work.move(callback, State.REACHED, Actor.ASTERISK, reason="answered", evidence=told)
            return
        why = await self._work.why_not_reached(callback, item)
        await self._work.move(callback, State.NOT_REACHED, Actor.ASTERISK, reason=why, evidence=told)

    async def _fence(self, callback: Callback, item: Heard) -> None:
        """An answer to our question, or a second attempt that met the fence."""
        self._work.asked_ms.pop(callback.id, None)
        lives = await self._dialplan.lives(callback.channel_id)
        another = item.channel_id != callback.channel_id
        if item.at and (item.status or not (lives and another)):
            await self._over(callback, item, f"the fence was claimed at {item.at}")
        elif not item.at and lives is False and callback.state is State.DIALLING:
            # It was claimed, and Asterisk's database has lost that: whether it rang, nobody knows.
            await self._over(callback, item, "the fence is lost")
        elif not item.at and lives is False and callback.state in UNDER_WAY:
            # Nobody was asked in vain: whoever is free may be asked at once.
            await self._work.move(callback, State.DUE, Actor.ASTERISK, reason="not_dialled")

    async def _gone(self, callback: Callback, item: Heard) -> None:
        """The operator's channel ended. What it came to was said before; else nobody was dialled."""
        if item.channel_id != callback.channel_id:
            return
        if callback.state is State.OFFERED:
            await self._steps.ask_another(callback, heard.not_answered(item.cause), Actor.ASTERISK)
        elif callback.state is State.OPERATOR_ANSWERED:
            await self._steps.ask_another(callback, "operator_hung_up", Actor.OPERATOR)
        elif callback.state is State.DIALLING:
            self._work.looked_after.discard(callback.id)
