"""Counts refusals, and logs them a few times a minute only: nobody outside may fill the log.

The first refusal of a kind from a sender is logged at once, the following ones in one line with their number.
"""

from __future__ import annotations

import asyncio
from typing import Any

EVERY_S = 20.0
# A sender may use a new name for each message.
KINDS = 32
OTHERS = "others"


class _Kind:
    __slots__ = ("count", "detail", "timer")

    def __init__(self) -> None:
        self.count = 0
        self.detail: dict[str, Any] = {}
        self.timer: asyncio.TimerHandle | None = None


class RefusalTally:
    """Logs refusals as warnings on `log`. For use within the event loop; nothing here waits."""

    def __init__(self, log: Any, *, every_s: float = EVERY_S, kinds: int = KINDS) -> None:
        self._log = log
        self._every_s = every_s
        self._most = kinds
        self._kinds: dict[tuple[str, str, str], _Kind] = {}
        self.total = 0
        """All refusals that were ever noted here."""

    def note(self, event: str, action: str, *, kind: str, sender: str, **detail: Any) -> None:
        """Note one refusal.

        `kind`: one of a few words of ours; `sender`: where it came from, as far as known.
        """
        self.total += 1
        key = (action, kind, sender)
        if key not in self._kinds and len(self._kinds) >= self._most:
            key = (action, kind, OTHERS)
        known = self._kinds.get(key)
        if known is None:
            known = self._kinds[key] = _Kind()
            self._say(event, key, 1, detail)
            known.timer = self._later(event, key)
            return
        known.count += 1
        known.detail = detail

    def _later(self, event: str, key: tuple[str, str, str]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(self._every_s, self._sum_up, event, key)

    def _sum_up(self, event: str, key: tuple[str, str, str]) -> None:
        """Log how many there were since the last line; a sender who is quiet is forgotten."""
        known = self._kinds[key]
        if not known.count:
            del self._kinds[key]
            return
        self._say(event, key, known.count, known.detail)
        known.count = 0
        known.timer = self._later(event, key)

    def _say(self, event: str, key: tuple[str, str, str], count: int, detail: dict[str, Any]) -> None:
        action, kind, sender = key
        self._log.warning(event, action=action, reason=kind, sender=sender, count=count, **detail)
