"""Commands carried out, each once."""

import asyncio
from typing import Any

import msgspec
import pytest
import structlog

from callsteward.callback.states import CallbackState
from callsteward.commands.core import AcknowledgesComplaints
from callsteward.commands.done import CommandsDone
from callsteward.commands.reply import Reply
from callsteward.config import CommandsSettings, Tags
from callsteward.exceptions import StoreError
from callsteward.outgoing.words import Actor
from callsteward.record.call import CallbackDecision, Decision, Outcome
from callsteward.record.tag import Source
from callsteward.store.records import Store
from tests.unit.tags.desk import E164, FrontDesk, stamp


@pytest.fixture
def desk(store: Store) -> FrontDesk:
    return FrontDesk(store)


async def test_the_same_command_is_carried_out_once_and_answered_alike(desk: FrontDesk):
    await desk.talk()
    first = await desk.send("tag", call_id="1.1", tag="dropped", by="crm")
    assert (first.status, first.result, first.call_id) == ("done", "callback_due", "1.1")
    desk.now_ms += 5_000
    desk.restart()
    assert await desk.send("tag", call_id="1.1", tag="dropped", by="crm") == first
    assert len(await desk.states()) == 1
    other = await desk.send("tag", call_id="1.1", tag="complaint", by="crm")
    assert (other.status, other.reason, other.id) == ("refused", "id_used", "c-1")
    assert [item.tag for item in await desk.book.of("1.1")] == ["dropped"]


async def test_two_at_the_same_moment_are_one(desk: FrontDesk):
    await desk.talk()
    replies = await asyncio.gather(*(desk.send("tag", call_id="1.1", tag="dropped") for _ in range(5)))
    assert {reply.result for reply in replies} == {"callback_due"}
    assert len(set(map(msgspec.json.encode, replies))) == 1
    assert len(await desk.states()) == 1


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"call_id": "9.9", "tag": "dropped"}, "unknown_call"),
        ({"call_id": "1.1", "tag": "dropped"}, "too_late"),
    ],
)
async def test_a_tag_that_comes_to_nothing_says_why(store: Store, body: dict[str, Any], reason: str):
    desk = FrontDesk(store, tags=Tags(enabled=True, late_s=100))
    await desk.talk()
    desk.now_ms += 101_000
    reply = await desk.send("tag", **body)
    assert (reply.status, reply.reason) == ("refused", reason)
    assert reply.detail
    assert await desk.states() == []


async def test_with_tags_off_there_is_nothing_to_tag(store: Store):
    desk = FrontDesk(store, tags=Tags(enabled=False), commands=CommandsSettings(mqtt=True))
    await desk.talk()
    assert (await desk.send("tag", call_id="1.1", tag="dropped")).reason == "tags_off"


async def test_a_command_in_the_stream_is_pending_until_its_id_is_asked_again(store: Store):
    """It was answered with `failed`, but carried out as soon as the store could be written."""
    desk = FrontDesk(store, patience_s=0.05)
    await desk.talk()
    desk.stuck = True
    final: list[Reply] = []
    body = msgspec.json.encode({"id": "c-1", "call_id": "1.1", "tag": "dropped"})
    reply = await desk.commands.handle("tag", body, Source.MQTT, later=final.append)
    assert (reply.status, reply.reason) == ("pending", "in_progress")
    again = await desk.send("tag", call_id="1.1", tag="dropped")
    assert (again.status, again.reason) == ("pending", "in_progress")
    other = await desk.send("tag", call_id="1.1", tag="complaint")
    assert (other.status, other.reason) == ("refused", "id_used")
    assert final == []
    await desk.go_on()
    async with asyncio.timeout(60):
        while not final:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert [(item.id, item.status, item.result) for item in final] == [("c-1", "done", "callback_due")]
    assert await desk.send("tag", call_id="1.1", tag="dropped") == final[0]
    assert await desk.states() == [("due", "tagged_dropped")]


