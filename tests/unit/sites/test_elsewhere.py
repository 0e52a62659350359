"""A client whose talk broke at one site and who has had another one since is not called back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from callsteward.callback.states import CallbackState
from callsteward.config import Config, Line, SiteSettings, StoreSettings
from callsteward.lost.calls import LostCalls
from callsteward.outgoing.words import Actor
from callsteward.rating.ledger import RatingLedger
from callsteward.rating.states import Mode
from callsteward.record.call import CallbackDecision, Decision, Direction, Outcome
from callsteward.record.facts import CallEnded, CallHappened, Happening
from callsteward.record.number import Numbers
from callsteward.sites.feature import SitesFeature
from callsteward.sites.part import KEPT_MS, SitesPart
from callsteward.store.direct import flush
from callsteward.store.records import Store
from callsteward.store.tables import lost_calls_settled
from callsteward.tags.book import TagBook
from callsteward.testing import StandIn
from tests.lab.postgresql import PostgreSql
from tests.unit.callback.test_execution import NOON, NUMBER, Hotline, stamp
from tests.unit.rating.test_ledger import last_asked
from tests.unit.store.samples import RECORD

pytestmark = pytest.mark.live

E164 = f"+{NUMBER}"
MINUTE_MS = 60_000


class South:
    """Another site's daemon, which makes no callbacks itself."""

    def __init__(self, store: Store, url: str, name: str = "south") -> None:
        config = Config(
            site=SiteSettings(name=name), lines=(Line(name="support"),), store=StoreSettings(url=url)
        )
        self.now_ms = NOON
        self._site = StandIn(store, config, [SitesFeature()], now_ms=lambda: self.now_ms)
        self.part = self._site.part(SitesPart)

    async def happens(
        self, event: Happening, at_ms: int, number: str = NUMBER, *, outbound: bool = False
    ) -> None:
        fact = CallHappened(
            call_id="9.9", line="support", event=event, at_ms=at_ms, client_number=number, outbound=outbound
        )
        assert list(await self._site.judge([fact])) == [fact]

    async def calls(self, at_ms: int, number: str = NUMBER) -> None:
        """The client calls this site."""
        await self.happens(Happening.STARTED, at_ms, number)

    async def ends(self, **changes: Any) -> None:
        record = msgspec.structs.replace(RECORD, call_id="9.9", **changes)
        await self._site.judge([CallEnded(record, NUMBER)])


@pytest.fixture
async def url(postgresql: PostgreSql) -> AsyncIterator[str]:
    async with postgresql.emptied() as address:
        yield address


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    opened = await Store.open(url)
    yield opened
    await opened.close()


@pytest.fixture
async def main(store: Store) -> Hotline:
    return Hotline(store)


@pytest.fixture
async def south(url: str) -> AsyncIterator[South]:
    """A process of its own has a connection of its own."""
    opened = await Store.open(url)
    yield South(opened, url)
    await opened.close()


async def ended(main: Hotline, call_id: str = "1.1") -> tuple[CallbackState, str, Actor, str]:
    """The callback's last step."""
    row = await main.ledger.find(call_id)
    assert row is not None
    *_, step = await main.ledger.story(row)
    return step.state, step.reason, step.actor, step.evidence


async def test_a_client_who_calls_another_site_is_not_called_back(main: Hotline, south: South) -> None:
    await main.drop()
    await south.calls(NOON + 5_000)
    await main.work(6)
    assert await ended(main) == (
        CallbackState.CANCELLED, "client_called_again", Actor.CLIENT, "call 9.9 at site south",
    )  # fmt: skip
    assert main.pbx.originated == []
    # It is told once, with the step.
    await main.work(1)
    assert [fact.callback.state for fact in main.told if hasattr(fact, "callback")] == ["due", "cancelled"]


async def test_a_client_whom_another_site_has_reached_is_not_called_back(main: Hotline, south: South) -> None:
    await main.drop()
    await south.happens(Happening.STARTED, NOON + 1_000, outbound=True)
    # Their phone only rings.
    main.busy = ["101", "102"]
    await main.work(2)
    assert await main.state() is CallbackState.DUE
    await south.happens(Happening.ANSWERED, NOON + 3_000, outbound=True)
    await main.work(2)
    assert await ended(main) == (
        CallbackState.CANCELLED, "client_spoken_to", Actor.OPERATOR, "call 9.9 at site south",
    )  # fmt: skip


