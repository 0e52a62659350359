import pytest

from callsteward.callback.ledger import Ledger
from callsteward.store.records import Store


@pytest.fixture
def ledger(store: Store) -> Ledger:
    return Ledger(store.engine, "main")
