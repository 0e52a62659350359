"""A minute of `make soak`: calls at a rate this machine carries, each recorded once, and nothing grows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.live.availability import lab_or_skip
from tests.soak.run import Plan, soak

pytestmark = [pytest.mark.live, pytest.mark.takes(300)]

# The machine is small and busy with other tests: far from what it carries at best, for what is counted here
# shows at any rate. The ramp is a part of the warm-up.
# (Measured: after two minutes at 14 calls a second memory is what it stays.)
MINUTE = Plan(seconds=60, warm_up_s=120, ramp=(5, 10, 20), patience_s=120, interval_first=True)


def test_a_minute_of_calls_leaves_nothing_behind(root_22: Path) -> None:
    with lab_or_skip():
        result = soak(MINUTE, lambda _what, _done: None)
    assert result.faults() == [], (result.rate, result.slope, [one.rss_mib for one in result.warm[::10]])
    # Half a call a second: slower than that nothing was shown.
    assert result.placed > 0.5 * result.seconds
