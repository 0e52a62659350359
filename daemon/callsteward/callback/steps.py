"""A callback's steps: in the ledger first, then in the log and on the feed.

Also what this process knows beside the ledger, none of which a restart would miss.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from callsteward.callback.ages import Ages
from callsteward.callback.decisions import Decisions
from callsteward.callback.ledger import Ledger
from callsteward.callback.states import FINAL, Callback, CallbackMoved, State
from callsteward.outgoing.words import Actor
from callsteward.record.facts import Alert

log = structlog.get_logger(__name__)


class Steps:
    """Makes the steps. `publish` takes what is to be told, `wake` is called where more may be to do."""

    def __init__(
        self,
        ledger: Ledger,
        decisions: Decisions,
        *,
        now_ms: Callable[[], int],
        ages: Ages,
        publish: Callable[[CallbackMoved | Alert], None],
        wake: Callable[[], None],
    ) -> None:
        self._ledger = ledger
        self._decisions = decisions
        self._now_ms = now_ms
        self._ages = ages
        self._publish = publish
        self._own: CallbackMoved | Alert | None = None
        self._wake = wake
        self.known: dict[str, Callback] = {}
        """The open callbacks as they were last seen."""
        self.tried: dict[str, dict[str, int]] = {}
        """By callback: operators asked in vain, and when, in the callback's own time (`own_ms`)."""
        self.looked_after: set[str] = set()
        """Callbacks whose channel this process has seen to since the link was made."""
        self.asked_ms: dict[str, int] = {}
        """By callback: when the fence was last asked."""
        self.dialled: set[str] = set()
        """Callbacks whose client's phone rings, as this process heard since the link was made."""
        self._alerted: set[str] = set()

    def linked(self) -> None:
        """The link is new: what happened meanwhile has to be asked for."""
        self.looked_after.clear()
        self.asked_ms.clear()
        self.dialled.clear()

    def told(self, fact: CallbackMoved) -> None:
        """A callback was written down or cancelled: what is published from here is known already."""
        if fact is self._own:
            return
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
        self._wake()

    def publish(self, fact: CallbackMoved | Alert) -> None:
        """Tell the feed and the other parts."""
        self._own = fact
        self._publish(fact)

    def over(self, callback: Callback) -> None:
        """Somebody else ended it."""
        self._decisions.over(callback)
        self.tried.pop(callback.id, None)

    async def move(
        self,
        callback: Callback,
        to: State,
        actor: Actor,
        *,
        reason: str = "",
        evidence: str = "",
        among: tuple[State, ...] | None = None,
        asked: str | None = None,
        channel: str | None = None,
    ) -> Callback | None:
        """A step in the ledger, told on the feed; None where it may not be made (any more)."""
        after = await self._ledger.move(
            callback,
            to,
            actor=actor,
            at_ms=self._now_ms(),
            reason=reason,
            evidence=evidence,
            among=among,
            asked=asked,
            channel_id=channel,
        )
        if after is None:
            return None
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
        if to in FINAL or to is State.DIALLING:
            self._decisions.over(after)
            self._alerted.discard(after.id)
        self.publish(CallbackMoved(after, actor))
        # What is due again may have somebody to ask at once.
        self._wake()
        return after

    async def ask_another(self, callback: Callback, reason: str, actor: Actor) -> None:
        """Who was asked did not take it: the next operator's turn."""
        if callback.asked is not None:
            self.tried.setdefault(callback.id, {})[callback.asked] = self.own_ms(callback)
        await self.move(callback, State.DUE, actor, reason=reason)

    def alert_late(self, callback: Callback, limit_s: float) -> None:
        """Say once that a callback waits longer than it should."""
        since_ms = callback.dropped_at_ms
        if callback.id not in self._alerted and self._late(callback, since_ms, limit_s):
            self._alerted.add(callback.id)
            self.alert(callback, "callback_late", limit_s, since_ms)

    def _late(self, callback: Callback, since_ms: int, limit_s: float) -> bool:
        return self._ages.of_ms(callback.id, since_ms) >= int(limit_s * 1000)

    def own_ms(self, callback: Callback) -> int:
        """Now, had nobody set a clock since the callback became due."""
        return callback.created_at_ms + self._ages.of_ms(callback.id, callback.created_at_ms)

    def alert(self, callback: Callback, rule: str, limit_s: float, since_ms: int) -> None:
        self.publish(
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
