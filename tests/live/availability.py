"""Where the lab cannot be had: the live tests are skipped with the reason, in CI they fail."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.lab.errors import LabUnavailable

REQUIRED = "CALLSTEWARD_REQUIRE_LIVE"


@contextmanager
def lab_or_skip() -> Iterator[None]:
    """Skip (in CI: fail) the tests that need what this machine cannot have."""
    try:
        yield
    except LabUnavailable as error:
        reason = f"no lab on this machine: {error}"
        if os.environ.get(REQUIRED) == "1":
            pytest.fail(f"{reason} ({REQUIRED}=1)", pytrace=False)
        pytest.skip(reason)
