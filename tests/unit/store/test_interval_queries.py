"""The calls of an interval are read a page at a time, and never by a scan of all calls."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from sqlalchemy import event, text

from callsteward.intervals import store as storing
from callsteward.intervals.store import Cursor, IntervalStore
from callsteward.store.outbox import Outbox
from callsteward.store.records import Store
from tests.unit.intervals.days import DAY_MS, HOUR_MS, at, call

START = DAY_MS + 8 * HOUR_MS
END = START + HOUR_MS


@pytest.fixture
def asked(store: Store) -> list[tuple[str, Any]]:
    """The statements that reach the database from now on, with their parameters."""
    found: list[tuple[str, Any]] = []

    @event.listens_for(store.engine.sync_engine, "before_cursor_execute")
    def _note(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        if not statement.startswith(("BEGIN", "EXPLAIN")):
            found.append((statement, parameters))

    return found


async def test_no_call_is_left_out_or_given_twice_where_pages_meet(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storing, "_PAGE", 2)
    # Three of one moment: a page ends among them.
    hours = [8.0, 8.1, 8.2, 8.2, 8.2, 8.3, 8.4]
    records = [
        msgspec.structs.replace(call(hour=hour, ended_at=at(hour + 0.01)), call_id=f"{number}.0")
        for number, hour in enumerate(hours)
    ]
    await store.save(records)
    intervals = IntervalStore(store.engine, "main")
    pages = [page async for page in intervals.contacts(START, END)]
    assert [len(page) for page in pages] == [2, 2, 2, 1]
    assert [contact.record for page in pages for contact in page] == records
    spans = [page async for page in intervals.spans(START, END)]
    assert [len(page) for page in spans] == [2, 2, 2, 1]
    known = await intervals.known(START, END, ())
    assert [contact.record for contact in known.contacts] == records
    assert [begins_ms for _, begins_ms, _ in known.spans] == [contact.at_ms for contact in known.contacts]


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
async def test_no_question_walks_through_all_calls_of_a_site(
    store: Store, asked: list[tuple[str, Any]]
) -> None:
    intervals = IntervalStore(store.engine, "main")
    await intervals.known(START, END, ("101",))
    await intervals.names(START, END)
    await intervals.news(Cursor(call=5, step=5))
    await Outbox(store.engine, "main").after(5, 100)
    assert len(asked) >= 9
    async with store.engine.connect() as connection:
        for statement, parameters in list(asked):
            plan = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            for row in plan:
                by_site_alone = row.detail.endswith("(site=?)") and (
                    "calls" in row.detail or "outbox" in row.detail
                )
                assert not by_site_alone, (statement, row.detail)
                assert not row.detail.startswith(("SCAN calls", "SCAN outbox", "SCAN callback")), row.detail
        # So it would be otherwise, and would be seen.
        plan = await connection.execute(
            text("EXPLAIN QUERY PLAN SELECT 1 FROM calls WHERE site = '' AND id > 5")
        )
        assert any(row.detail.endswith("(site=?)") for row in plan)
