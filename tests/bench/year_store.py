"""A store with a year of calls, as a daemon leaves it behind.

Records, changes of phones, and the spans that were watched go the daemon's own way: `Store.save`,
`IntervalStore`. Rows of the ledgers are written as their retention leaves them, many at a time. Calls past
the first million are copies of these under other ids and a few seconds later, made by the database itself.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sqlalchemy import Table, func, insert, literal, select, text

from callsteward.intervals.presence import Change
from callsteward.intervals.store import IntervalStore
from callsteward.record.call import AttemptResult, CallRecord, Outcome, ms_of
from callsteward.store.engine import writing
from callsteward.store.records import Store
from callsteward.store.tables import (
    call_tags,
    callback_transitions,
    callbacks,
    calls,
    lost_calls_settled,
    phone_states,
    ratings,
)
from tests.bench.year_calls import DAY_MS, DAYS, OPERATORS, START_MS, records

SITE = "main"
END_MS = START_MS + (DAYS + 1) * DAY_MS
OWN = 1_000_000
"""Calls that are made one by one; those above are copies."""
_AT_ONCE = 2_000
# Rows copied by one statement.
_COPIED = 100_000
_STEPS = ("due", "offered", "dialling", "reached")


async def fill(store: Store, count: int, say: Callable[[int], None] = lambda _: None) -> None:
    """Store `count` calls of a year. `say` gets the number that is stored."""
    intervals = IntervalStore(store.engine, SITE)
    span = await intervals.watch_from(START_MS, kept_since_ms=None)
    await intervals.watch_until(span, END_MS)
    await intervals.phone_changes([(operator, Change(START_MS, "NOT_INUSE")) for operator in OPERATORS])
    own = min(count, OWN)
    made, found = records(own), 0
    while page := list(itertools.islice(made, _AT_ONCE)):
        await store.save(page)
        await intervals.phone_changes(list(_phones(page)))
        await _put_ledgers(store, page, found)
        found += len(page)
        say(found)
    for copy in range(1, -(-count // own)):
        await _copy(store, copy, min(own, count - copy * own))
        say(min(count, (copy + 1) * own))


def _phones(page: Sequence[CallRecord]) -> Iterator[tuple[str, Change]]:
    """The changes of operators' phones in these calls."""
    changes: list[tuple[int, str, str]] = []
    for record in page:
        for attempt in record.attempts:
            rang_ms = ms_of(attempt.at) or START_MS
            over_ms = rang_ms + round((attempt.ring_s or 0) * 1000)
            changes.append((rang_ms, attempt.operator, "RINGING"))
            if attempt.result is AttemptResult.ANSWERED:
                changes.append((over_ms, attempt.operator, "INUSE"))
                over_ms = max(over_ms, ms_of(record.ended_at) or over_ms)
            changes.append((over_ms, attempt.operator, "NOT_INUSE"))
    for at_ms, operator, state in sorted(changes):
        yield operator, Change(at_ms, state)


