import pytest

from callsteward.rating.ledger import Ledger
from callsteward.store.records import Store


@pytest.fixture
def ledger(store: Store) -> Ledger:
    return Ledger(store.engine, "main")
