"""Fixtures of the unit tests: the store, on each database there is, and files that nobody else can read."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from callsteward.store.records import Store
from tests.lab.postgresql import PostgreSql


@pytest.fixture(autouse=True, scope="session")
def _private_files() -> Iterator[None]:
    """Nobody else reads what tests write: a configuration with secrets that everybody can read is refused."""
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.live)])
async def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """An empty database's address. A test that takes it, or `store`, runs on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/calls.db"
        return
    server: PostgreSql = request.getfixturevalue("postgresql")
    async with server.emptied() as url:
        yield url


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    opened = await Store.open(store_url)
    yield opened
    await opened.close()
