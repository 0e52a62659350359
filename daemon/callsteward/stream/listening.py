"""Which endpoints are heard, beyond one process: from the store into the tracker, and back.

The tracker alone knows and decides (`calls/voices.py`). So that a re-run comes to the very records of the
daemon that was killed, a journal begins with what was known then, and is told of it again before it is
compacted.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from callsteward.ari.events import Listened
from callsteward.ari.marks import heard, left
from callsteward.calls.tracker import Tracker

Anew: TypeAlias = Sequence[tuple[str, Listened | None]]
"""Endpoints of which something new is known; None: one that is not kept any more."""

KeepHeard = Callable[[Anew], Awaitable[None]]
"""Stores that for the next process. Raises StoreError."""


class Listening:
    """What a tracker knows of endpoints, as marks for the journal and as news for the store."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker

    @staticmethod
    def known_before(listened: Sequence[Listened]) -> list[bytes]:
        """The frame that tells a tracker, and a recording, what an earlier process knew; none for nothing."""
        return [heard(listened, whole=True)] if listened else []

    def mark(self) -> bytes:
        """What is known now, for the journal: the store may know more when it is run again."""
        return heard(self._tracker.listened(), whole=True)

    def before_compacting(self) -> list[bytes]:
        """What a compacted journal no longer tells: whom operators left last, and who is heard."""
        calls = self._tracker.left_calls()
        return [left(calls), self.mark()] if calls else [self.mark()]

    def anew(self) -> Anew:
        """What the store does not know yet; each only once."""
        return self._tracker.listened_anew() if self._tracker.heard_anew else ()
