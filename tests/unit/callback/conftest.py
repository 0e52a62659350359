import pytest

from callsteward.callback.ledger import CallbackLedger
from callsteward.store.records import Store


@pytest.fixture
def ledger(store: Store) -> CallbackLedger:
    return CallbackLedger(store.engine, "main")
