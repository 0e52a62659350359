from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from callsteward.record.call import CallRecord
from tests.unit.store.samples import RECORD


@pytest.fixture
def record() -> Callable[..., CallRecord]:
    """A completed call with what is given changed."""

    def build(**changes: Any) -> CallRecord:
        return msgspec.structs.replace(RECORD, **changes)

    return build
