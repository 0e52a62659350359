"""Operators' phones that still ring for a callback that was given up, and callbacks that somebody else ended.

A callback is cancelled in the ledger first, then the operator's phone is hung up. If the daemon is killed in
between, or has no link, the phone goes on ringing: an operator who answers would be put through to a client
who has called again meanwhile, and the fence would not stop that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import structlog

from callsteward.ari.rest import Rest
from callsteward.callback.dialplan import DIALLED, CallbackDialplan
from callsteward.callback.ledger import CallbackLedger
from callsteward.callback.states import FINAL, GIVEN_UP, CallbackMoved, CallbackRow, CallbackState
from callsteward.callback.steps import Steps
from callsteward.exceptions import AriError
from callsteward.outgoing.words import Actor
from callsteward.record.callback_id import callback_of

log = structlog.get_logger(__name__)


class Strays:
    """Ends both. `publish` gets callbacks that another process ended without a message."""

    def __init__(
        self,
        ledger: CallbackLedger,
        rest: Rest,
        dialplan: CallbackDialplan,
        steps: Steps,
        publish: Callable[[CallbackMoved], None],
    ) -> None:
        self._ledger = ledger
        self._rest = rest
        self._dialplan = dialplan
        self._steps = steps
        self._publish = publish
        self._ended = False

    def linked(self) -> None:
        """The link is new: look for phones that began to ring while it was down."""
        self._ended = False

    async def look(self) -> None:
        """Hang up phones that ring in vain; a hang-up that failed is tried again. Raises StoreError."""
        if self._ended:
            return
        try:
            for channel in await self._rest.channels():
                name = callback_of(channel.id)
                # Past the fence the client has been dialled, or talks: such a call is not cut off.
                dialled = channel.dialplan.context == DIALLED
                callback = None if name is None or dialled else await self._ledger.find(name)
                if callback is not None and callback.state in GIVEN_UP:
                    log.info("a phone rang in vain", action="callback_stray", callback=callback.id)
                    await self._rest.hang_up(channel.id)
        except AriError as error:
            log.warning("Asterisk does not say", action="callback_ask", error=str(error))
            return
        self._ended = True

    async def notice_others(self, opened: Iterable[CallbackRow], *, linked: bool) -> None:
        """Find callbacks that somebody else ended: an admin at the command line, or the client by calling."""
        steps = self._steps
        still = {callback.id: callback for callback in opened}
        for name in steps.known.keys() - still.keys():
            before = steps.known[name]
            now = await self._ledger.find(name)
            if now is None or now.state not in FINAL:
                continue
            steps.over(now)
            if before.state not in FINAL:
                self._publish(CallbackMoved(now, Actor.ADMIN))
            if now.state is CallbackState.CANCELLED and now.channel_id is not None and linked:
                await self._dialplan.hang_up(now.channel_id)
        steps.known = still
