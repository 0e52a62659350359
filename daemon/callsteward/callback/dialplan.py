"""What the daemon asks of Asterisk for callbacks: dialplan/callsteward-callback.conf is the other side."""

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
"""Where an operator's channel is once it is behind the fence, and the client is dialled."""
GO = "CALLSTEWARD_GO_"
"""Begins the dialplan's global by which an operator who answered is let through to the client."""
INCLUDED = "CALLSTEWARD_CALLBACK"
ASKS = 2
"""The first version that asks the daemon before it dials the client."""
PLACE = Place(
    context=CONTEXT,
    verbs=CONTEXT,
    included=INCLUDED,
    missing="nobody is called back: include callsteward-callback.conf in extensions.conf",
    kind="callback",
)


class CallbackDialplan(Fence):
    """Rings operators and lets them through. What goes wrong is logged; nothing here decides."""

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
        """Ring an operator for an offered callback; what Asterisk says against it."""
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
            # The dialplan asks whether the client may still be called; an older daemon would not answer.
            "CS_ASK": "1",
        }

    async def turn_away(self, channel: str) -> None:
        """End an operator's channel that is not to come to the client, unless it is past the fence."""
        try:
            found = await self._rest.channel(channel)
        except AriError as error:
            self._silent(error)
            return
        if found is not None and found.dialplan.context != DIALLED:
            await self.hang_up(channel)

    async def admit(self, name: str) -> None:
        """Let an operator through to the client: `name` is the global that their channel waits for."""
        faults.reached("before:admit")
        await self.put(name, "1")
        faults.reached("after:admit")

    async def put(self, name: str, value: str | None) -> bool:
        """Set a global of Asterisk's dialplan, or remove it; whether Asterisk did."""
        try:
            await self._rest.set_variable(name, value)
        except AriError as error:
            # The name has a number in it.
            log.warning("Asterisk does not take it", action="callback_global", error=type(error).__name__)
            return False
        return True


def _caller_id(callback: CallbackRow, now_ms: int) -> str:
    """Who and why, on the operator's phone. No number to press redial on: that would be a second call."""
    ago_s = max(0, now_ms - callback.dropped_at_ms) // 1000
    ago = f"{ago_s}s" if ago_s < 600 else f"{ago_s // 60}min"
    return f'"CB {callback.client_masked or "client"} {ago}" <callback>'
