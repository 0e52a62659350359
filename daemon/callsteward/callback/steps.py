"""This process's notes on open callbacks beside the ledger. After a restart nothing depends on them."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from callsteward.callback.decisions import CallbackDecisions
from callsteward.callback.states import FINAL, CallbackMoved, CallbackRow, CallbackState
from callsteward.outgoing.words import Actor
from callsteward.outgoing.work import Work
from callsteward.record.facts import Alert

log = structlog.get_logger(__name__)


class Steps:
    """Follows the steps that `work` makes. `publish` gets the facts to publish."""

    def __init__(
        self,
        work: Work[CallbackRow, CallbackState],
        decisions: CallbackDecisions,
        publish: Callable[[CallbackMoved | Alert], None],
    ) -> None:
        self._work = work
        self._decisions = decisions
        self._publish = publish
        self.known: dict[str, CallbackRow] = {}
        """The open callbacks as they were last seen."""
        self.tried: dict[str, dict[str, int]] = {}
        """By callback: operators who did not take it, and when, in the callback's own time (`own_ms`)."""
        self.dialled: set[str] = set()
        """Callbacks whose client is being dialled, by events that came over the present link."""
        self._alerted: set[str] = set()

    def told(self, fact: CallbackMoved) -> None:
        """A callback was written down, or cancelled by somebody else."""
        callback = fact.callback
        if callback.state in FINAL:
            self._decisions.over(callback)
        log.info(
            "callback decided",
            action="callback_decided",
            callback=callback.id,
            line=callback.line,
            state=callback.state.value,
            reason=callback.reason,
        )
        self.known[callback.id] = callback
        self._work.wake()

    def moved(self, after: CallbackRow, to: CallbackState, reason: str) -> None:
        """A step was made here."""
        log.info(
            "callback moved",
            action="callback_moved",
            callback=after.id,
            state=to.value,
            reason=reason,
            operator=after.asked,
        )
        self.known[after.id] = after
        if to in FINAL:
            self.dialled.discard(after.id)
        if to in FINAL or to is CallbackState.DIALLING:
            self._decisions.over(after)
            self._alerted.discard(after.id)

    def over(self, callback: CallbackRow) -> None:
        """Somebody else ended the callback."""
        self._decisions.over(callback)
        self.tried.pop(callback.id, None)

    async def ask_another(self, callback: CallbackRow, reason: str, actor: Actor) -> None:
        """The operator who was asked did not take the callback: back to `due`, for the next one."""
        if callback.asked is not None:
            self.tried.setdefault(callback.id, {})[callback.asked] = self.own_ms(callback)
        await self._work.move(callback, CallbackState.DUE, actor, reason=reason)

    def own_ms(self, callback: CallbackRow) -> int:
        """The present moment by a clock that nobody has set since the callback became due."""
        return callback.created_at_ms + self._work.ages.of_ms(callback.id, callback.created_at_ms)

    def alert_late(self, callback: CallbackRow, limit_s: float) -> None:
        """Publish one alert if a callback waits longer than `limit_s`."""
        since_ms = callback.dropped_at_ms
        late = self._work.ages.of_ms(callback.id, since_ms) >= int(limit_s * 1000)
        if late and callback.id not in self._alerted:
            self._alerted.add(callback.id)
            self.alert(callback, "callback_late", limit_s, since_ms)

    def alert(self, callback: CallbackRow, rule: str, limit_s: float, since_ms: int) -> None:
        self._publish(
            Alert(
                call_id=callback.origin_call_id,
                line=callback.line,
                rule=rule,
                at_ms=since_ms + int(limit_s * 1000),
                operator=callback.operator,
                limit_s=limit_s,
                since_ms=since_ms,
            )
        )
