"""The way onto the do-not-call list: all open calls to a client are cancelled, whoever puts them on it."""

from __future__ import annotations

import msgspec
import pytest

from callsteward.callback.ledger import PLAN, CallbackLedger
from callsteward.callback.states import CANCELLABLE, CallbackMoved, CallbackRow, CallbackState
from callsteward.outgoing.do_not_call import DoNotCall
from callsteward.outgoing.forbidding import Forbidden, Forbidding
from callsteward.outgoing.words import Actor
from callsteward.rating.ledger import PLAN as RATINGS
from callsteward.rating.ledger import RatingLedger
from callsteward.rating.states import Mode, RatingMoved, RatingState
from callsteward.record.call import CallbackDecision, Decision
from callsteward.store.records import Store
from tests.unit.store.samples import RECORD

NOW = 1_795_345_200_000
NUMBER = "+79031234567"
OTHER = "+79000000001"
PLANS = (PLAN, RATINGS)
DUE = CallbackDecision(Decision.DUE, "mid_dialogue_drop")

# By the state that a callback is in: the steps that led there.
_WAYS = {
    CallbackState.DUE: (),
    CallbackState.OFFERED: (CallbackState.OFFERED,),
    CallbackState.OPERATOR_ANSWERED: (CallbackState.OFFERED, CallbackState.OPERATOR_ANSWERED),
}


async def callback(
    ledger: CallbackLedger, call_id: str, number: str, state: CallbackState = CallbackState.DUE
) -> CallbackRow:
    opened = await ledger.open(
        msgspec.structs.replace(RECORD, call_id=call_id), DUE, number=number, dropped_ms=NOW, at_ms=NOW
    )
    assert opened is not None
    for step in _WAYS[state]:
        moved = await ledger.move(
            opened, step, actor=Actor.DAEMON, at_ms=NOW, asked="101", channel_id=f"callsteward-cb-{call_id}"
        )
        assert moved is not None
        opened = moved
    return opened


async def scheduled(ratings: RatingLedger, call_id: str, number: str) -> None:
    rating = await ratings.open(
        call_id=call_id, mode=Mode.CALL, line="support", operator="101", number=number,
        client_masked=None, client_ref=None, at_ms=NOW, due_ms=NOW + 60_000,
    )  # fmt: skip
    assert rating is not None


@pytest.mark.parametrize("state", sorted(CANCELLABLE))
async def test_callbacks_and_rating_calls_that_are_open_are_cancelled(
    store: Store, state: CallbackState
) -> None:
    ledger, ratings = CallbackLedger(store.engine, "main"), RatingLedger(store.engine, "main")
    await callback(ledger, "1.1", NUMBER, state)
    await callback(ledger, "1.2", OTHER, state)
    await scheduled(ratings, "2.1", NUMBER)
    await scheduled(ratings, "2.2", OTHER)
    told: list[object] = []
    forbidding = Forbidding(store.engine, "main", plans=PLANS, now_ms=lambda: NOW + 5, told=told.append)
    done = await forbidding.add([NUMBER], by="anna", actor=Actor.ADMIN, comment="asked us to")
    assert done == Forbidden(added=1, cancelled={"callbacks": 1, "rating calls": 1})
    (listed,) = await DoNotCall(store.engine).listed()
    assert (listed.number, listed.added_by, listed.comment) == (NUMBER, "anna", "asked us to")

    found = await ledger.find("1.1")
    assert found is not None
    assert (found.state, found.reason, found.changed_at_ms) == (
        CallbackState.CANCELLED,
        "do_not_call",
        NOW + 5,
    )
    last = (await ledger.story(found))[-1]
    assert (last.actor, last.from_state, last.evidence) == (Actor.ADMIN, state, "anna")
    rating = await ratings.of_call("2.1")
    assert rating is not None
    assert (rating.state, rating.reason) == (RatingState.SUPPRESSED, "do_not_call")
    assert told == [CallbackMoved(found, Actor.ADMIN), RatingMoved(rating)]

    others = await ledger.find("1.2"), await ratings.of_call("2.2")
    assert [item.state.value for item in others if item is not None] == [state.value, "scheduled"]


async def test_open_calls_of_clients_on_the_list_already_are_cancelled_too(store: Store) -> None:
    ledger = CallbackLedger(store.engine, "main")
    await DoNotCall(store.engine).add([NUMBER], by="an earlier version")
    await callback(ledger, "1.1", NUMBER)
    forbidding = Forbidding(store.engine, "main", plans=PLANS, now_ms=lambda: NOW)
    assert await forbidding.add([NUMBER], by="agi", actor=Actor.INTEGRATION) == Forbidden(0, {"callbacks": 1})
    assert await forbidding.add([NUMBER], by="agi", actor=Actor.INTEGRATION) == Forbidden(0)


async def test_a_client_whose_phone_rings_is_left_to_the_daemon_that_has_them_rung(store: Store) -> None:
    ledger = CallbackLedger(store.engine, "main")
    opened = await callback(ledger, "1.1", NUMBER, CallbackState.OPERATOR_ANSWERED)
    await ledger.move(opened, CallbackState.DIALLING, actor=Actor.ASTERISK, at_ms=NOW)
    forbidding = Forbidding(store.engine, "main", plans=PLANS, now_ms=lambda: NOW)
    assert await forbidding.add([NUMBER], by="cli", actor=Actor.ADMIN) == Forbidden(1)
    (left,) = await ledger.forbidden()
    assert left.state is CallbackState.DIALLING


async def test_another_sites_callbacks_are_left_to_its_daemon(store: Store) -> None:
    """The sites share the database, and with it the list."""
    ledger = CallbackLedger(store.engine, "other")
    await callback(ledger, "1.1", NUMBER)
    forbidding = Forbidding(store.engine, "main", plans=PLANS, now_ms=lambda: NOW)
    assert await forbidding.add([NUMBER], by="cli", actor=Actor.ADMIN) == Forbidden(1)
    assert [item.origin_call_id for item in await ledger.forbidden()] == ["1.1"]


async def test_off_the_list_again_nothing_comes_back(store: Store) -> None:
    ledger = CallbackLedger(store.engine, "main")
    await callback(ledger, "1.1", NUMBER)
    forbidding = Forbidding(store.engine, "main", plans=PLANS, now_ms=lambda: NOW)
    await forbidding.add([NUMBER], by="cli", actor=Actor.ADMIN)
    assert await forbidding.remove(NUMBER)
    assert await ledger.opened() == []