async def _put_ledgers(store: Store, page: Sequence[CallRecord], after: int) -> None:
    rows: dict[Table, list[dict[str, Any]]] = {}
    for number, record in enumerate(page, after):
        ended_ms = ms_of(record.ended_at) or START_MS
        one = {"site": SITE, "call_id": record.call_id}
        client = {"client_masked": record.client_masked, "client_ref": record.client_ref}
        if record.answered_at is None:
            rows.setdefault(lost_calls_settled, []).append(
                {**one, "at_ms": ended_ms + 600_000, "settled_by": "talk", "comment": "1790000000.15"}
            )
        if number % 20 == 0:
            rows.setdefault(call_tags, []).append(
                {
                    **one, "tag": "ticket", "value": f"INC-{number}", "at_ms": ended_ms, "given_by": "101",
                    "source": "phone", "result": "done",
                }
            )  # fmt: skip
        if record.rating.score is not None:
            rows.setdefault(ratings, []).append(
                {
                    **one, **client, "rating_id": f"r-{record.call_id}", "mode": "stay", "line": record.line,
                    "operator": record.operator, "state": "answered", "reason": "",
                    "score": record.rating.score, "created_at_ms": ended_ms, "due_at_ms": ended_ms,
                    "asked_at_ms": ended_ms, "answered_at_ms": ended_ms + 5_000,
                    "changed_at_ms": ended_ms + 5_000, "attempts": 0,
                }
            )  # fmt: skip
        if record.outcome is Outcome.MID_DIALOGUE_DROP:
            rows.setdefault(callbacks, []).append(
                {
                    "id": number + 1, "site": SITE, "origin_call_id": record.call_id,
                    "callback_id": f"c-{record.call_id}", "line": record.line, **client,
                    "operator": record.operator, "decision": "due", "decision_reason": "mid_dialogue_drop",
                    "state": "reached", "reason": "", "dropped_at_ms": ended_ms, "created_at_ms": ended_ms,
                    "changed_at_ms": ended_ms + 60_000, "attempts": 1, "asked": record.operator,
                    "channel_id": f"cs-{record.call_id}", "fence_gone_at_ms": ended_ms + 2 * DAY_MS,
                }
            )  # fmt: skip
            before: str | None = None
            for place, state in enumerate(_STEPS):
                rows.setdefault(callback_transitions, []).append(
                    {
                        "callback": number + 1, "at_ms": ended_ms + 15_000 * place, "from_state": before,
                        "state": state, "actor": "daemon", "reason": "", "operator": record.operator,
                        "evidence": "",
                    }
                )  # fmt: skip
                before = state
    async with writing(store.engine) as connection:
        for table in (call_tags, lost_calls_settled, ratings, callbacks, callback_transitions):
            if table in rows:
                await connection.execute(insert(table), rows[table])


async def _copy(store: Store, copy: int, count: int) -> None:
    """The first `count` calls once more, with what the phones did and with the ledgers' rows."""
    shift_ms, mark = copy * 7_000, f"-{copy}"
    changed = {
        "call_id": lambda column: column + literal(mark),
        "origin_call_id": lambda column: column + literal(mark),
        "rating_id": lambda column: column + literal(mark),
        "callback_id": lambda column: column + literal(mark),
    }
    for table in (calls, phone_states, call_tags, lost_calls_settled, ratings):
        names = [column.name for column in table.c if column.name != "id"]
        columns = [
            table.c[name] + shift_ms
            if name.endswith("at_ms")
            else changed.get(name, lambda column: column)(table.c[name])
            for name in names
        ]
        # The first million's rows are the first ones of each table.
        last = await _last_own(store, table)
        last = last * count // min(OWN, count) if table is not calls else min(last, count)
        for after in range(0, last, _COPIED):
            some = select(*columns).where(table.c.id > after, table.c.id <= min(after + _COPIED, last))
            async with writing(store.engine) as connection:
                await connection.execute(insert(table).from_select(names, some))


_own: dict[tuple[int, str], int] = {}


async def _last_own(store: Store, table: Table) -> int:
    """The id of the last row that is no copy."""
    key = id(store), table.name
    if key not in _own:
        async with store.engine.connect() as connection:
            _own[key] = await connection.scalar(select(func.max(table.c.id))) or 0
    return _own[key]


async def disk_bytes(store: Store) -> dict[str, int]:
    """The bytes of the whole database, and of its largest tables with their indexes."""
    whole = Counter[str]()
    async with writing(store.engine) as connection:
        if store.engine.dialect.name == "postgresql":
            every = await connection.scalar(text("SELECT pg_database_size(current_database())"))
            sizes = text("SELECT relname, pg_total_relation_size(oid) FROM pg_class WHERE relkind = 'r'")
            whole.update({row[0]: row[1] for row in await connection.execute(sizes)})
        else:
            pages = await connection.scalar(text("PRAGMA page_count"))
            every = pages * await connection.scalar(text("PRAGMA page_size"))
            used = await connection.execute(text("SELECT name, sum(pgsize) FROM dbstat GROUP BY name"))
            sizes_of = {row[0]: row[1] for row in used}
            for name, table in await connection.execute(text("SELECT name, tbl_name FROM sqlite_master")):
                whole[table] += sizes_of.get(name, 0)
    return {"all": every, **dict(whole.most_common(6))}
