"""The ledger of statuses that operators were given.

Every method raises StoreError when the database fails.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Row, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callsteward import faults
from callsteward.record.facts import OperatorStatus
from callsteward.statuses.states import GivenMember, GivenState, GivenStatus
from callsteward.store.engine import failing, insert_into, writing
from callsteward.store.tables import operator_statuses as table

_members = msgspec.json.Decoder(tuple[GivenMember, ...])


class StatusLedger:
    """One site's."""

    def __init__(self, engine: AsyncEngine, site: str) -> None:
        self._engine = engine
        self._site = site
        self._insert = insert_into(engine, table)

    async def opened(self) -> list[GivenStatus]:
        """All that are not over, oldest first."""
        query = (
            select(table)
            .where(table.c.site == self._site, table.c.state != GivenState.OVER.value)
            .order_by(table.c.id)
        )
        with failing("read"):
            async with self._engine.connect() as connection:
                return [_given(row) for row in await connection.execute(query)]

    async def ask(
        self,
        operator: str,
        status: OperatorStatus,
        *,
        reason: str,
        given_by: str,
        token: str,
        members: Sequence[GivenMember],
        at_ms: int,
        until_ms: int | None,
        before: GivenStatus | None,
    ) -> GivenStatus:
        """Write down that an operator is to be given a status; the one before it ends with that."""
        values = {
            "site": self._site,
            "operator": operator,
            "status": status.value,
            "reason": reason,
            "given_by": given_by,
            "token": token,
            "members": msgspec.json.encode(list(members)).decode(),
            "state": GivenState.ASKED.value,
            "asked_at_ms": at_ms,
            "until_ms": until_ms,
            "ended_by": "",
        }
        faults.reached("before:status_asked")
        with failing("write to"):
            async with writing(self._engine) as connection:
                if before is not None:
                    await self._end(connection, before, at_ms, "changed")
                statement = self._insert.values(**values).returning(*table.c)
                row = (await connection.execute(statement)).one()
        faults.reached("after:status_asked")
        return _given(row)

    async def move(self, given: GivenStatus, to: GivenState, *, ended_by: str | None = None) -> GivenStatus:
        """Write a step down: `paused` or `undoing`."""
        by = given.ended_by if ended_by is None else ended_by
        after = msgspec.structs.replace(given, state=to, ended_by=by)
        faults.reached(f"before:status_{to.value}")
        with failing("write to"):
            async with writing(self._engine) as connection:
                values: dict[str, Any] = {"state": to.value, "ended_by": after.ended_by}
                await connection.execute(
                    update(table).where(table.c.id == given.id, table.c.site == self._site).values(**values)
                )
        faults.reached(f"after:status_{to.value}")
        return after

    async def run_out(self, given: GivenStatus, until_ms: int) -> GivenStatus:
        """It ends at this moment."""
        with failing("write to"):
            async with writing(self._engine) as connection:
                await connection.execute(
                    update(table)
                    .where(table.c.id == given.id, table.c.site == self._site)
                    .values(until_ms=until_ms)
                )
        return msgspec.structs.replace(given, until_ms=until_ms)

    async def without_members(self, given: GivenStatus) -> GivenStatus:
        """No queue has the operator."""
        with failing("write to"):
            async with writing(self._engine) as connection:
                await connection.execute(
                    update(table)
                    .where(table.c.id == given.id, table.c.site == self._site)
                    .values(members="[]")
                )
        return msgspec.structs.replace(given, members=())

    async def end(self, given: GivenStatus, at_ms: int, ended_by: str) -> None:
        faults.reached("before:status_over")
        with failing("write to"):
            async with writing(self._engine) as connection:
                await self._end(connection, given, at_ms, ended_by)
        faults.reached("after:status_over")

    async def forget(self, before_ms: int) -> int:
        """Forget those that were over before that; how many there were."""
        query = delete(table).where(table.c.site == self._site, table.c.ended_at_ms < before_ms)
        with failing("write to"):
            async with writing(self._engine) as connection:
                return int((await connection.execute(query)).rowcount)

    async def _end(self, connection: AsyncConnection, given: GivenStatus, at_ms: int, ended_by: str) -> None:
        await connection.execute(
            update(table)
            .where(table.c.id == given.id, table.c.site == self._site)
            .values(state=GivenState.OVER.value, ended_at_ms=at_ms, ended_by=ended_by)
        )


def _given(row: Row[Any]) -> GivenStatus:
    return GivenStatus(
        id=row.id,
        operator=row.operator,
        status=OperatorStatus(row.status),
        reason=row.reason,
        given_by=row.given_by,
        token=row.token,
        members=_members.decode(row.members),
        state=GivenState(row.state),
        asked_at_ms=row.asked_at_ms,
        until_ms=row.until_ms,
        ended_by=row.ended_by,
    )
