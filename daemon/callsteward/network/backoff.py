"""How long to wait before the next attempt."""

from __future__ import annotations

import random


class Backoff:
    """Exponential delays with full jitter's upper half, in seconds.

    Each delay lies between half of a step and the step, and steps double from `first_s` to `limit_s`: a
    hundred daemons that lost one PBX do not return in the same instant, yet none comes at once.
    """

    __slots__ = ("_first_s", "_limit_s", "_random", "_step_s")

    def __init__(self, first_s: float = 0.5, limit_s: float = 5.0, rng: random.Random | None = None) -> None:
        self._first_s = first_s
        self._limit_s = limit_s
        self._step_s = first_s
        self._random = rng or random.Random()  # noqa: S311  # spreads load, keeps no secret

    def next_s(self) -> float:
        """The next delay."""
        step = self._step_s
        self._step_s = min(self._limit_s, step * 2)
        return self._random.uniform(step / 2, step)

    def reset(self) -> None:
        """Start again from the first step."""
        self._step_s = self._first_s
