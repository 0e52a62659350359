"""The daemon's requests to Asterisk for callbacks; see dialplan/callsteward-callback.conf."""

from __future__ import annotations

import structlog

from callsteward import faults
from callsteward.ari.rest import Rest
from callsteward.callback.states import CallbackRow
from callsteward.config import Config
from callsteward.exceptions import AriError
from callsteward.outgoing.fence import Fence, Place, older

log = structlog.get_logger(__name__)

CONTEXT = "callsteward-callback"
DIALLED = f"{CONTEXT}-dial"
"""The context of an operator's channel that has passed the fence: the client is being dialled."""
GO = "CALLSTEWARD_GO_"
"""First characters of the dialplan's global that lets an operator who answered through to the client."""
INCLUDED = "CALLSTEWARD_CALLBACK"
ASKS = 2
"""The first version of the dialplan that asks the daemon before it dials the client."""
PLACE = Place(
    context=CONTEXT,
    verbs=CONTEXT,
    included=INCLUDED,
    missing="nobody is called back: include callsteward-callback.conf in extensions.conf",
    kind="callback",
)


class CallbackDialplan(Fence):
    """Rings operators and lets them through to the client. Errors are logged; no decision is made here."""

    def __init__(self, config: Config, rest: Rest) -> None:
        super().__init__(rest, PLACE)
        self._config = config
        self._settings = config.callback

    def _found(self, version: str) -> None:
        if older(version, ASKS):
            log.warning(
                "an older callsteward-callback.conf dials without asking the do-not-call list again: copy the"
                " new one to /etc/asterisk, then: dialplan reload",
                action="callback_dialplan",
            )

    def phone(self, operator: str) -> str:
        """An operator's phone, as Asterisk dials it and names its device."""
        return self._settings.operator_dial.replace("{operator}", operator)

    async def ring(self, callback: CallbackRow, operator: str, number: str, now_ms: int) -> AriError | None:
        """Ring an operator for an offered callback. Returns the error if Asterisk refused."""
        return await self.begin(
            {
                "endpoint": self.phone(operator),
                "context": CONTEXT,
                "extension": "s",
                "priority": "1",
                "callerId": _caller_id(callback, now_ms),
                "timeout": str(round(self._settings.operator_ring_s)),
                "channelId": callback.channel_id or "",
            },
            self._variables(callback, number),
        )

    def _variables(self, callback: CallbackRow, number: str) -> dict[str, str]:
        line = self._config.line(callback.line)
        prefix, suffix = (line.callback_dial or self._settings.dial).split("{number}")
        return {
            "CS_ID": callback.id,
            "CS_ATTEMPT": str(callback.attempts),
            "CS_NUMBER": number.removeprefix("+"),
            "CS_PREFIX": prefix,
            "CS_SUFFIX": suffix,
            "CS_RING": str(self._settings.ring_s),
            "CS_CALLER": (line.callback_caller_id or self._settings.caller_id or ""),
            "CS_PRESS": str(self._settings.press_1_s if self._settings.press_1 else 0),
            # Makes the dialplan ask whether the client may still be called; a daemon before that version does
            # not set it, and would not answer.
            "CS_ASK": "1",
        }

    async def turn_away(self, channel: str) -> None:
        """Hang up an operator's channel whose client may not be called, unless it has passed the fence."""
        try:
            found = await self._rest.channel(channel)
        except AriError as error:
            self._silent(error)
            return
        if found is not None and found.dialplan.context != DIALLED:
            await self.hang_up(channel)

    async def admit(self, name: str) -> None:
        """Let an operator through to the client. `name`: the global that the operator's channel waits for."""
        faults.reached("before:admit")
        await self.put(name, "1")
        faults.reached("after:admit")

    async def put(self, name: str, value: str | None) -> bool:
        """Set a global of Asterisk's dialplan, or remove it with None. False if Asterisk refused."""
        try:
            await self._rest.set_variable(name, value)
        except AriError as error:
            # The name has a number in it.
            log.warning("Asterisk does not take it", action="callback_global", error=type(error).__name__)
            return False
        return True


def _caller_id(callback: CallbackRow, now_ms: int) -> str:
    """The caller id on the operator's phone: the client and the reason.

    Without a number that could be redialled: that would be a second call to the client.
    """
    ago_s = max(0, now_ms - callback.dropped_at_ms) // 1000
    ago = f"{ago_s}s" if ago_s < 600 else f"{ago_s // 60}min"
    return f'"CB {callback.client_masked or "client"} {ago}" <callback>'