async def test_an_answer_that_nobody_saw_counts_when_the_talk_is_over(main: Hotline, south: South) -> None:
    main.busy = ["101", "102"]
    await main.drop()
    await south.ends(direction=Direction.OUTBOUND, outcome=Outcome.COMPLETED, ended_at=stamp(NOON + 30_000))
    await main.work(31)
    assert (await ended(main))[:2] == (CallbackState.CANCELLED, "client_spoken_to")


async def test_the_operators_phone_that_rings_for_it_stops(main: Hotline, south: South) -> None:
    await main.drop()
    await main.work()
    assert await main.state() is CallbackState.OFFERED
    await south.calls(NOON + 2_000)
    await main.work(2)
    assert await main.state() is CallbackState.CANCELLED
    assert main.pbx.hung_up == ["callsteward-cb-1.1-1-support"]


async def test_an_operator_who_answers_meanwhile_is_not_put_through(main: Hotline, south: South) -> None:
    await main.drop()
    await main.work()
    main.says("operator_answered")
    await south.calls(NOON + 2_000)
    main.now_ms += 2_000
    main.says("may_call")
    await main.work()
    assert await main.state() is CallbackState.CANCELLED
    assert main.pbx.globals == {}


async def test_no_phone_rings_even_if_the_client_calls_between_the_look_and_the_step(
    main: Hotline, south: South
) -> None:
    await main.drop()
    row = await main.ledger.find("1.1")
    assert row is not None
    await south.calls(NOON + 1_000)
    rung = await main.ledger.move(row, CallbackState.OFFERED, at_ms=NOON + 2_000, asked="101", channel_id="c")
    assert rung is None
    assert await main.state() is CallbackState.DUE


async def test_a_client_who_called_before_the_loss_was_noticed_is_not_called_back(
    main: Hotline, south: South
) -> None:
    """Asterisk waits for RTP for seconds: the talk is over for the client before it is for us."""
    await south.calls(NOON - 3_000)
    record = await main.drop()
    assert record.callback == CallbackDecision(Decision.SUPPRESSED, "client_called_again")
    await main.work()
    assert main.pbx.originated == []


async def test_a_contact_that_is_written_late_counts_from_the_broken_calls_beginning(
    main: Hotline, south: South
) -> None:
    main.busy = ["101", "102"]
    await main.store.save([await main.drop()])
    await south.calls(NOON - 3_000)
    await main.work(1)
    assert (await ended(main))[:2] == (CallbackState.CANCELLED, "client_called_again")


async def test_a_call_to_another_site_before_the_one_that_broke_changes_nothing(
    main: Hotline, south: South
) -> None:
    await south.calls(NOON - 61_000)
    record = await main.drop()
    assert record.callback.decision is Decision.DUE
    await main.store.save([record])
    await main.work()
    assert await main.state() is CallbackState.OFFERED


async def test_another_clients_call_and_a_sites_own_change_nothing(
    main: Hotline, south: South, url: str
) -> None:
    await main.drop()
    await south.calls(NOON + 1_000, "79031234568")
    own = South(main.store, url, "main")
    # The callback itself: its client answers.
    await own.happens(Happening.ANSWERED, NOON + 1_000, outbound=True)
    await main.work(1)
    assert await main.state() is CallbackState.OFFERED


async def test_a_journal_that_is_run_again_does_not_bring_an_older_contact_back(
    main: Hotline, south: South
) -> None:
    await south.calls(NOON + 5_000)
    await south.calls(NOON - 600_000)
    record = await main.drop()
    assert record.callback.decision is Decision.SUPPRESSED


async def on_the_list(lost: LostCalls) -> list[str]:
    await lost.settle_elsewhere()
    return [record.call_id for record in await lost.listed()]


