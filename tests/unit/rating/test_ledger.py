"""The ledger of ratings and the list of complaints: one row per call, one winner per step."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from callsteward.callback.ledger import CallbackLedger
from callsteward.clock import DAY_MS
from callsteward.outgoing.plan import sources
from callsteward.rating.complaints import ByCommand, Complaints
from callsteward.rating.ledger import RatingLedger
from callsteward.rating.states import ALLOWED, ASKED, OPEN, Mode, RatingRow, RatingState
from callsteward.record.call import CallbackDecision, Decision
from callsteward.store.direct import Sql, read
from callsteward.store.records import Store
from tests.unit.cycles import left_in_cycles
from tests.unit.store.samples import RECORD

NOW = 1_795_348_800_000
NUMBER = "+79031234567"


async def opened(ledger: RatingLedger, call_id: str = "1.1", **changes: Any) -> RatingRow:
    rating = await tried(ledger, call_id, **changes)
    assert rating is not None
    return rating


async def tried(ledger: RatingLedger, call_id: str = "1.1", **changes: Any) -> RatingRow | None:
    values: dict[str, Any] = {
        "mode": Mode.STAY,
        "line": "support",
        "operator": "101",
        "number": NUMBER,
        "client_masked": "+7903***4567",
        "client_ref": "5f0c",
        "at_ms": NOW,
    }
    return await ledger.open(call_id=call_id, **(values | changes))


async def test_a_call_is_asked_about_once_however_many_try(ledger: RatingLedger) -> None:
    won = [rating for rating in await asyncio.gather(*(tried(ledger) for _ in range(50))) if rating]
    assert len(won) == 1
    assert won[0].state is RatingState.ASKING
    assert await tried(ledger, due_ms=NOW) is None


async def test_the_first_score_stays(ledger: RatingLedger) -> None:
    rating = await opened(ledger)
    kept = await ledger.keep(rating, at_ms=NOW + 2500, score=4)
    assert kept is not None
    assert (kept.state, kept.score, kept.answer_s) == (RatingState.ANSWERED, 4, 2.5)
    assert await ledger.keep(rating, at_ms=NOW + 3000, score=1) is None
    # And a later end of the menu does not undo it.
    assert await ledger.move(rating, RatingState.UNANSWERED, at_ms=NOW + 4000, reason="hung_up") is None


async def test_question_and_comment_are_kept_beside_the_score(ledger: RatingLedger) -> None:
    rating = await opened(ledger)
    # Without a score nothing is written beside it.
    assert await ledger.keep(rating, at_ms=NOW, question=1) is None
    await ledger.keep(rating, at_ms=NOW, score=5)
    await ledger.keep(rating, at_ms=NOW + 1, question=2)
    kept = await ledger.keep(rating, at_ms=NOW + 2, comment_file="c", comment_ms=4200)
    assert kept is not None
    assert (kept.score, kept.question, kept.comment_file, kept.comment_ms) == (5, 2, "c", 4200)


async def test_a_key_that_came_with_the_hang_up_counts(ledger: RatingLedger) -> None:
    rating = await opened(ledger)
    await ledger.move(rating, RatingState.UNANSWERED, at_ms=NOW, reason="hung_up")
    kept = await ledger.keep(rating, at_ms=NOW, score=3)
    assert kept is not None
    assert (kept.state, kept.score, kept.reason) == (RatingState.ANSWERED, 3, "")


@pytest.mark.parametrize("start", list(RatingState))
async def test_every_step_that_may_be_made_and_no_other(
    store: Store, ledger: RatingLedger, start: RatingState
) -> None:
    for number, to in enumerate(RatingState):
        rating = await opened(ledger, call_id=f"{start.value}.{number}")
        await _put(store, rating, start)
        moved = await ledger.move(rating, to, at_ms=NOW, channel_id="c")
        assert (moved is not None) == (to in ALLOWED[start]), f"{start} to {to}"


async def _put(store: Store, rating: RatingRow, state: RatingState) -> None:
    from sqlalchemy import update

    from callsteward.store.engine import writing
    from callsteward.store.tables import ratings

    async with writing(store.engine) as connection:
        await connection.execute(
            update(ratings).where(ratings.c.call_id == rating.call_id).values(state=state.value)
        )


def test_a_client_who_was_asked_is_never_called_again() -> None:
    for state in ASKED:
        assert not ALLOWED[state] & {RatingState.SCHEDULED, RatingState.DIALLING}
    assert sources(ALLOWED, RatingState.DIALLING) == {RatingState.SCHEDULED}
    assert {RatingState.SCHEDULED, RatingState.DIALLING} == OPEN


async def test_rating_calls_come_in_the_order_they_are_due(ledger: RatingLedger) -> None:
    for call_id, due_ms in (("1.1", NOW + 5), ("1.2", NOW + 1), ("1.3", NOW + 9)):
        await opened(ledger, call_id, mode=Mode.CALL, due_ms=due_ms)
    await opened(ledger, "1.4")
    dialled = await ledger.find("1.3")
    assert dialled is not None
    dialled = await ledger.move(dialled, RatingState.DIALLING, at_ms=NOW, channel_id="c")
    assert dialled is not None
    assert (dialled.attempts, dialled.channel_id) == (1, "c")
    assert [rating.call_id for rating in await ledger.opened()] == ["1.2", "1.1", "1.3"]
    assert [rating.call_id for rating in await ledger.asking()] == ["1.4"]


async def last_asked(
    store: Store, ledger: RatingLedger, number: str | None, ref: str | None, but: str
) -> int | None:
    def work(sql: Sql) -> int | None:
        return ledger.last_asked_in(sql, number=number, client_ref=ref, but=but)

    return await read(store.engine, work)


async def test_a_client_is_known_again_by_number_or_reference(store: Store, ledger: RatingLedger) -> None:
    await opened(ledger, "1.1", at_ms=NOW, client_ref="a")
    await opened(ledger, "1.2", at_ms=NOW + 5, number=None, client_ref="b")
    never = await opened(ledger, "1.3", at_ms=NOW + 9, mode=Mode.CALL, due_ms=NOW + 9)
    await ledger.move(never, RatingState.SUPPRESSED, at_ms=NOW, reason="do_not_call")

    async def last(number: str | None, ref: str | None, but: str = "9") -> int | None:
        return await last_asked(store, ledger, number, ref, but)

    assert await last(NUMBER, None) == NOW
    assert await last(None, "b") == NOW + 5
    assert await last(NUMBER, "b") == NOW + 5
    assert await last(NUMBER, None, but="1.1") is None
    assert await last(None, None) is None
    assert await last("+79000000001", "z") is None


async def test_a_callback_that_is_open_is_known_by_its_number(store: Store) -> None:
    callbacks = CallbackLedger(store.engine, "main")
    decision = CallbackDecision(Decision.DUE, "mid_dialogue_drop")
    await callbacks.open(RECORD, decision, number=NUMBER, dropped_ms=NOW, at_ms=NOW)
    assert await callbacks.open_to(NUMBER)
    assert not await callbacks.open_to("+79000000001")
    assert not await callbacks.open_to(None)


async def test_numbers_and_comments_are_forgotten_but_not_the_score(ledger: RatingLedger) -> None:
    rating = await opened(ledger)
    await ledger.keep(rating, at_ms=NOW, score=5)
    await ledger.keep(rating, at_ms=NOW, comment_file="c", comment_ms=1)
    await opened(ledger, "1.2", mode=Mode.CALL, due_ms=NOW)
    await ledger.forget_numbers(NOW + DAY_MS)
    (kept,) = await ledger.kept_until(NOW + DAY_MS, limit=20)
    # The comment counts as kept until Asterisk confirms that it is gone.
    assert (kept.call_id, kept.number, kept.comment_file) == ("1.1", None, "c")
    await ledger.comment_gone(kept)
    after = await ledger.of_call("1.1")
    assert after is not None
    assert (after.number, after.comment_file, after.score) == (None, None, 5)
    # A rating call that is still to be made needs its number.
    waiting = await ledger.of_call("1.2")
    assert waiting is not None
    assert waiting.number == NUMBER
    assert await ledger.kept_until(NOW + DAY_MS, limit=20) == []


async def test_a_row_is_kept_for_its_fence_until_asterisk_confirms_that_it_is_gone(
    ledger: RatingLedger,
) -> None:
    for call_id in ("1.1", "1.2", "1.3"):
        rating = await opened(ledger, call_id, mode=Mode.CALL, due_ms=NOW)
        if call_id != "1.2":
            await ledger.move(rating, RatingState.DIALLING, at_ms=NOW, channel_id="x")
            await ledger.move(rating, RatingState.NOT_REACHED, at_ms=NOW)
        else:
            await ledger.move(rating, RatingState.EXPIRED, at_ms=NOW)
    # No client was called for the second: it never had a fence.
    assert [item.call_id for item in await ledger.kept_until(NOW + 1, limit=20)] == ["1.1", "1.3"]
    assert [item.call_id for item in await ledger.kept_until(NOW + 1, limit=1)] == ["1.1"]
    assert [item.call_id for item in await ledger.kept_until(NOW + 1, after="1.1", limit=20)] == ["1.3"]
    assert await ledger.kept_until(NOW, limit=20) == []
    await ledger.fence_gone(rating, NOW + 1)
    assert [item.call_id for item in await ledger.kept_until(NOW + 1, limit=20)] == ["1.1"]


async def test_ratings_of_calls(ledger: RatingLedger) -> None:
    for number in range(3):
        await opened(ledger, f"1.{number}", at_ms=NOW + number)
    found = await ledger.of_calls(["1.2", "1.0", *(f"2.{number}" for number in range(1_000))])
    assert sorted(rating.call_id for rating in found) == ["1.0", "1.2"]
    assert await ledger.of_calls([]) == []


# --- complaints -------------------------------------------------------------------------------------------


async def raised(complaints: Complaints, call_id: str = "1.1", **changes: Any) -> Any:
    values: dict[str, Any] = {
        "line": "support",
        "operator": "101",
        "client_masked": "+7903***4567",
        "client_ref": None,
        "reason": "low_rating",
        "score": 1,
        "at_ms": NOW,
    }
    return await complaints.raise_(call_id=call_id, **(values | changes))


@pytest.fixture
def complaints(store: Store) -> Complaints:
    return Complaints(store.engine, "main")


async def test_a_call_is_one_complaint_also_after_it_was_acknowledged(complaints: Complaints) -> None:
    assert await raised(complaints) is not None
    assert await raised(complaints, reason="tagged", score=None) is None
    assert await complaints.acknowledge("1.1", by="boss", comment="called", at_ms=NOW) is not None
    assert await raised(complaints) is None
    assert await complaints.listed() == []
    (done,) = await complaints.listed(everything=True)
    assert (done.acknowledged_by, done.comment, done.score) == ("boss", "called", 1)


async def test_a_complaint_is_acknowledged_once_by_number_or_call(complaints: Complaints) -> None:
    first = await raised(complaints, "1795313835.6", at_ms=NOW + 1)
    second = await raised(complaints, "1795313835.7", at_ms=NOW, line="sales")
    assert [item.id for item in await complaints.listed()] == [second.id, first.id]
    assert [item.id for item in await complaints.listed(line="support")] == [first.id]
    assert await complaints.acknowledge(str(first.id), by="boss", comment="", at_ms=NOW) is not None
    assert await complaints.acknowledge(str(first.id), by="boss", comment="", at_ms=NOW) is None
    assert await complaints.acknowledge("no such", by="boss", comment="", at_ms=NOW) is None
    assert await complaints.acknowledge("1795313835.7", by="boss", comment="", at_ms=NOW) is not None


async def test_by_command_an_acknowledgement_that_comes_again_is_done_already(complaints: Complaints) -> None:
    by_command = ByCommand(complaints)
    await raised(complaints)
    for by in ("first", "second"):
        assert await by_command.acknowledge("1.1", by=by, comment="seen", at_ms=NOW)
    assert [item.acknowledged_by for item in await complaints.listed(everything=True)] == ["first"]
    assert not await by_command.acknowledge("1.2", by="boss", comment="", at_ms=NOW)


async def test_queries_made_for_each_call_leave_nothing_to_the_garbage_collector(
    store: Store, ledger: RatingLedger
) -> None:
    callbacks = CallbackLedger(store.engine, "main")

    async def ask(number: int) -> None:
        assert not await callbacks.open_to(NUMBER)
        await last_asked(store, ledger, NUMBER, "5f0c", "none")
        rating = await opened(ledger, f"1.{number}")
        assert await ledger.keep(rating, at_ms=NOW, score=4) is not None
        await ledger.opened()

    assert await left_in_cycles(ask) < 1
