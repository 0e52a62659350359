"""The consequences of a tag, each of them once."""

import asyncio

import pytest

from callsteward.ari.phone_answers import PhoneAnswers, variable
from callsteward.config import Tags
from callsteward.exceptions import StoreError
from callsteward.outgoing.words import Actor
from callsteward.part import Feature, Part
from callsteward.rating.ledger import RatingLedger
from callsteward.rating.states import Mode
from callsteward.record.call import Attempt, AttemptResult, Decision, Direction, Outcome
from callsteward.record.facts import CallEnded, CallTagged
from callsteward.record.tag import Given, Source, Tag
from callsteward.store.records import Store
from callsteward.tags.book import TagBook
from tests.unit.tags.desk import E164, NUMBER, FrontDesk, stamp


@pytest.fixture
def desk(store: Store) -> FrontDesk:
    return FrontDesk(store)


async def test_dropped_after_the_call_makes_one_callback_due(desk: FrontDesk):
    record = await desk.talk()
    (said,) = await desk.tag(Tag.DROPPED)
    assert (said.result, said.refused) == ("callback_due", "")
    assert await desk.states() == [("due", "tagged_dropped")]
    (moved,) = desk.moves
    assert (moved.callback.origin_call_id, moved.callback.number) == ("1.1", E164)
    assert moved.callback.operator == record.operator
    (due,) = await desk.ledger.story(moved.callback)
    assert due.evidence.endswith("tag dropped by 101 (wrap_up)")
    assert desk.answers == [("PJSIP/101-0000001c", True)]
    # Again, by phone and after a restart: nothing more happens, and the phone gets a yes all the same.
    assert await desk.tag(Tag.DROPPED) == []
    desk.restart()
    assert await desk.tag(Tag.DROPPED) == []
    assert await desk.states() == [("due", "tagged_dropped")]
    assert desk.answers == [("PJSIP/101-0000001c", True)] * 3
    assert [(item.tag, item.result) for item in await desk.book.of("1.1")] == [("dropped", "callback_due")]


async def test_in_the_same_breath_as_the_end_of_the_call(desk: FrontDesk):
    """The record is judged and not stored yet when the tag is judged."""
    desk.now_ms += 1
    record = await desk.talk("0.1")
    again = CallEnded(record, NUMBER)
    code = CallTagged(
        call_id=record.call_id,
        line="support",
        tag=Tag.DROPPED,
        at_ms=desk.now_ms,
        by="101",
        source=Source.WRAP_UP,
        ended=True,
    )
    desk.restart()
    told = await desk.tagging.judge([again, code])
    assert [type(fact) for fact in told] == [CallEnded, CallTagged]
    assert await desk.states() == [("due", "tagged_dropped")]


async def test_a_kill_before_the_tag_is_written_down_costs_nothing(desk: FrontDesk, monkeypatch):
    await desk.talk()

    async def fail(*_args, **_kwargs):
        message = "disk full"
        raise StoreError(message)

    with monkeypatch.context() as patched:
        patched.setattr(TagBook, "add", fail)
        with pytest.raises(StoreError):
            await desk.tag(Tag.DROPPED)
    assert await desk.states() == [("due", "tagged_dropped")]
    desk.restart()
    (said,) = await desk.tag(Tag.DROPPED)
    assert said.result == "callback_due"
    assert await desk.states() == [("due", "tagged_dropped")]


@pytest.mark.parametrize(
    ("changes", "result", "states"),
    [
        ({"talk_s": 1.0}, "callback_not_due: early_drop", []),
        (
            {"outcome": Outcome.ABANDONED, "answered_at": None, "talk_s": 0.0},
            "callback_not_due: not_answered",
            [],
        ),
        ({"direction": Direction.CALLBACK}, "callback_suppressed: was_callback", []),
    ],
)
async def test_a_call_that_is_not_called_back_says_why(desk: FrontDesk, changes, result, states):
    await desk.talk(**changes)
    (said,) = await desk.tag(Tag.DROPPED)
    assert said.result == result
    assert await desk.states() == states


async def test_the_guard_the_list_and_the_hours_still_stand(desk: FrontDesk):
    await desk.talk("1.1", number="+79541234567")
    await desk.dnc.add([E164], by="test")
    await desk.talk("1.2")
    desk.now_ms += 10 * 3_600_000
    await desk.talk("1.3", number="79000000001", ended_at=stamp(desk.now_ms - 3_600_000))
    for call_id in ("1.1", "1.2", "1.3"):
        await desk.tag(Tag.DROPPED, call_id)
    assert [state for state, _ in await desk.states()] == ["suppressed"] * 3
    assert [reason for _, reason in await desk.states()][1:] == ["do_not_call", "calling_hours"]


