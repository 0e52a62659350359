"""Clients who called a site, or were reached by one: the other sites do not call them back any more.

Each site writes its own clients' last contacts; the site that owes a callback reads those of all others. So
nobody changes another site's callbacks, whose messages only that site's daemon can make. The clocks of the
PBXs are compared with each other, and have to agree to a second or two (NTP).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncEngine

from callsteward.outgoing.guard import Guard
from callsteward.outgoing.words import Met
from callsteward.record.call import SPOKEN_TO, Direction, ms_of
from callsteward.record.facts import CallEnded, CallHappened, Fact, Happening
from callsteward.store.engine import failing, insert_into, writing
from callsteward.store.tables import client_contacts

_CALLED = frozenset({Direction.OUTBOUND, Direction.CALLBACK})


class ClientContact(msgspec.Struct, frozen=True, kw_only=True):
    """A client's contact with a site: in which call, and the reason that this gives against a callback."""

    number: str
    site: str
    at_ms: int
    call_id: str
    reason: Met

    @property
    def evidence(self) -> str:
        """The grounds for cancelling a callback, in words."""
        return f"call {self.call_id} at site {self.site}"


def shared(engine: AsyncEngine) -> bool:
    """True if other sites may use the same database: an SQLite file has one daemon."""
    return engine.dialect.name == "postgresql"


class Contacts:
    """One site's. Every method raises StoreError when the database fails."""

    def __init__(self, engine: AsyncEngine, site: str) -> None:
        self._engine = engine
        self._site = site
        self._shared = shared(engine)
        statement = insert_into(engine, client_contacts)
        self._put = statement.on_conflict_do_update(
            index_elements=["number", "site"],
            set_={name: statement.excluded[name] for name in ("at_ms", "call_id", "reason")},
            # A journal that is run again brings older ones.
            where=client_contacts.c.at_ms < statement.excluded.at_ms,
        )

    async def note(self, contacts: Iterable[ClientContact]) -> None:
        """Write contacts of this site down, each client's last one."""
        last: dict[str, ClientContact] = {}
        for contact in contacts:
            if contact.number not in last or contact.at_ms > last[contact.number].at_ms:
                last[contact.number] = contact
        if not last:
            return
        # In one order: two that write the same rows do not wait for each other.
        rows = [msgspec.to_builtins(last[number]) for number in sorted(last)]
        with failing("write to"):
            async with writing(self._engine) as connection:
                await connection.execute(self._put, rows)

    async def elsewhere(self, number: str, after_ms: int) -> ClientContact | None:
        """A client's last contact with another site, if it was after a moment."""
        if not self._shared:
            return None
        query = (
            select(client_contacts)
            .where(
                client_contacts.c.number == number,
                client_contacts.c.site != self._site,
                client_contacts.c.at_ms > after_ms,
            )
            .order_by(client_contacts.c.at_ms.desc(), client_contacts.c.site)
            .limit(1)
        )
        with failing("read"):
            async with self._engine.connect() as connection:
                row = (await connection.execute(query)).mappings().one_or_none()
        return None if row is None else ClientContact(**{**row, "reason": Met(row["reason"])})

    async def forget(self, before_ms: int) -> int:
        """Delete this site's contacts from before a moment; how many there were."""
        query = delete(client_contacts).where(
            client_contacts.c.site == self._site, client_contacts.c.at_ms < before_ms
        )
        with failing("write to"):
            async with writing(self._engine) as connection:
                return int((await connection.execute(query)).rowcount)


def contacts_of(facts: Sequence[Fact], guard: Guard, site: str) -> Iterator[ClientContact]:
    """The contacts with clients in these facts: a client called, or was reached by a call.

    The digits that an operator dialled can stand for several numbers: a client whom an operator has called
    must not be called once more, whichever it was.
    """
    for fact in facts:
        if isinstance(fact, CallHappened):
            # Of a client's own call the start counts, of a call to them the answer.
            counts = fact.event is (Happening.ANSWERED if fact.outbound else Happening.STARTED)
            outbound, at_ms, call_id = fact.outbound, fact.at_ms, fact.call_id
        elif isinstance(fact, CallEnded):
            record = fact.record
            # The answer may not have been seen; and a client who called has been spoken to only now.
            outbound = record.direction in _CALLED
            counts = (outbound or record.direction is Direction.INBOUND) and record.outcome in SPOKEN_TO
            at_ms, call_id = ms_of(record.ended_at) or 0, record.call_id
        else:
            continue
        if not counts or not fact.client_number:
            continue
        read = guard.readings(fact.client_number) if outbound else (guard.read(fact.client_number),)
        spoken_to = outbound or isinstance(fact, CallEnded)
        reason = Met.SPOKEN_TO if spoken_to else Met.CALLED_AGAIN
        for number in read:
            if number is not None:
                yield ClientContact(number=number, site=site, at_ms=at_ms, call_id=call_id, reason=reason)
