"""The list of what each table holds of a client."""

from __future__ import annotations

from callsteward.store.holdings import HOLDINGS, NOTHING
from callsteward.store.tables import metadata
from tests.lab.pbx_config import REPOSITORY


def test_every_table_says_what_of_a_client_it_holds() -> None:
    """A new table belongs into `store/holdings.py`: to HOLDINGS, or to NOTHING with what it holds instead."""
    held = [holding.name for holding in HOLDINGS]
    assert sorted([*held, *NOTHING]) == sorted(metadata.tables)


def test_every_column_that_names_a_client_is_in_the_list() -> None:
    telling = {"number", "client_ref", "origin_call_id", "call_id"}
    for holding in HOLDINGS:
        named = {column.name for column in (holding.number, holding.ref, holding.call) if column is not None}
        assert telling & set(holding.table.c.keys()) == named, holding.name
    for name in NOTHING:
        assert not telling & set(metadata.tables[name].c.keys()), name


def test_the_page_for_the_data_protection_officer_names_every_table() -> None:
    page = (REPOSITORY / "docs" / "privacy.md").read_text()
    assert [holding.name for holding in HOLDINGS if f"`{holding.name}`" not in page] == []
