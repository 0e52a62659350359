"""A target of the fuzzer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """`one` takes an input of up to `max_len` bytes; `share` of a run's inputs are its."""

    one: Callable[[bytes], None]
    seeds: Callable[[], Iterator[bytes]]
    max_len: int
    share: float
