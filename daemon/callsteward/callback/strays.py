"""Phones that still ring for a callback which was given up.

The ledger says cancelled first, then the operator's phone is hung up. A daemon that is killed between the
two, or has no link just then, leaves the phone ringing: whoever answers it would be put through to a client
who has called by themselves meanwhile, and the fence knows nothing of that.
"""

from __future__ import annotations

import structlog

from callsteward.ari.rest import Rest
from callsteward.callback.dialplan import DIALLED
from callsteward.callback.ledger import Ledger
from callsteward.callback.states import GIVEN_UP
from callsteward.exceptions import AriError
from callsteward.record.callback_id import callback_of

log = structlog.get_logger(__name__)


async def end_strays(ledger: Ledger, rest: Rest) -> bool:
    """Hang up what rings in vain; False where Asterisk did not do it, to be tried again.

    Raises StoreError.
    """
    try:
        for channel in await rest.channels():
            name = callback_of(channel.id)
            # Behind the fence the client is dialled already, or talks: that is not ended for them.
            dialled = channel.dialplan.context == DIALLED
            callback = None if name is None or dialled else await ledger.find(name)
            if callback is not None and callback.state in GIVEN_UP:
                log.info("a phone rang in vain", action="callback_stray", callback=callback.id)
                await rest.hang_up(channel.id)
    except AriError as error:
        log.warning("Asterisk does not say", action="callback_ask", error=str(error))
        return False
    return True
