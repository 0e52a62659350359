"""The state of the link: connected or not, and up to when Asterisk was certainly heard."""

from __future__ import annotations

import time

from callsteward.ari.link import CERTAIN_AFTER_S


class Linked:
    """The state of the link to Asterisk."""

    def __init__(self) -> None:
        self._state = (False, "not connected yet")
        self._since_s = 0.0

    def change(self, connected: bool, detail: str) -> None:
        if connected and not self._state[0]:
            self._since_s = time.monotonic()
        self._state = (connected, detail)

    def state(self) -> tuple[bool, str]:
        """True if Asterisk is connected, and otherwise the reason."""
        return self._state

    def heard_s(self) -> float | None:
        """Up to when Asterisk was certainly heard (time.monotonic()), None while it is not."""
        certain_s = time.monotonic() - CERTAIN_AFTER_S
        return certain_s if self._state[0] and certain_s > self._since_s else None
