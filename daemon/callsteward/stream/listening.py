"""The endpoints that are heard, kept beyond one process: from the store into the tracker, and back.

Only the tracker knows and decides (`calls/voices.py`). So that a re-run gives the same records as the daemon
that was killed, a journal begins with a mark of the endpoints known then, and gets another such mark before
it is compacted.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from callsteward.ari.events import Listened
from callsteward.ari.marks import heard, left
from callsteward.calls.tracker import Tracker

Anew: TypeAlias = Sequence[tuple[str, Listened | None]]
"""Endpoints with changes; None: one that is no longer kept."""

KeepHeard = Callable[[Anew], Awaitable[None]]
"""Stores the changes for the next process. Raises StoreError."""


class Listening:
    """The tracker's knowledge of endpoints, as marks for the journal and as changes for the store."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker

    @staticmethod
    def known_before(listened: Sequence[Listened]) -> list[bytes]:
        """The frame with an earlier process's knowledge, for a tracker and a recording; empty without any."""
        return [heard(listened, whole=True)] if listened else []

    def mark(self) -> bytes:
        """A mark with the present knowledge, for the journal. At a re-run the store may know more."""
        return heard(self._tracker.listened(), whole=True)

    def before_compacting(self) -> list[bytes]:
        """Marks for what a compacted journal no longer says: calls left last, endpoints heard."""
        calls = self._tracker.left_calls()
        return [left(calls), self.mark()] if calls else [self.mark()]

    def anew(self) -> Anew:
        """The changes that the store does not have yet; each only once."""
        return self._tracker.listened_anew() if self._tracker.heard_anew else ()