async def test_a_client_who_called_again_meanwhile_is_not_called(desk: FrontDesk):
    await desk.talk("1.1")
    desk.now_ms += 20_000
    await desk.calls("2.1")
    (said,) = await desk.tag(Tag.DROPPED, "1.1")
    assert said.result == "callback_suppressed: client_called_again"
    # Also if a restarted daemon knows the tag from the database only.
    await desk.talk("3.1", number="79000000001", started_at=stamp(desk.now_ms - 100_000))
    await desk.talk("3.2", number="79000000001", started_at=stamp(desk.now_ms - 50_000))
    desk.restart()
    (said,) = await desk.tag(Tag.DROPPED, "3.1")
    assert said.result == "callback_suppressed: client_called_again"
    assert await desk.states() == [("suppressed", "client_called_again")] * 2


async def test_with_callbacks_off_the_tag_is_only_noted(store: Store):
    desk = FrontDesk(store, callbacks=False)
    await desk.talk()
    (said,) = await desk.tag(Tag.DROPPED)
    assert said.result == "callback_not_due: callbacks_off"
    assert await desk.states() == []


async def test_dnc_lists_the_number_and_cancels_what_waits(desk: FrontDesk):
    await desk.talk()
    await desk.tag(Tag.DROPPED)
    (said,) = await desk.tag(Tag.DNC)
    assert said.result == "do_not_call"
    assert await desk.numbers() == [E164]
    assert await desk.states() == [("cancelled", "do_not_call")]
    assert desk.moves[-1].actor is Actor.OPERATOR
    # An admin takes the number off the list: a journal that is run again does not put it back.
    await desk.dnc.remove(E164)
    assert await desk.tag(Tag.DNC) == []
    assert await desk.numbers() == []


@pytest.mark.parametrize("by", ["code", "command"])
async def test_dnc_cancels_a_rating_call_that_is_to_be_made(desk: FrontDesk, by: str):
    await desk.talk(outcome=Outcome.COMPLETED)
    ratings = RatingLedger(desk.store.engine, "main")
    await ratings.open(
        call_id="7.7", mode=Mode.CALL, line="support", operator="101", number=E164,
        client_masked=None, client_ref=None, at_ms=desk.now_ms, due_ms=desk.now_ms + 60_000,
    )  # fmt: skip
    if by == "code":
        await desk.tag(Tag.DNC)
    else:
        assert (await desk.send("dnc", id="a", action="add", number=E164)).result == "added"
    rating = await ratings.of_call("7.7")
    assert rating is not None
    assert (rating.state.value, rating.reason) == ("suppressed", "do_not_call")


async def test_a_client_with_an_ambiguous_number_is_neither_listed_nor_called(desk: FrontDesk):
    await desk.talk(number="9613123456")
    (said,) = await desk.tag(Tag.DNC)
    assert said.refused == "ambiguous_number"
    assert await desk.numbers() == []
    (dropped,) = await desk.tag(Tag.DROPPED)
    assert dropped.result == "callback_suppressed: ambiguous_number"
    desk.restart()
    assert await desk.book.number("1.1") == "9613123456"
    refused = await desk.send("dnc", id="1", action="add", call_id="1.1")
    assert (refused.status, refused.reason) == ("refused", "ambiguous_number")
    assert refused.detail == "more than one number can be meant: write it with plus and country code"


async def test_dnc_while_the_call_is_on_takes_the_number_of_the_call(desk: FrontDesk):
    (said,) = await desk.tag(
        Tag.DNC, "5.1", ended=False, client_number=NUMBER, source=Source.PHONE, channel=""
    )
    assert said.result == "do_not_call"
    (listed,) = await desk.dnc.listed()
    assert (listed.number, listed.added_by) == (E164, "101 (phone)")
    assert desk.answers == []


async def test_dnc_without_a_number_is_refused_and_not_written_down(desk: FrontDesk):
    await desk.talk(number="anonymous")
    (said,) = await desk.tag(Tag.DNC)
    assert said.refused == "no_number"
    assert await desk.book.of("1.1") == []
    assert desk.answers == [("PJSIP/101-0000001c", False)]


class _Behind(Feature):
    """A part that judges after the tags, as the rating does."""

    name = "behind"

    def __init__(self) -> None:
        self.tagged: list[tuple[Tag | None, bool]] = []

    def open(self, site):
        behind = self

        class Judge(Part):
            async def judge(self, facts):
                behind.tagged += [(fact.tag, fact.repeated) for fact in facts if isinstance(fact, CallTagged)]
                return facts

        return Judge()


