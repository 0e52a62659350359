"""How each trunk writes its callers' numbers: counted by kind, so that `check` can propose a format."""

from __future__ import annotations

from typing import Final, NamedTuple

# The most trunks counted between two takes: an endpoint can be named by whoever calls.
_TRUNKS: Final = 500


class Delivered(NamedTuple):
    """How many numbers of one kind (`Numbers.kind`) a trunk delivered."""

    trunk: str
    kind: str
    calls: int


class Deliveries:
    """Counts since they were last taken."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[str, dict[str, int]] = {}

    def note(self, trunk: str, kind: str) -> None:
        """Count a number that a trunk delivered; text that is no number is not counted."""
        if not kind:
            return
        kinds = self._counts.get(trunk)
        if kinds is None:
            if len(self._counts) >= _TRUNKS:
                return
            kinds = self._counts[trunk] = {}
        kinds[kind] = kinds.get(kind, 0) + 1

    def take(self) -> list[Delivered]:
        """The counts since the last time."""
        counts, self._counts = self._counts, {}
        return [
            Delivered(trunk, kind, calls) for trunk, kinds in counts.items() for kind, calls in kinds.items()
        ]
