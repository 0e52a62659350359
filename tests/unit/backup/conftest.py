"""A site to back up."""

from __future__ import annotations

from pathlib import Path

import pytest

from callsteward import features
from callsteward.store.records import Store
from tests.unit.backup.sites import settings
from tests.unit.client.samples import NUMBER, fill


@pytest.fixture
async def site(tmp_path: Path) -> Path:
    """A site's folder, with a client in every table."""
    folder = tmp_path / "site"
    folder.mkdir()
    config = settings(folder)
    store = await Store.open(config.store.url, features.announce(config))
    await fill(store, NUMBER, "a")
    await store.close()
    return folder
