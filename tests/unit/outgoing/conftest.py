from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from callsteward.store.records import Store


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await Store.open(f"sqlite:///{tmp_path}/calls.db")
    yield store
    await store.close()
