"""What the daemon asks of Asterisk for callbacks: dialplan/callsteward-callback.conf is the other side.

Numbers go in the body of a request, never in its address. The client is dialled by the dialplan behind
the fence, never from here.
"""

from __future__ import annotations

import structlog

from callsteward import faults
from callsteward.ari.rest import Rest
from callsteward.callback.states import Callback
from callsteward.config import Config
from callsteward.exceptions import AriError

log = structlog.get_logger(__name__)

CONTEXT = "callsteward-callback"
DIALLED = f"{CONTEXT}-dial"
"""Where an operator's channel is once it is behind the fence, and the client is dialled."""
GO = "CALLSTEWARD_GO_"
"""Begins the dialplan's global by which an operator who answered is let through to the client."""
INCLUDED = "CALLSTEWARD_CALLBACK"
"""The dialplan's global that says callsteward-callback.conf is there, and which one it is."""
ASKS = 2
"""The first one that asks the daemon before it dials the client."""


class Dialplan:
    """Rings operators, asks and removes fences. What goes wrong is logged; nothing here decides."""

    def __init__(self, config: Config, rest: Rest) -> None:
        self._config = config
        self._settings = config.callback
        self._rest = rest
        self._included: bool | None = None

    @property
    def included(self) -> bool:
        """Whether the dialplan is known to be there. Without it an operator would be rung for nothing."""
        return bool(self._included)

    def unknown(self) -> None:
        """Asterisk may be another one now: look for the dialplan again."""
        self._included = None

    async def look(self) -> None:
        """Ask whether the dialplan is included."""
        before = self._included
        try:
            version = await self._rest.variable(INCLUDED)
        except AriError as error:
            log.warning("Asterisk does not say", action="callback_ask", error=str(error))
            return
        self._included = bool(version)
        if before is not None:
            return
        if not version:
            log.error(
                "nobody is called back: include callsteward-callback.conf in extensions.conf",
                action="callback_dialplan",
            )
        elif older(version, ASKS):
            log.warning(
                "an older callsteward-callback.conf dials without asking the do-not-call list again: copy the"
                " new one to /etc/asterisk, then: dialplan reload",
                action="callback_dialplan",
            )

    def phone(self, operator: str) -> str:
        """An operator's phone, as Asterisk dials it and names its device."""
        return self._settings.operator_dial.replace("{operator}", operator)

    async def ring(self, callback: Callback, operator: str, number: str, now_ms: int) -> None:
        """Ring an operator for an offered callback. Raises AriError; then it may ring all the same."""
        await self._rest.originate(
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

    def _variables(self, callback: Callback, number: str) -> dict[str, str]:
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

    async def lives(self, channel: str) -> bool | None:
        """Whether a channel is there, None where Asterisk does not say."""
        try:
            return await self._rest.channel(channel) is not None
        except AriError as error:
            log.warning("Asterisk does not say", action="callback_ask", error=str(error))
            return None

    async def hang_up(self, channel: str) -> None:
        """End an operator's channel whose callback was cancelled."""
        faults.reached("before:hang_up")
        try:
            await self._rest.hang_up(channel)
        except AriError as error:
            log.warning("a phone rings on", action="callback_hang_up", error=str(error))
        faults.reached("after:hang_up")

    async def turn_away(self, channel: str) -> None:
        """End an operator's channel that is not to come to the client, unless it is past the fence."""
        try:
            found = await self._rest.channel(channel)
        except AriError as error:
            log.warning("Asterisk does not say", action="callback_ask", error=str(error))
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

    async def ask(self, callback_id: str) -> None:
        """Ask what became of a callback; the answer comes as a UserEvent."""
        await self._local("ask", callback_id)

    async def forget(self, callback_id: str) -> None:
        """Remove a callback's fence."""
        await self._local("forget", callback_id)

    async def _local(self, verb: str, callback_id: str) -> None:
        """Run one of the dialplan's small contexts that ring no phone."""
        faults.reached(f"before:{verb}")
        try:
            await self._rest.originate(
                {
                    "endpoint": f"Local/{callback_id}@{CONTEXT}-{verb}",
                    "context": CONTEXT,
                    "extension": "h",
                    "priority": "1",
                    "timeout": "5",
                }
            )
        except AriError as error:
            log.warning("the fence could not be asked", action="callback_ask", error=str(error))
        faults.reached(f"after:{verb}")


def older(version: str, than: int) -> bool:
    """Whether a shipped dialplan's version, as its global has it, is an earlier one."""
    return version.isascii() and version.isdigit() and int(version) < than


def _caller_id(callback: Callback, now_ms: int) -> str:
    """Who and why, on the operator's phone. No number to press redial on: that would be a second call."""
    ago_s = max(0, now_ms - callback.dropped_at_ms) // 1000
    ago = f"{ago_s}s" if ago_s < 600 else f"{ago_s // 60}min"
    return f'"CB {callback.client_masked or "client"} {ago}" <callback>'
