"""The age of a moment, by a clock that nobody sets. No IO.

The ledger's moments are Asterisk's time. If that clock is set between two steps of a callback, a moment a
minute ago seems an hour ago, or in the future: a callback would expire without any operator having been
asked, or an operator who did not answer would not be asked again for an hour. So a moment's age is read off
that clock once, when it is first needed, and then grows by the steady clock.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

REMEMBERED = 10_000


class Ages:
    """`now_ms`: the clock of the moments. `steady_ms`: a clock that only goes forward."""

    def __init__(self, now_ms: Callable[[], int], steady_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._steady_ms = steady_ms
        # By name and moment: the age when it was first asked for, and the steady clock at that time.
        self._known: OrderedDict[tuple[str, int], tuple[int, int]] = OrderedDict()

    def of_ms(self, name: str, since_ms: int) -> int:
        """Milliseconds since a moment; 0 for one in the future. `name`: whose moment it is."""
        steady_ms = self._steady_ms()
        known = self._known.get((name, since_ms))
        if known is None:
            known = self._known[name, since_ms] = (max(0, self._now_ms() - since_ms), steady_ms)
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        age_ms, then_ms = known
        return age_ms + steady_ms - then_ms