async def test_others_are_noted_and_who_judges_behind_hears_of_a_repeated_one(store):
    behind = _Behind()
    desk = FrontDesk(store, features=[behind])
    await desk.talk()
    for tag, value in ((Tag.COMPLAINT, ""), (Tag.COMPLAINT, ""), (Tag.TICKET, "1"), (Tag.TICKET, "2")):
        await desk.tag(tag, value=value)
    assert behind.tagged == [
        (Tag.COMPLAINT, False),
        (Tag.COMPLAINT, True),
        (Tag.TICKET, False),
        (Tag.TICKET, False),
    ]
    assert [(item.tag, item.value) for item in await desk.book.of("1.1")] == [
        ("complaint", ""),
        ("ticket", "1"),
        ("ticket", "2"),
    ]
    assert await desk.book.has("1.1", Tag.TICKET)
    assert not await desk.book.has("1.1", Tag.DNC)
    assert await desk.book.find("1.1", Given(Tag.TICKET, "3")) is None


async def test_a_daemon_that_has_not_seen_the_call_finds_it_in_the_store(desk: FrontDesk):
    attempt = Attempt("103", stamp(desk.now_ms), 1.0, AttemptResult.ANSWERED)
    rang = Attempt("104", stamp(desk.now_ms), 1.0, AttemptResult.NO_ANSWER)
    await desk.talk("1.1")
    await desk.talk("1.2", number="79000000001", operator="102", attempts=(attempt, rang))
    desk.restart()
    desk.now_ms += 30_000
    assert [said.call_id for said in await desk.tag(Tag.ATYPICAL, "")] == ["1.1"]
    # An operator who handed the client on had the call, too; one whose phone only rang had not.
    assert [said.call_id for said in await desk.tag(Tag.ATYPICAL, "", by="103")] == ["1.2"]
    assert [said.refused for said in await desk.tag(Tag.ATYPICAL, "", by="104")] == ["no_call_to_tag"]
    assert [said.refused for said in await desk.tag(Tag.ATYPICAL, "", by='10"_%')] == ["no_call_to_tag"]
    desk.now_ms += 31_000
    assert [said.refused for said in await desk.tag(Tag.COMPLAINT, "")] == ["no_call_to_tag"]


async def test_a_tag_that_the_tracker_refused_is_published_and_does_nothing(desk: FrontDesk):
    await desk.talk()
    (said,) = await desk.tag(Tag.DROPPED, refused="wrap_up_over")
    assert said.refused == "wrap_up_over"
    (said,) = await desk.tag(None, refused="not_a_tag")
    assert await desk.states() == []
    assert desk.answers == [("PJSIP/101-0000001c", False)] * 2


async def test_numbers_are_kept_no_longer_than_needed(store: Store):
    desk = FrontDesk(store, tags=Tags(enabled=True, late_s=100))
    record = await desk.talk()
    assert record.callback.decision is Decision.NOT_DUE
    assert await desk.book.number("1.1") == E164
    assert await desk.book.forget(desk.now_ms) == 0
    assert await desk.book.forget(desk.now_ms + 1) == 1
    assert await desk.book.number("1.1") == ""
    await desk.talk("9.9", started_at=None, ended_at=None)
    assert await desk.book.number("9.9") == ""


class _Rest:
    def __init__(self) -> None:
        self.set: list[tuple[str, str]] = []

    async def set_variable(self, name: str, value: str) -> None:
        self.set.append((name, value))
        if len(self.set) == 1:
            from callsteward.exceptions import AriError

            message = "away"
            raise AriError(message)


async def test_a_phone_is_answered_by_a_variable_named_after_it():
    rest = _Rest()
    answers = PhoneAnswers(rest)  # type: ignore[arg-type]
    answers.say("PJSIP/101-0000001c", True)
    answers.say("PJSIP/front-desk_2-0000001d", False)
    for _ in range(200):
        answers.say("PJSIP/102-0000001e", True)
    task = asyncio.create_task(answers.run())
    async with asyncio.timeout(60):
        while len(rest.set) < 100:  # noqa: ASYNC110
            await asyncio.sleep(0)
    task.cancel()
    assert rest.set[:2] == [
        ("CALLSTEWARD_SAID_PJSIP101", "taken"),
        ("CALLSTEWARD_SAID_PJSIPfrontdesk2", "refused"),
    ]
    assert len(rest.set) == 100
    assert variable("PJSIP/x${y}-0000001d") == "CALLSTEWARD_SAID_PJSIPxy"
