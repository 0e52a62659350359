"""A client who is in every table."""

from __future__ import annotations

from typing import Any

import msgspec
from pydantic import SecretStr

from callsteward import features
from callsteward.callback.ledger import CallbackLedger
from callsteward.callback.states import CallbackState
from callsteward.commands.done import CommandsDone
from callsteward.commands.reply import Reply
from callsteward.config import Config, Privacy
from callsteward.lost.calls import LostCalls
from callsteward.outgoing.contacts import ClientContact, Contacts
from callsteward.outgoing.do_not_call import DoNotCall
from callsteward.outgoing.words import Actor, Met
from callsteward.outgoing.zones import ClientZones
from callsteward.rating.complaints import Complaints
from callsteward.rating.ledger import RatingLedger
from callsteward.rating.states import Mode
from callsteward.record.call import CallbackDecision, CallRecord, Decision, Outcome
from callsteward.record.facts import CallEnded, CallTagged
from callsteward.record.number import Numbers
from callsteward.record.tag import Given, Source, Tag
from callsteward.store.direct import flush
from callsteward.store.records import Store
from callsteward.tags.book import TagBook
from tests.unit.store.samples import RECORD

NUMBER = "+79031234567"
OTHER = "+79000000001"
CONFIG = Config(privacy=Privacy(hmac_key=SecretStr("key")))
NUMBERS = Numbers("RU", b"key")
AT_MS = 1_795_314_131_654
DUE = CallbackDecision(Decision.DUE, "mid_dialogue_drop")
SAID = (
    "please call after six",
    "INC-1042",
    "spoken to them at home",
    "cried on the phone",
    "asked by letter",
)


def of(number: str, call_id: str, **changes: Any) -> CallRecord:
    changes = {"client_ref": NUMBERS.ref(number), **changes}
    return msgspec.structs.replace(RECORD, call_id=call_id, client_masked=NUMBERS.masked(number), **changes)


async def fill(store: Store, number: str, name: str) -> None:
    """A client in every table: calls `NAME.1` (called back), `NAME.2` (lost), `NAME.3` (settled)."""
    engine, announce = store.engine, features.announce(CONFIG)
    told = of(number, f"{name}.1")
    lost = of(number, f"{name}.2", outcome=Outcome.ABANDONED, started_at="2026-11-22T03:00:00.000Z")
    settled = msgspec.structs.replace(lost, call_id=f"{name}.3")
    called = of(number, f"callsteward-cb-{name}.1-1-support", client_ref=None)
    await store.save([told, lost, settled, called])
    book = TagBook(engine, "main")
    book.remember([(told, number)])
    await flush(store.engine)
    for tag, value in ((Tag.COMMENT, SAID[0]), (Tag.TICKET, SAID[1]), (Tag.COMPLAINT, "")):
        fact = CallTagged(
            call_id=f"{name}.1", line="support", tag=tag, at_ms=AT_MS, by="101", source=Source.PHONE
        )
        await book.add(fact, Given(tag, value))
    met = ClientContact(number=number, site="main", at_ms=AT_MS, call_id=f"{name}.1", reason=Met.CALLED_AGAIN)
    await Contacts(engine, "main").note([met])
    list_ = LostCalls(engine, "main")
    list_.note([CallEnded(lost, number), CallEnded(settled, number)], NUMBERS.e164)
    await flush(store.engine)
    assert await list_.settle(f"{name}.3", by="admin", comment=SAID[2])
    complaints = Complaints(engine, "main", announce)
    await complaints.raise_(
        call_id=f"{name}.1",
        line="support",
        operator="101",
        client_masked=told.client_masked,
        client_ref=told.client_ref,
        reason="tagged",
        score=None,
        at_ms=AT_MS,
    )
    await complaints.acknowledge(f"{name}.1", by="chief", comment=SAID[3], at_ms=AT_MS)
    await ClientZones(engine).put({number: "Asia/Omsk"}, by="admin")
    await CommandsDone(engine, "main").keep(
        "digest",
        Reply(id=name, command="tag", status="done", reason="", detail="", at="x", call_id=f"{name}.1"),
        AT_MS,
    )
    callbacks = CallbackLedger(engine, "main", announce)
    callback = await callbacks.open(told, DUE, number=number, dropped_ms=AT_MS, at_ms=AT_MS)
    assert callback is not None
    for state, actor in (
        (CallbackState.OFFERED, Actor.DAEMON),
        (CallbackState.DIALLING, Actor.ASTERISK),
        (CallbackState.REACHED, Actor.ADMIN),
    ):
        evidence = SAID[2] if actor is Actor.ADMIN else "Dial ANSWER"
        moved = await callbacks.move(
            callback, state, at_ms=AT_MS, actor=actor, asked="101", evidence=evidence
        )
        assert moved is not None
    rating = await rated(store, number, f"{name}.1")
    ledger = RatingLedger(engine, "main", announce)
    await ledger.keep(rating, at_ms=AT_MS, score=2)
    await ledger.keep(rating, at_ms=AT_MS, comment_file=f"comment-{name}", comment_ms=5000)
    # Last: nobody on the list is called.
    await DoNotCall(engine).add([number], by="admin", comment=SAID[4])


async def rated(store: Store, number: str, call_id: str, due_ms: int | None = None) -> Any:
    ledger = RatingLedger(store.engine, "main", features.announce(CONFIG))
    rating = await ledger.open(
        call_id=call_id,
        mode=Mode.STAY if due_ms is None else Mode.CALL,
        line="support",
        operator="101",
        number=number,
        client_masked=NUMBERS.masked(number),
        client_ref=NUMBERS.ref(number),
        at_ms=AT_MS,
        due_ms=due_ms,
    )
    assert rating is not None
    return rating