@pytest.mark.parametrize("direction", [Direction.INBOUND, Direction.OUTBOUND, Direction.CALLBACK])
async def test_a_lost_call_is_settled_once_its_client_has_talked_with_another_site(
    main: Hotline, south: South, store: Store, direction: Direction
) -> None:
    lost = LostCalls(store.engine, "main")
    for call_id, number, at_ms in (
        ("1", NUMBER, NOON),
        ("2", "79000000002", NOON),
        ("3", NUMBER, NOON + 9 * MINUTE_MS),
    ):
        record = msgspec.structs.replace(
            RECORD,
            call_id=call_id,
            outcome=Outcome.ABANDONED,
            started_at=stamp(at_ms),
            ended_at=stamp(at_ms + 20_000),
            client_ref=None,
        )
        lost.note([CallEnded(record, number)], Numbers("RU", None).e164)
        await store.save([record])
    # The talk is what counts: neither a call of theirs that rings, nor one that nobody answered.
    await south.calls(NOON + MINUTE_MS)
    await south.ends(direction=direction, outcome=Outcome.ABANDONED, ended_at=stamp(NOON + 2 * MINUTE_MS))
    assert await on_the_list(lost) == ["1", "2", "3"]
    await south.ends(direction=direction, outcome=Outcome.COMPLETED, ended_at=stamp(NOON + 3 * MINUTE_MS))
    assert await on_the_list(lost) == ["2", "3"]
    async with store.engine.connect() as connection:
        settled = (await connection.execute(select(lost_calls_settled))).mappings().all()
    assert [(row["call_id"], row["settled_by"], row["comment"]) for row in settled] == [
        ("1", "talk", "call 9.9 at site south")
    ]


async def test_numbers_of_contacts_are_deleted_after_a_day(main: Hotline, south: South) -> None:
    await south.calls(NOON)
    south.now_ms = NOON + KEPT_MS + 1
    assert await south.part.contacts.forget(south.now_ms - KEPT_MS) == 1
    record = await main.drop()
    assert record.callback.decision is Decision.DUE


async def test_a_late_tag_makes_no_callback_for_a_client_who_called_another_site(
    main: Hotline, south: South
) -> None:
    book = TagBook(main.store.engine, "main")
    record = msgspec.structs.replace(RECORD, started_at=stamp(NOON), ended_at=stamp(NOON + 60_000))
    book.remember([(record, E164)])
    await flush(main.store.engine)
    assert not await book.spoken_since(record.call_id, E164)
    await south.calls(NOON + 90_000)
    assert await book.spoken_since(record.call_id, E164)


async def test_callbacks_to_one_number_are_limited_over_all_sites(store: Store) -> None:
    main = Hotline(store, per_number_a_day=1)
    south = Hotline(store, per_number_a_day=1)
    south.config = south.config.model_copy(update={"site": SiteSettings(name="south")})
    south.restart()
    assert (await south.drop("9.1")).callback.decision is Decision.DUE
    record = await main.drop("1.1")
    assert record.callback == CallbackDecision(Decision.SUPPRESSED, "number_limit")


async def test_a_client_is_not_asked_for_a_rating_by_two_sites(store: Store) -> None:
    south, main = RatingLedger(store.engine, "south"), RatingLedger(store.engine, "main")
    await south.open(
        call_id="1.1", mode=Mode.STAY, line="support", operator=None, number=E164, client_masked=None,
        client_ref=None, at_ms=NOON,
    )  # fmt: skip
    # The same id at both sites is not the same call.
    assert await last_asked(store, main, E164, None, "1.1") == NOON
    assert await last_asked(store, south, E164, None, "1.1") is None


async def test_a_client_who_is_to_be_called_back_is_not_called_for_a_rating_by_another_site(
    main: Hotline, store: Store
) -> None:
    await main.drop()
    south = Hotline(store)
    south.config = south.config.model_copy(update={"site": SiteSettings(name="south")})
    south.restart()
    assert await south.ledger.opened() == []
    assert await south.ledger.open_to(E164)
    assert not await south.ledger.open_to("+79031234568")


def test_a_site_with_a_database_of_its_own_writes_nothing_of_this() -> None:
    assert not SitesFeature().wanted(Config())
    assert SitesFeature().wanted(Config(store=StoreSettings(url="postgresql://db/calls")))
