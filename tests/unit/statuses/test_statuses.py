"""Operators' statuses, by a stand-in for Asterisk that has the device states a test gives it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from callsteward.ari import events as ari
from callsteward.ari.link import devices
from callsteward.config import Config, Endpoints, Line, Operator, StatusesSettings
from callsteward.exceptions import AriError
from callsteward.record.facts import OperatorNow, OperatorState, OperatorStatus
from callsteward.statuses.feature import StatusesFeature
from callsteward.statuses.part import StatusesPart
from callsteward.store.records import Store
from callsteward.testing import StandIn

NOON = 1_795_345_200_000
QUEUES = ("support", "sales")
PHONE = "PJSIP/101"
IN_SUPPORT = "Queue:support_pause_PJSIP/101"
IN_SALES = "Queue:sales_pause_PJSIP/101"
LOCAL_IN_SUPPORT = "Queue:support_pause_Local/101@from-queue/n"


class Pbx:
    """Stands for `Rest`: has device states, and keeps what was subscribed to."""

    def __init__(self) -> None:
        self.states: dict[str, str] = {PHONE: "NOT_INUSE"}
        self.subscribed: list[str] = []
        self.refuses = False
        self.asked = 0
        self.before_answer: Callable[[], None] = lambda: None

    async def subscribe(self, _app: str, sources: list[str]) -> None:
        if self.refuses:
            message = "Asterisk does not answer"
            raise AriError(message)
        self.subscribed = sources

    async def device_state(self, device: str) -> str:
        self.asked += 1
        state = self.states.get(device, "INVALID")
        self.before_answer()
        return state


class Site:
    """A site with the part, whose clock and Asterisk the test moves."""

    def __init__(self, store: Store, config: Config) -> None:
        self.pbx = Pbx()
        self.now_ms = NOON
        self.stand_in = StandIn(store, config, [StatusesFeature()], now_ms=lambda: self.now_ms, rest=self.pbx)
        self.part = self.stand_in.part(StatusesPart)

    def hear(self, device: str, state: str, at_ms: int) -> None:
        self.part.hear(
            ari.DeviceStateChanged(
                timestamp=ari.timestamp(at_ms), device_state=ari.DeviceState(name=device, state=state)
            )
        )

    def rang(self, queue: str, interface: str) -> None:
        """A queue rings a member."""
        position = ari.DialplanPosition(app_name="Queue", app_data=f"{queue},cT,,,300")
        caller = ari.Channel(id="1", name="PJSIP/trunk-00000001", dialplan=position)
        peer = ari.Channel(id="2", name="PJSIP/101-00000002")
        self.part.hear(ari.Dial(peer=peer, caller=caller, dialstring=interface))

    def now(self, *on_call: OperatorNow) -> dict[str, OperatorNow]:
        return {item.operator: item for item in self.part.operators_now(list(on_call))}

    def status(self, operator: str = "101") -> tuple[OperatorStatus | None, int | None, int | None]:
        now = self.now()[operator]
        since_ms = now.status_since_ms
        return now.status, None if since_ms is None else since_ms - NOON, now.paused_queues


def config(**statuses: object) -> Config:
    return Config(
        lines=(Line(name="hotline", queues=QUEUES),),
        operators={"101": Operator()},
        statuses=StatusesSettings.model_validate(statuses),
    )


@pytest.fixture
async def site(store: Store) -> Site:
    return Site(store, config())


@asynccontextmanager
async def linked(site: Site) -> AsyncIterator[None]:
    """The part at work, after it has asked everything once."""
    site.part.link(connected=True, why="")
    running = asyncio.create_task(site.part.run())
    await settled(site)
    yield
    running.cancel()
    await asyncio.wait({running})


async def settled(site: Site) -> None:
    """Until the part asks nothing more."""
    before = -1
    while before != site.pbx.asked:
        before = site.pbx.asked
        for _ in range(20):
            await asyncio.sleep(0)


async def test_until_asterisk_has_said_something_the_status_is_unknown(site: Site) -> None:
    assert site.status() == (OperatorStatus.UNKNOWN, 0, None)
    site.now_ms += 5_000
    site.part.link(connected=True, why="")
    assert site.status() == (OperatorStatus.UNKNOWN, 5_000, None)


async def test_events_of_a_journal_say_nothing_of_the_present(site: Site) -> None:
    site.hear(PHONE, "NOT_INUSE", NOON)
    site.part.link(connected=True, why="")
    assert site.status() == (OperatorStatus.UNKNOWN, 0, None)


async def test_phones_and_pauses_are_subscribed_to_and_then_read(site: Site) -> None:
    site.pbx.states[IN_SUPPORT] = "NOT_INUSE"
    async with linked(site):
        assert site.pbx.subscribed == [
            f"deviceState:{device}"
            for device in (
                PHONE,
                IN_SUPPORT,
                LOCAL_IN_SUPPORT,
                IN_SALES,
                "Queue:sales_pause_Local/101@from-queue/n",
            )
        ]
        assert site.status() == (OperatorStatus.FREE, 0, 0)


async def test_a_phone_that_is_lost_is_unreachable_and_free_when_it_is_back(site: Site) -> None:
    async with linked(site):
        site.hear(PHONE, "UNAVAILABLE", NOON + 1_000)
        assert site.status() == (OperatorStatus.UNREACHABLE, 1_000, None)
        site.hear(PHONE, "NOT_INUSE", NOON + 2_000)
        assert site.status() == (OperatorStatus.FREE, 2_000, None)


async def test_a_pause_is_since_the_first_queue_and_ends_with_the_last(site: Site) -> None:
    site.pbx.states |= {IN_SUPPORT: "NOT_INUSE", IN_SALES: "NOT_INUSE"}
    async with linked(site):
        site.hear(IN_SUPPORT, "INUSE", NOON + 1_000)
        assert site.status() == (OperatorStatus.PAUSED, 1_000, 1)
        site.hear(IN_SALES, "INUSE", NOON + 3_000)
        # Each change arrives twice.
        site.hear(IN_SALES, "INUSE", NOON + 3_001)
        assert site.status() == (OperatorStatus.PAUSED, 1_000, 2)
        assert site.now()["101"].paused_since_ms == NOON + 1_000
        site.hear(IN_SUPPORT, "NOT_INUSE", NOON + 8_000)
        site.hear(IN_SALES, "NOT_INUSE", NOON + 9_000)
        assert site.status() == (OperatorStatus.FREE, 9_000, 0)


async def test_who_is_rung_by_another_queue_is_free_for_it_until_paused_there_too(site: Site) -> None:
    site.pbx.states |= {IN_SUPPORT: "INUSE", IN_SALES: "NOT_INUSE"}
    async with linked(site):
        site.rang("sales", PHONE)
        assert site.status() == (OperatorStatus.FREE, 0, 1)
        site.hear(IN_SALES, "INUSE", NOON + 3_000)
        assert site.status() == (OperatorStatus.PAUSED, 0, 2)
        # Unpaused there, or gone from there: Asterisk says the same of both.
        site.hear(IN_SALES, "NOT_INUSE", NOON + 4_000)
        assert site.status() == (OperatorStatus.PAUSED, 0, 1)


async def test_a_member_under_another_name_is_the_same_operator(site: Site) -> None:
    site.pbx.states[LOCAL_IN_SUPPORT] = "INUSE"
    async with linked(site):
        assert site.status() == (OperatorStatus.PAUSED, 0, 1)


async def test_a_call_comes_before_a_pause(site: Site) -> None:
    site.pbx.states[IN_SUPPORT] = "INUSE"
    async with linked(site):
        talking = OperatorNow(operator="101", state=OperatorState.TALKING, since_ms=NOON + 7)
        now = site.now(talking)["101"]
        assert (now.status, now.status_since_ms) == (OperatorStatus.TALKING, NOON + 7)
        assert (now.paused_queues, now.paused_since_ms) == (1, NOON)


async def test_paused_after_a_talk_is_since_the_talk_ended(site: Site) -> None:
    site.pbx.states[IN_SUPPORT] = "INUSE"
    async with linked(site):
        site.hear(PHONE, "INUSE", NOON + 1_000)
        site.hear(PHONE, "NOT_INUSE", NOON + 61_000)
        assert site.status() == (OperatorStatus.PAUSED, 61_000, 1)


async def test_a_lost_connection_makes_everything_unknown_and_all_is_asked_anew(site: Site) -> None:
    site.pbx.states[IN_SUPPORT] = "INUSE"
    async with linked(site):
        assert site.status()[0] is OperatorStatus.PAUSED
        site.now_ms += 60_000
        site.part.link(connected=False, why="gone")
        assert site.status() == (OperatorStatus.UNKNOWN, 60_000, None)
        talking = OperatorNow(operator="101", state=OperatorState.TALKING, since_ms=NOON)
        assert site.now(talking)["101"].status is OperatorStatus.UNKNOWN
        # Asterisk was restarted, and has forgotten the pause.
        site.pbx.states[IN_SUPPORT] = "NOT_INUSE"
        site.now_ms += 5_000
        site.part.link(connected=True, why="")
        await settled(site)
        assert site.status() == (OperatorStatus.FREE, 65_000, 0)


async def test_an_answer_from_before_an_event_does_not_undo_it(site: Site) -> None:
    site.pbx.states[IN_SUPPORT] = "NOT_INUSE"

    def paused_meanwhile() -> None:
        site.pbx.before_answer = lambda: None
        site.hear(PHONE, "UNAVAILABLE", NOON)

    site.pbx.before_answer = paused_meanwhile
    async with linked(site):
        assert site.status()[0] is OperatorStatus.UNREACHABLE


async def test_an_asterisk_that_does_not_answer_is_asked_again(site: Site) -> None:
    site.pbx.refuses = True
    async with linked(site):
        assert site.status()[0] is OperatorStatus.UNKNOWN
        site.pbx.refuses = False
        async with asyncio.timeout(5):
            while site.status()[0] is OperatorStatus.UNKNOWN:  # noqa: ASYNC110  # the clock's own
                await asyncio.sleep(0.05)
        assert site.status()[0] is OperatorStatus.FREE


async def test_a_phone_that_asterisk_does_not_have_is_unknown(site: Site) -> None:
    site.pbx.states[PHONE] = "INVALID"
    async with linked(site):
        assert site.status()[0] is OperatorStatus.UNKNOWN


async def test_a_member_that_a_queue_rings_is_found(site: Site) -> None:
    site.pbx.states["Queue:night_pause_Local/102@agents/n"] = "INUSE"
    async with linked(site):
        site.rang("night", "Local/102@agents/n")
        await settled(site)
        assert "deviceState:Queue:night_pause_Local/102@agents/n" in site.pbx.subscribed
        assert site.status("102") == (OperatorStatus.PAUSED, 0, 1)
        asked = site.pbx.asked
        site.rang("night", "Local/102@agents/n")
        await settled(site)
        assert site.pbx.asked == asked


@pytest.mark.parametrize(
    "interface", ["PJSIP/79031234567@trunk", "Local/a,b@x", "", "Local/" + "1" * 200, "x"]
)
async def test_a_member_that_is_nobody_known_is_not_followed(site: Site, interface: str) -> None:
    async with linked(site):
        site.rang("night", interface)
        await settled(site)
        assert len(site.pbx.subscribed) == 5
        assert [*site.now()] == ["101"]


async def test_a_snapshot_makes_it_ask_again(site: Site) -> None:
    async with linked(site):
        site.pbx.states[PHONE] = "UNAVAILABLE"
        site.part.hear(ari.Snapshot(channels=(), bridges=()))
        await settled(site)
        assert site.status()[0] is OperatorStatus.UNREACHABLE


async def test_a_new_configuration_counts_at_once(site: Site) -> None:
    async with linked(site):
        site.pbx.states["PJSIP/102"] = "UNAVAILABLE"
        site.now_ms += 1_000
        site.part.reconfigure(
            Config(lines=(Line(name="hotline", queues=("support",)),), operators={"101": {}, "102": {}})
        )
        await settled(site)
        assert site.status() == (OperatorStatus.FREE, 0, None)
        assert site.status("102") == (OperatorStatus.UNREACHABLE, 1_000, None)


async def test_paused_in_a_lines_queues_is_told_apart_from_elsewhere(site: Site) -> None:
    site.pbx.states |= {IN_SUPPORT: "INUSE", IN_SALES: "NOT_INUSE"}
    async with linked(site):
        seen = site.part.seen
        assert seen.paused_in("101", frozenset({"support"}))
        assert not seen.paused_in("101", frozenset({"sales"}))
        # In none of these: wherever else they are.
        assert seen.paused_in("101", frozenset({"night"}))


@pytest.mark.parametrize(
    ("patterns", "operator", "device"),
    [
        ((), "101", "PJSIP/101"),
        (("SIP/1[0-9][0-9]",), "101", "SIP/101"),
        (("SIP/2*", "DAHDI/*"), "101", "DAHDI/101"),
        (("PJSIP/1[0-9][0-9]",), "SIP/7", "SIP/7"),
    ],
)
def test_a_phone_is_of_the_driver_that_the_endpoints_name(
    patterns: tuple[str, ...], operator: str, device: str
) -> None:
    config = Config(endpoints=Endpoints(operators=patterns), operators={operator: Operator()})
    assert devices(config) == {device: operator}
