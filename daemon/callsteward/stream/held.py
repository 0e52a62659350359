"""Facts that the pump of a daemon that stands by holds back: the other daemon of the site acts on them.

Each call's facts are kept until the store has the call's record. Whatever is left when this daemon takes the
site over goes the way of a journal that is run again: what the other one has done is found done.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Final

from callsteward.ari import events
from callsteward.record.call import CallRecord
from callsteward.record.facts import CallEnded, CallHappened, CallTagged, Fact, Happening
from callsteward.record.tag import COMMANDED

# About three minutes of the busiest PBX without a store to be seen; then the oldest calls' facts go.
MOST_FACTS: Final = 200_000
# Reports of the dialplan, ends of channels and states of phones: parts hear the last of them when this daemon
# begins to act. Whatever is older the other one has heard, and the ledgers ask Asterisk where they need more.
HEARD_S: Final = 60.0
MOST_EVENTS: Final = 20_000
_HEARD: Final = (events.ChannelUserevent, events.ChannelDestroyed, events.DeviceStateChanged)
# By these a client's own call, or an operator's, stands against a callback.
_AGAINST_A_CALLBACK: Final = frozenset({Happening.STARTED, Happening.ANSWERED})


class HeldBack:
    """The facts and events held back. `steady_s`: a clock that nobody sets."""

    def __init__(self, steady_s: Callable[[], float] = time.monotonic) -> None:
        self._steady_s = steady_s
        self._facts: deque[Fact] = deque()
        # By call: the record that the store does not have yet, as far as is known, and since when it is held.
        self._records: dict[str, tuple[CallRecord, float]] = {}
        self._events: deque[tuple[float, events.Event]] = deque(maxlen=MOST_EVENTS)
        self.lost = 0
        """Facts given up because too many had to be held."""

    @property
    def waits_s(self) -> float:
        """For how long the oldest record has not been in the store; 0 while each one is."""
        for _, at_s in self._records.values():
            return max(0.001, self._steady_s() - at_s)
        return 0.0

    @property
    def records(self) -> list[str]:
        """The calls whose records the store may not have."""
        return list(self._records)

    def add(self, facts: Sequence[Fact]) -> None:
        for fact in facts:
            if isinstance(fact, CallTagged) and fact.ended and fact.source in COMMANDED:
                continue  # the other daemon has taken it
            self._facts.append(fact)
            if isinstance(fact, CallEnded):
                self._records[fact.record.call_id] = (fact.record, self._steady_s())
        while len(self._facts) > MOST_FACTS:
            gone = self._facts.popleft()
            self.lost += 1
            if isinstance(gone, CallEnded):
                self._records.pop(gone.record.call_id, None)

    def hear(self, event: events.Event) -> None:
        """Keep an event that a part may have to know of."""
        if isinstance(event, _HEARD):
            now_s = self._steady_s()
            self._events.append((now_s, event))
            while self._events and now_s - self._events[0][0] > HEARD_S:
                self._events.popleft()

    def stored(self, calls: Collection[str], *, open_since_ms: int | None) -> list[CallRecord]:
        """The store has these calls' records: their facts are done with; the records, in order.

        `open_since_ms`: since when the oldest call that is on has been on. That somebody called during it is
        remembered: should it break, its client may have called again already.
        """
        done = {call: self._records.pop(call) for call in calls if call in self._records}
        if done or open_since_ms is None:
            over = done.keys()
            self._facts = deque(
                fact for fact in self._facts if self._needed(fact, over, open_since_ms=open_since_ms)
            )
        return [record for record, _ in done.values()]

    def _needed(self, fact: Fact, over: Collection[str], *, open_since_ms: int | None) -> bool:
        call = _call_of(fact)
        if call in self._records:
            return True
        if isinstance(fact, CallEnded):
            return False
        # Of a call that is on, or of one whose end is not the store's business.
        recent = open_since_ms is not None and fact.at_ms >= open_since_ms
        return recent and (call not in over or _stands_against_a_callback(fact))

    def facts(self) -> list[Fact]:
        """All facts that are held, in order; from now on nothing is."""
        found = list(self._facts)
        self._facts.clear()
        self._records.clear()
        return found

    def heard(self) -> Iterator[events.Event]:
        """The events of the last minute, in order; from now on none is held."""
        since_s = self._steady_s() - HEARD_S
        while self._events:
            at_s, event = self._events.popleft()
            if at_s >= since_s:
                yield event


def _stands_against_a_callback(fact: Fact) -> bool:
    return isinstance(fact, CallHappened) and bool(fact.client_number) and fact.event in _AGAINST_A_CALLBACK


def _call_of(fact: Fact) -> str:
    return fact.record.call_id if isinstance(fact, CallEnded) else fact.call_id
