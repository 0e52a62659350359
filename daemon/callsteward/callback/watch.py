"""What nobody said: callbacks under way that went silent, and those that somebody else ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from callsteward.callback.ages import Ages
from callsteward.callback.dialplan import Dialplan
from callsteward.callback.ledger import Ledger
from callsteward.callback.states import FINAL, Callback, CallbackMoved, State
from callsteward.callback.steps import Steps
from callsteward.config import Config
from callsteward.outgoing.words import Actor

# What the events should have said by then is asked of Asterisk.
GRACE_MS = 5_000
ASK_EVERY_MS = 10_000


class Watch:
    """Looks after the open callbacks."""

    def __init__(
        self,
        config: Config,
        ledger: Ledger,
        steps: Steps,
        dialplan: Dialplan,
        *,
        ages: Ages,
        steady_ms: Callable[[], int],
    ) -> None:
        self._settings = config.callback
        self._ledger = ledger
        self._steps = steps
        self._dialplan = dialplan
        self._ages = ages
        self._steady_ms = steady_ms

    async def look_after(self, callback: Callback) -> None:
        """See to a callback under way that this process knows nothing of, or that takes too long."""
        steps = self._steps
        age_ms = self._ages.of_ms(callback.id, callback.changed_at_ms)
        if callback.id in steps.looked_after and age_ms < self._patience_ms(callback.state):
            return
        now_ms = self._steady_ms()
        asked_ms = steps.asked_ms.get(callback.id)
        if asked_ms is not None and now_ms - asked_ms < ASK_EVERY_MS:
            return
        steps.asked_ms[callback.id] = now_ms
        lives = None if callback.channel_id is None else await self._dialplan.lives(callback.channel_id)
        if lives:
            steps.looked_after.add(callback.id)
        elif lives is False:
            await self._dialplan.ask(callback.id)

    def _patience_ms(self, state: State) -> int:
        seconds = {
            State.OFFERED: self._settings.operator_ring_s,
            State.OPERATOR_ANSWERED: self._settings.press_1_s,
            State.DIALLING: self._settings.ring_s,
        }
        return int(seconds.get(state, 0) * 1000) + GRACE_MS

    async def notice_others(self, opened: Iterable[Callback], *, linked: bool) -> list[CallbackMoved]:
        """Callbacks that somebody else ended: an admin at the command line, the client by calling.

        Returns what has not been told yet.
        """
        steps = self._steps
        untold: list[CallbackMoved] = []
        still = {callback.id: callback for callback in opened}
        for name in steps.known.keys() - still.keys():
            before = steps.known[name]
            now = await self._ledger.find(name)
            if now is None or now.state not in FINAL:
                continue
            steps.over(now)
            if before.state not in FINAL:
                untold.append(CallbackMoved(now, Actor.ADMIN))
            if now.state is State.CANCELLED and now.channel_id is not None and linked:
                await self._dialplan.hang_up(now.channel_id)
        steps.known = still
        return untold
