"""Fixtures for the tests of the shipped monitoring."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.promtool import ensure_promtool
from tests.live.availability import lab_or_skip


@pytest.fixture(scope="session")
def promtool() -> Path:
    with lab_or_skip():
        return ensure_promtool()
