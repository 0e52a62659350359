"""The list of complaints: low ratings and tagged calls, until a supervisor acknowledges them.

The rule is docs/standard.md, `complaint_escalated`.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from callsteward.rating.states import Complaint, ComplaintRaised
from callsteward.store.engine import failing, insert_into, writing
from callsteward.store.message import Announce, nobody
from callsteward.store.outbox import enqueue
from callsteward.store.tables import complaints

LOW_RATING = "low_rating"
TAGGED = "tagged"


class Complaints:
    """The list of one site. Every method raises StoreError when the database fails.

    `announce` makes the messages about a new complaint; they are stored in its transaction.
    """

    def __init__(self, engine: AsyncEngine, site: str, announce: Announce = nobody) -> None:
        self._engine = engine
        self._site = site
        self._announce = announce
        self._insert = insert_into(engine, complaints).on_conflict_do_nothing(
            index_elements=["site", "call_id"]
        )

    async def raise_(
        self,
        *,
        call_id: str,
        line: str,
        operator: str | None,
        client_masked: str | None,
        client_ref: str | None,
        reason: str,
        score: int | None,
        at_ms: int,
    ) -> Complaint | None:
        """Put a call on the list. None if it is, or has been, on it: one call is one complaint."""
        values = {
            "site": self._site,
            "call_id": call_id,
            "line": line,
            "operator": operator,
            "client_masked": client_masked,
            "client_ref": client_ref,
            "reason": reason,
            "score": score,
            "raised_at_ms": at_ms,
        }
        with failing("write to"):
            async with writing(self._engine) as connection:
                row = (
                    await connection.execute(self._insert.values(**values).returning(*complaints.c))
                ).one_or_none()
                raised = None if row is None else _complaint(row)
                if raised is not None:
                    await enqueue(connection, self._announce(ComplaintRaised(raised)))
        return raised

    async def acknowledge(self, name: str, *, by: str, comment: str, at_ms: int) -> Complaint | None:
        """Take a complaint off the list, by its number or its call's id. None if it is not on the list."""
        by_number = complaints.c.id == int(name) if name.isascii() and name.isdigit() else None
        by_call = complaints.c.call_id == name
        statement = (
            update(complaints)
            .where(
                complaints.c.site == self._site,
                complaints.c.acknowledged_at_ms.is_(None),
                by_call if by_number is None else by_number | by_call,
            )
            .values(acknowledged_at_ms=at_ms, acknowledged_by=by, comment=comment)
            .returning(*complaints.c)
        )
        with failing("write to"):
            async with writing(self._engine) as connection:
                row = (await connection.execute(statement)).one_or_none()
        return None if row is None else _complaint(row)

    async def listed(
        self, *, line: str | None = None, everything: bool = False, limit: int | None = None
    ) -> list[Complaint]:
        """The complaints that nobody has acknowledged, or with `everything` all of them; oldest first."""
        query = select(complaints).where(complaints.c.site == self._site)
        if not everything:
            query = query.where(complaints.c.acknowledged_at_ms.is_(None))
        if line is not None:
            query = query.where(complaints.c.line == line)
        query = query.order_by(complaints.c.raised_at_ms, complaints.c.id).limit(limit)
        with failing("read"):
            async with self._engine.connect() as connection:
                return [_complaint(row) for row in await connection.execute(query)]


class ByCommand:
    """The list for commands: acknowledging a complaint once more succeeds and changes nothing."""

    def __init__(self, complaints: Complaints) -> None:
        self._complaints = complaints

    async def acknowledge(self, call_id: str, *, by: str, comment: str, at_ms: int) -> bool:
        """Acknowledge the complaint of a call. False if the call has none. Raises StoreError."""
        if await self._complaints.acknowledge(call_id, by=by, comment=comment, at_ms=at_ms) is not None:
            return True
        return any(item.call_id == call_id for item in await self._complaints.listed(everything=True))


def _complaint(row: Row[Any]) -> Complaint:
    return Complaint(
        id=row.id,
        site=row.site,
        call_id=row.call_id,
        line=row.line,
        operator=row.operator,
        client_masked=row.client_masked,
        client_ref=row.client_ref,
        reason=row.reason,
        score=row.score,
        raised_at_ms=row.raised_at_ms,
        acknowledged_at_ms=row.acknowledged_at_ms,
        acknowledged_by=row.acknowledged_by,
        comment=row.comment,
    )
