"""Files that tests write are their own: a configuration with secrets that everybody can read is refused."""

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="session")
def _private_files() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)