async def test_a_command_that_missed_the_stream_failed_for_good(store: Store, monkeypatch):
    desk = FrontDesk(store, patience_s=0.05)
    await desk.talk()
    desk.full = True
    reply = await desk.send("tag", call_id="1.1", tag="dropped")
    assert (reply.status, reply.reason) == ("failed", "not_in_time")
    desk.full = False
    go_on = asyncio.Event()
    find = CommandsDone.find

    async def slow(*arguments: Any) -> Any:
        await go_on.wait()
        return await find(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(CommandsDone, "find", slow)
        reply = await desk.send("tag", call_id="1.1", tag="dropped")
        assert (reply.status, reply.reason) == ("failed", "not_in_time")
        go_on.set()
        await asyncio.sleep(0.1)
    assert await desk.states() == []
    desk.commands._patience_s = 60
    assert (await desk.send("tag", call_id="1.1", tag="dropped")).result == "callback_due"


async def test_a_slow_command_keeps_no_other_waiting(store: Store):
    desk = FrontDesk(store, patience_s=2)
    await desk.talk()
    desk.stuck = True
    slow = asyncio.create_task(desk.send("tag", id="slow", call_id="1.1", tag="dropped"))
    await asyncio.sleep(0.05)
    assert (await desk.send("dnc", id="quick", action="remove", number=E164)).result == "was_not_listed"
    assert not slow.done()
    assert (await slow).status == "pending"


async def test_an_endless_sender_takes_no_other_senders_turn(store: Store):
    desk = FrontDesk(store, commands=CommandsSettings(per_minute=3))
    body: dict[str, Any] = {"action": "remove", "number": E164}
    with structlog.testing.capture_logs() as logs:
        flood = [await desk.send("dnc", id=f"f{n}", by="flood", **body) for n in range(1_000)]
    assert [reply.status for reply in flood].count("done") == 3
    assert len([entry for entry in logs if entry["action"] == "command_refused"]) == 1
    crm = [await desk.send("dnc", id=f"c{n}", by="crm", **body) for n in range(4)]
    assert [reply.reason for reply in crm] == ["", "", "", "rate_limited"]


async def test_repeated_malformed_commands_make_one_log_line(desk: FrontDesk):
    with structlog.testing.capture_logs() as logs:
        for n in range(20_000):
            reply = await desk.commands.handle("tag", b'{"id": "w%d"' % n, Source.MQTT)
            assert reply.reason == "malformed"
    assert [(entry["action"], entry["reason"], entry["sender"]) for entry in logs] == [
        ("command_refused", "malformed", "mqtt")
    ]


async def test_a_store_that_fails_is_told_and_nothing_is_remembered(desk: FrontDesk, monkeypatch):
    async def fail(*_args: Any) -> None:
        message = "disk full"
        raise StoreError(message)

    async def break_down(*_args: Any) -> None:
        raise RuntimeError

    await desk.talk()
    body: dict[str, Any] = {"action": "add", "number": E164}
    with monkeypatch.context() as patched:
        patched.setattr(CommandsDone, "find", fail)
        assert (await desk.send("dnc", **body)).reason == "store_failed"
        patched.setattr(CommandsDone, "find", break_down)
        assert (await desk.send("dnc", **body)).reason == "internal"
    with monkeypatch.context() as patched:
        patched.setattr(CommandsDone, "keep", fail)
        # The command is done, even if its reply is not remembered.
        reply = await desk.send("dnc", **body)
        assert (reply.status, reply.result) == ("done", "added")
        patched.setattr(CommandsDone, "keep", break_down)
        assert (await desk.send("dnc", **body)).result == "was_listed"
    # The reply was not remembered: the next try reports what it finds.
    assert (await desk.send("dnc", **body)).result == "was_listed"


async def test_too_many_are_refused_until_there_is_room(store: Store):
    desk = FrontDesk(store, commands=CommandsSettings(per_minute=3))
    replies = [await desk.send("dnc", id=f"n{n}", action="add", number=E164) for n in range(5)]
    assert [reply.reason for reply in replies] == ["", "", "", "rate_limited", "rate_limited"]
    by_http = await desk.send("dnc", Source.HTTP, id="h", action="add", number=E164)
    assert by_http.status == "done"
    assert await desk.done.find("n4") is None


async def test_dnc_adds_removes_and_cancels(desk: FrontDesk):
    await desk.talk()
    await desk.send("tag", id="t", call_id="1.1", tag="dropped")
    added = await desk.send(
        "dnc", id="1", action="add", number="8 (903) 123-45-67", by="crm", comment="asked"
    )
    assert (added.status, added.result) == ("done", "added")
    (listed,) = await desk.dnc.listed()
    assert (listed.number, listed.added_by, listed.comment) == (E164, "crm (mqtt)", "asked")
    assert await desk.states() == [("cancelled", "do_not_call")]
    assert desk.moves[-1].actor is Actor.INTEGRATION
    assert (await desk.send("dnc", id="2", action="remove", number=E164)).result == "removed"
    assert (await desk.send("dnc", id="3", action="remove", number=E164)).result == "was_not_listed"
    assert (await desk.send("dnc", id="4", action="add", call_id="1.1")).result == "added"
    assert (await desk.send("dnc", id="5", action="add", call_id="9.9")).reason == "no_number"
    assert (await desk.send("dnc", id="6", action="add", number="emergency")).reason == "not_a_number"
    for action in ("add", "remove"):
        reply = await desk.send("dnc", id=action, action=action, number="961 312-34-56")
        assert reply.reason == "ambiguous_number"
    assert await desk.dnc.listed() != []


async def test_a_callback_is_asked_for_once(desk: FrontDesk):
    await desk.talk(outcome=Outcome.ABANDONED, answered_at=None, talk_s=0.0)
    reply = await desk.send("callback", id="1", action="request", call_id="1.1", by="crm")
    assert (reply.status, reply.result) == ("done", "callback_due")
    assert await desk.states() == [("due", "requested")]
    again = await desk.send("callback", id="2", action="request", call_id="1.1")
    assert (again.reason, again.result) == ("callback_decided", "due")
    cancelled = await desk.send("callback", id="3", action="cancel", call_id="1.1", comment="reached by mail")
    assert cancelled.result == "cancelled"
    assert await desk.states() == [("cancelled", "cancelled_by_command")]
    late = await desk.send("callback", id="4", action="cancel", call_id="1.1")
    assert (late.reason, late.result) == ("callback_over", "cancelled")
    once_more = await desk.send("callback", id="5", action="request", call_id="1.1")
    assert (once_more.reason, once_more.result) == ("callback_decided", "cancelled")


async def test_a_callback_asked_for_is_guarded_like_any_other(desk: FrontDesk):
    await desk.dnc.add([E164], by="test")
    await desk.talk()
    refused = await desk.send("callback", id="1", action="request", call_id="1.1")
    assert (refused.status, refused.reason) == ("refused", "do_not_call")
    assert await desk.states() == [("suppressed", "do_not_call")]
    assert (await desk.send("callback", id="2", action="request", call_id="9.9")).reason == "call_not_known"
    assert (await desk.send("callback", id="3", action="cancel", call_id="9.9")).reason == "no_callback"
    desk.now_ms += 25 * 3_600_000
    assert (await desk.send("callback", id="4", action="request", call_id="1.1")).reason == "too_late"


async def test_a_callback_that_is_being_dialled_cannot_be_cancelled(desk: FrontDesk):
    due = CallbackDecision(Decision.DUE, "mid_dialogue_drop")
    await desk.talk(callback=due, outcome=Outcome.MID_DIALOGUE_DROP)
    callback = await desk.ledger.find("1.1")
    assert callback is not None
    await desk.ledger.move(callback, CallbackState.DIALLING, actor=Actor.ASTERISK, at_ms=desk.now_ms)
    reply = await desk.send("callback", id="1", action="cancel", call_id="1.1")
    assert (reply.reason, reply.result) == ("callback_over", "dialling")
    tagged = await desk.send("tag", id="2", call_id="1.1", tag="dropped")
    assert tagged.result == "callback_due"
    assert await desk.states() == [("dialling", "")]


class _Kept(AcknowledgesComplaints):
    async def acknowledge(self, call_id: str, *, by: str, comment: str, at_ms: int) -> bool:
        return (call_id, by, comment) == ("1.1", "boss (mqtt)", "called")


async def test_a_complaint_is_acknowledged_where_complaints_are_kept(desk: FrontDesk):
    body: dict[str, Any] = {"action": "acknowledge", "call_id": "1.1", "by": "boss", "comment": "called"}
    assert (await desk.send("complaint", id="1", **body)).reason == "complaints_off"
    desk = FrontDesk(desk.store, complaints=_Kept())
    assert (await desk.send("complaint", id="2", **body)).result == "acknowledged"
    assert (await desk.send("complaint", id="3", **(body | {"call_id": "2.2"}))).reason == "no_complaint"


async def test_answers_are_forgotten_in_time(desk: FrontDesk):
    await desk.send("dnc", action="add", number=E164)
    await desk.commands.forget_old(desk.now_ms + 7 * 86_400_000)
    assert await desk.done.find("c-1") is not None
    await desk.commands.forget_old(desk.now_ms + 7 * 86_400_000 + 1)
    assert await desk.done.find("c-1") is None


async def test_the_moment_of_an_answer_is_asterisks_clock(desk: FrontDesk):
    reply = await desk.send("tag", call_id="9.9", tag="dropped")
    assert reply.at == stamp(desk.now_ms)
