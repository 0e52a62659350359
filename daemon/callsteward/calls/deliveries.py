"""How each trunk writes its callers' numbers: counted by kind, so that `check` can propose a format."""

from __future__ import annotations

from typing import Final, NamedTuple

# An endpoint can be named by whoever calls: more trunks than these are not counted at a time.
_TRUNKS: Final = 500


class Delivered(NamedTuple):
    """So many numbers of one kind (`Numbers.kind`) that a trunk delivered."""

    trunk: str
    kind: str
    calls: int


class Deliveries:
    """Counts since they were last taken."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[str, dict[str, int]] = {}

    def note(self, trunk: str, kind: str) -> None:
        """A trunk delivered a number; nothing is counted of one that is none."""
        if not kind:
            return
        kinds = self._counts.get(trunk)
        if kinds is None:
            if len(self._counts) >= _TRUNKS:
                return
            kinds = self._counts[trunk] = {}
        kinds[kind] = kinds.get(kind, 0) + 1

    def take(self) -> list[Delivered]:
        """What was counted since the last time."""
        counts, self._counts = self._counts, {}
        return [
            Delivered(trunk, kind, calls) for trunk, kinds in counts.items() for kind, calls in kinds.items()
        ]
