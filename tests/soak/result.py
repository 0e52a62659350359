"""The result of a soak, and the mistakes in it. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from tests.soak.slope import Slope, slope
from tests.soak.vitals import Held, Sample

MAX_SLOPE = 1.0
# A database connection or two may come and go; a leak has one for each call or each minute.
_COME_AND_GO = 3


@dataclass(frozen=True)
class Soaked:
    """The result of a soak. `calls` by Asterisk's CDR; `records` and `messages` count each call_id's.

    `samples` begin with the warm-up, which lasts until `warm_s` (of their clock). `held` is what the daemon
    held without a call: before, and once the last one was over.
    """

    rate: float
    seconds: float
    placed: int
    failed: int
    calls: frozenset[str]
    records: Counter[str]
    messages: Counter[str]
    incomplete: int
    open_calls: int
    journal_bytes: int
    warm_s: float
    samples: tuple[Sample, ...]
    held: tuple[Held, Held]
    outcomes: Counter[str]

    @property
    def warm(self) -> tuple[Sample, ...]:
        """The samples after the warm-up."""
        return warm(self.samples, self.warm_s)

    @property
    def slope(self) -> Slope:
        """Growth of memory after the warm-up, MiB a minute."""
        return memory_slope(self.warm)

    def faults(self) -> list[str]:
        """Everything that is not as it should be."""
        return [*self._of_calls(), *self._of_the_process()]

    def _of_calls(self) -> list[str]:
        found = [
            text
            for good, text in (
                (self.placed > 0, "no call was placed"),
                (self.failed == 0, f"{self.failed} of {self.placed} calls failed at the phones"),
                (
                    len(self.calls) == self.placed,
                    f"{self.placed} calls were placed, {len(self.calls)} stand in the CDR",
                ),
                (self.incomplete == 0, f"{self.incomplete} records are incomplete"),
                (self.open_calls == 0, f"{self.open_calls} calls are still open"),
                (self.journal_bytes == 0, f"the journal still has {self.journal_bytes} bytes"),
            )
            if not good
        ]
        for name, counted in (("records", self.records), ("messages", self.messages)):
            lost = self.calls - counted.keys()
            foreign = counted.keys() - self.calls
            twice = [call for call, count in counted.items() if count > 1]
            if lost:
                found.append(f"{name}: {len(lost)} of {len(self.calls)} calls are lost: {sorted(lost)[:3]}")
            if foreign:
                found.append(f"{name}: {len(foreign)} of no call in the CDR: {sorted(foreign)[:3]}")
            if twice:
                found.append(f"{name}: {len(twice)} calls stand twice: {twice[:3]}")
        return found

    def _of_the_process(self) -> list[str]:
        found = []
        rise = self.slope
        # Not `>=`: where the slope is not a number, nothing was shown.
        if not rise.per_minute < MAX_SLOPE:
            found.append(f"memory grows by {rise.per_minute:.2f} ± {rise.margin:.2f} MiB a minute")
        before, after = self.held
        for name, had, has in (
            ("tasks", before.tasks, after.tasks),
            ("descriptors", before.descriptors, after.descriptors),
        ):
            if has > had:
                found.append(f"{name}: {had} before the calls, {has} after the last one")
        first, last = self.warm[0], self.samples[-1]
        for name, had, has in (
            ("descriptors", first.descriptors, last.descriptors),
            ("threads", first.threads, last.threads),
        ):
            if has > had + _COME_AND_GO:
                found.append(f"{name}: {had} after the warm-up, {has} at the end")
        return found


def warm(samples: tuple[Sample, ...], warm_s: float) -> tuple[Sample, ...]:
    """Those after the warm-up."""
    return tuple(one for one in samples if one.at_s >= warm_s)


def memory_slope(samples: tuple[Sample, ...]) -> Slope:
    """MiB a minute."""
    return slope([(one.at_s, one.rss_mib) for one in samples])
