"""The answers to a dialplan, from a database with calls, callbacks and a do-not-call list in it."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from callsteward import features
from callsteward.agi.lookups import Caller, Lookups
from callsteward.agi.questions import Questions
from callsteward.agi.request import AgiError, AgiRequest
from callsteward.agi.site import site_questions
from callsteward.callback.ledger import CallbackLedger
from callsteward.callback.policy import Reason
from callsteward.callback.states import OPEN, CallbackState
from callsteward.config import Config, Endpoints, Line, RatingSettings
from callsteward.config.hotline import TrunkNumbers
from callsteward.config.profile import Profile
from callsteward.outgoing.do_not_call import DoNotCall
from callsteward.outgoing.guard import Guard
from callsteward.outgoing.may import May
from callsteward.outgoing.words import Actor
from callsteward.rating.complaints import Complaints
from callsteward.rating.decisions import RatingDecisions
from callsteward.rating.ledger import RatingLedger
from callsteward.rating.standing import LookUp
from callsteward.record.call import CallbackDecision, Decision
from callsteward.record.number import Numbers
from callsteward.store.direct import Sql
from callsteward.store.message import nobody
from callsteward.store.records import Store
from tests.unit.store.samples import RECORD
from tests.unit.tags.desk import FrontDesk

NUMBER = "+79031234567"
OTHER = "+79000000001"
KEY = "a key"
NOW_MS = 1_795_348_800_000
DAY_MS = 86_400_000
DUE = CallbackDecision(Decision.DUE, "mid_dialogue_drop")


@pytest.fixture
def config() -> Config:
    return Config(privacy={"hmac_key": KEY})


def _questions(config: Config, store: Store, **parts: Any) -> Questions:
    forbidding = features.forbidding(store.engine, "main", now_ms=lambda: NOW_MS, announce=nobody)
    return site_questions(
        config, store.engine, guard=Guard(config), forbidding=forbidding, now_ms=lambda: NOW_MS, **parts
    )


@pytest.fixture
def questions(store: Store, config: Config) -> Questions:
    return _questions(config, store)


def asked(script: str = "arrival", caller: str | None = NUMBER, **params: str) -> AgiRequest:
    return AgiRequest(script=script, channel_id="17.1", caller=caller, language="ru", params=params)


async def talked(
    store: Store, call_id: str, *, operator: str | None, ago_ms: int, number: str = NUMBER
) -> None:
    record = msgspec.structs.replace(
        RECORD,
        call_id=call_id,
        operator=operator,
        client_ref=Numbers("RU", KEY.encode()).ref(number),
        started_at=datetime.fromtimestamp((NOW_MS - ago_ms) / 1000, UTC).isoformat(),
    )
    await store.save([record])


async def dropped(store: Store, *states: CallbackState, at_ms: int = NOW_MS, reason: str = "") -> None:
    ledger = CallbackLedger(store.engine, "main")
    callback = await ledger.open(RECORD, DUE, number=NUMBER, dropped_ms=at_ms, at_ms=at_ms)
    for state in states:
        assert callback is not None
        callback = await ledger.move(callback, state, actor=Actor.DAEMON, at_ms=at_ms, reason=reason)


NOTHING = {
    "CALLSTEWARD_LAST_OPERATOR": "",
    "CALLSTEWARD_OPEN_CALLBACK": "",
    "CALLSTEWARD_DNC": "0",
    "CALLSTEWARD_LANGUAGE": "ru",
}


async def test_nothing_is_known_of_a_stranger(questions: Questions) -> None:
    assert await questions.arrival(asked()) == NOTHING


@pytest.mark.parametrize("caller", [None, "anonymous", "101", "7903123456x", "+7903'; DROP TABLE calls"])
async def test_nothing_is_known_of_a_caller_without_a_number(store, questions, caller: str | None) -> None:
    await talked(store, "1", operator="101", ago_ms=1000)
    assert await questions.arrival(asked(caller=caller)) == NOTHING


@pytest.mark.parametrize("written", [NUMBER, "79031234567", "89031234567", "8 (903) 123-45-67"])
async def test_the_last_operator_is_found_however_the_number_is_written(store, questions, written) -> None:
    await talked(store, "1", operator="101", ago_ms=3000)
    await talked(store, "2", operator="102", ago_ms=2000)
    await talked(store, "3", operator=None, ago_ms=1000)
    await talked(store, "4", operator="103", ago_ms=500, number=OTHER)
    answer = await questions.arrival(asked(caller=written))
    assert answer["CALLSTEWARD_LAST_OPERATOR"] == "102"


async def test_a_talk_long_ago_names_nobody(store, questions, config) -> None:
    await talked(store, "1", operator="101", ago_ms=config.agi.last_operator_days * DAY_MS + 1000)
    assert (await questions.arrival(asked()))["CALLSTEWARD_LAST_OPERATOR"] == ""


async def test_without_a_key_nobody_is_named(store: Store) -> None:
    await store.save([msgspec.structs.replace(RECORD, client_ref=None)])
    known = await Lookups(store.engine, "main").caller(NUMBER, None, since_ms=0, now_ms=NOW_MS)
    assert known == Caller()


@pytest.mark.parametrize("state", sorted(OPEN))
async def test_an_open_callback_is_told(store, questions, state: CallbackState) -> None:
    await dropped(store, *(() if state is CallbackState.DUE else (CallbackState.OFFERED,)))
    if state not in {CallbackState.DUE, CallbackState.OFFERED}:
        found = await CallbackLedger(store.engine, "main").find(RECORD.call_id)
        assert found is not None
        await CallbackLedger(store.engine, "main").move(found, state, actor=Actor.DAEMON, at_ms=NOW_MS)
    assert (await questions.arrival(asked()))["CALLSTEWARD_OPEN_CALLBACK"] == state.value


@pytest.mark.parametrize(
    ("state", "reason", "ago_ms", "told"),
    [
        (CallbackState.CANCELLED, Reason.CALLED_AGAIN.value, 1_000, "cancelled"),
        (CallbackState.CANCELLED, Reason.CALLED_AGAIN.value, 60_000, ""),
        (CallbackState.CANCELLED, "by a supervisor", 1_000, ""),
        (CallbackState.EXPIRED, "", 1_000, ""),
        (CallbackState.NOT_REACHED, "", 1_000, ""),
    ],
)
async def test_a_callback_that_is_over_is_not(store, questions, state, reason, ago_ms, told) -> None:
    await dropped(store, state, at_ms=NOW_MS - ago_ms, reason=reason)
    assert (await questions.arrival(asked()))["CALLSTEWARD_OPEN_CALLBACK"] == told


async def test_another_sites_callback_does_not_count(store: Store) -> None:
    await dropped(store)
    known = await Lookups(store.engine, "branch").caller(NUMBER, None, since_ms=0, now_ms=NOW_MS)
    assert known.callback is None


async def test_the_do_not_call_list_is_asked_and_kept(store: Store, questions: Questions) -> None:
    async def dnc(**params: str) -> Mapping[str, str]:
        return await questions.dnc(asked("dnc", **params))

    assert await dnc() == {"CALLSTEWARD_DNC": "0"}
    assert await dnc(action="add") == {"CALLSTEWARD_DNC": "1"}
    assert (await questions.arrival(asked()))["CALLSTEWARD_DNC"] == "1"
    assert [(row.number, row.added_by) for row in await DoNotCall(store.engine).listed()] == [(NUMBER, "agi")]
    assert await dnc(action="remove") == {"CALLSTEWARD_DNC": "0"}
    assert await dnc(action="add", number=OTHER) == {"CALLSTEWARD_DNC": "1"}
    assert await dnc() == {"CALLSTEWARD_DNC": "0"}


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (asked("dnc", action="drop"), "action: check, add or remove"),
        (asked("dnc", caller=None, action="add"), "no number"),
        (asked("dnc", action="add", number="112"), "no number"),
        (asked("dnc", action="add", number="9613123456"), "no number"),
        (asked("dnc", caller="9613123456", action="add"), "no number"),
        (asked("dnc", action="add", number="7903123456&SIP/x"), "no number"),
    ],
)
async def test_a_number_that_cannot_be_listed_is_refused(
    store, questions, request_: AgiRequest, why: str
) -> None:
    with pytest.raises(AgiError, match=why):
        await questions.dnc(request_)
    assert await DoNotCall(store.engine).listed() == []


async def test_a_caller_is_read_in_the_format_of_their_trunk(store: Store) -> None:
    config = Config(endpoints=Endpoints(numbers={"PJSIP/ru*": TrunkNumbers(format="national")}))
    there = _questions(config, store)
    request = msgspec.structs.replace(
        asked("dnc", caller="9613123456", action="add"), channel="PJSIP/ru-00000002"
    )
    assert await there.dnc(request) == {"CALLSTEWARD_DNC": "1"}
    assert [item.number for item in await DoNotCall(store.engine).listed()] == ["+79613123456"]
    elsewhere = msgspec.structs.replace(request, channel="PJSIP/abroad-00000003")
    with pytest.raises(AgiError, match="no number"):
        await there.dnc(elsewhere)


@pytest.mark.parametrize(
    ("script", "off"), [("tag", "tags are switched off"), ("rating-eligible", "ratings are")]
)
async def test_a_question_about_a_disabled_feature_says_so(
    questions: Questions, script: str, off: str
) -> None:
    with pytest.raises(AgiError, match=off):
        await questions.scripts()[script](asked(script, tag="complaint"))


async def test_a_call_is_tagged_from_the_dialplan(store: Store) -> None:
    desk = FrontDesk(store)
    await desk.talk()
    tagging = _questions(desk.config, store, commands=desk.commands)
    answer = await tagging.tag(asked("tag", tag="complaint", call="1.1"))
    assert answer == {"CALLSTEWARD_TAG": "done"}
    assert [(kept.tag, kept.source) for kept in await desk.book.of("1.1")] == [("complaint", "agi")]
    assert await tagging.tag(asked("tag", tag="nonsense", call="1.1")) == {"CALLSTEWARD_TAG": "malformed"}
    assert await tagging.tag(asked("tag", tag="complaint", call="9.9")) == {"CALLSTEWARD_TAG": "unknown_call"}


async def test_eligibility_for_a_rating_is_answered(store: Store) -> None:
    lines = (
        Line(name="support", dids=("100",), profile="asking", language="en"),
        Line(name="sales", dids=("200",)),
    )
    config = Config(
        lines=lines,
        profiles={"asking": Profile(rating="stay")},
        rating=RatingSettings(enabled=True),
    )
    told_of: list[object] = []

    def tags_in(_sql: Sql, call_id: str) -> frozenset[str]:
        return frozenset({"atypical"}) if call_id == "17.2" else frozenset()

    ledger = RatingLedger(store.engine, "main")
    decisions = RatingDecisions(
        config,
        ledger=ledger,
        complaints=Complaints(store.engine, "main"),
        may=May.of(config, store.engine),
        look_up=LookUp(store.engine, "main", ledger, tags_in),
        now_ms=lambda: NOW_MS,
        publish=told_of.append,
    )
    questions = _questions(config, store, ratings=decisions)

    async def told(channel_id: str = "17.1", called: str = "100", **params: str) -> str:
        request = AgiRequest(script="x", channel_id=channel_id, caller=NUMBER, called=called, params=params)
        return (await questions.rating_eligible(request))["CALLSTEWARD_ELIGIBLE"]

    assert await told() == "ask"
    assert await told(called="200") == "line_does_not_ask"
    assert await told(called="200", line="support") == "ask"
    assert await told("17.2") == "atypical"
    await dropped(store)
    assert await told() == "callback_pending"
    assert told_of == []
    arrival = await questions.arrival(
        AgiRequest(script="arrival", channel_id="1", caller=NUMBER, called="100")
    )
    assert arrival["CALLSTEWARD_LANGUAGE"] == "en"


def test_every_script_has_its_answer(questions: Questions) -> None:
    scripts: dict[str, Callable[..., Any]] = dict(questions.scripts())
    assert sorted(scripts) == ["arrival", "dnc", "rating-eligible", "tag"]


async def test_a_listed_client_has_their_open_callback_cancelled(store: Store, questions: Questions) -> None:
    await dropped(store, CallbackState.OFFERED)
    assert await questions.dnc(asked("dnc", action="add")) == {"CALLSTEWARD_DNC": "1"}
    callback = await CallbackLedger(store.engine, "main").find(RECORD.call_id)
    assert callback is not None
    assert (callback.state, callback.reason) == (CallbackState.CANCELLED, "do_not_call")
    (*_, last) = await CallbackLedger(store.engine, "main").story(callback)
    assert (last.actor, last.evidence) == (Actor.INTEGRATION, "agi")
