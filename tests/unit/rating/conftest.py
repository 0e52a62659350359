import pytest

from callsteward.rating.ledger import RatingLedger
from callsteward.store.records import Store


@pytest.fixture
def ledger(store: Store) -> RatingLedger:
    return RatingLedger(store.engine, "main")
