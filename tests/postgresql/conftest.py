"""One real PostgreSQL for this folder's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.postgresql import PostgreSql
from tests.live.availability import lab_or_skip


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSql]:
    with lab_or_skip():
        made = PostgreSql()
    with made as server:
        yield server
