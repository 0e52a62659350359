"""Statuses that operators are given, by a stand-in for Asterisk that does what the dialplan would."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from callsteward.ari import events as ari
from callsteward.config import Config, Line, Operator, StatusesSettings
from callsteward.config.profile import Profile
from callsteward.exceptions import AriError
from callsteward.record.facts import (
    CallHappened,
    CallTagged,
    Happening,
    OperatorNow,
    OperatorState,
    OperatorStatus,
)
from callsteward.record.tag import Source, Tag
from callsteward.statuses import dialplan, setting
from callsteward.statuses.feature import StatusesFeature
from callsteward.statuses.ledger import StatusLedger
from callsteward.statuses.part import StatusesPart
from callsteward.store.records import Store
from callsteward.testing import StandIn

NOON = 1_795_345_200_000
PHONE, NO_QUEUE = "101", "102"
DEVICES = ("Queue:support_pause_PJSIP/101", "Queue:sales_pause_Local/101@from-queue/n")


class Pbx:
    """Stands for `Rest` and for dialplan/callsteward-statuses.conf."""

    def __init__(self) -> None:
        self.states = {
            "PJSIP/101": "NOT_INUSE",
            "PJSIP/102": "NOT_INUSE",
            **dict.fromkeys(DEVICES, "NOT_INUSE"),
        }
        self.marks: dict[str, str] = {}
        self.reasons: dict[str, str] = {}
        self.said: dict[str, str | None] = {}
        self.requests: list[str] = []
        self.included = "1"
        self.silent = False
        self.deaf = False
        self.refuse = False
        self.part: StatusesPart

    async def subscribe(self, _app: str, _sources: list[str]) -> None:
        pass

    async def device_state(self, device: str) -> str:
        return self.states.get(device, "INVALID")

    async def variable(self, _name: str) -> str:
        return self.included

    async def set_variable(self, name: str, value: str | None) -> None:
        self.said[name] = value

    async def originate(self, query: Mapping[str, str], variables: Mapping[str, str]) -> None:
        if self.refuse:
            message = "Asterisk answered 500"
            raise AriError(message)
        token, _, context = query["endpoint"].removeprefix("Local/").partition("@")
        verb = context.removeprefix("callsteward-status-")
        self.requests.append(verb)
        ours = kept = 0
        for member in filter(None, variables["CS_MEMBERS"].split(",")):
            device = "Queue:{}_pause_{}".format(*member.split("|"))
            mine = self.marks.get(device) == token
            if verb == "pause":
                if not mine and self.states[device] == "INUSE":
                    kept += 1
                    continue
                self.marks[device] = token
                self.reasons[device] = variables["CS_REASON"]
                self.change(device, "INUSE")
                ours += 1
            elif mine:
                del self.marks[device]
                ours += 1
                if verb == "unpause":
                    self.change(device, "NOT_INUSE")
        if not self.silent:
            self.user_event("callsteward-status", token=token, verb=verb, ours=str(ours), kept=str(kept))

    def change(self, device: str, state: str) -> None:
        """A device changes, and an event says so."""
        self.states[device] = state
        if not self.deaf:
            self.part.hear(ari.DeviceStateChanged(device_state=ari.DeviceState(device, state)))

    def user_event(self, name: str, channel: str = "Local/x@y-00000001;2", **fields: str) -> None:
        self.part.hear(
            ari.ChannelUserevent(eventname=name, userevent=dict(fields), channel=ari.Channel("1", channel))
        )


class Desk:
    """The part on a store, and its Asterisk."""

    def __init__(self, store: Store, *, codes: bool = True, **profile: float) -> None:
        self.store = store
        self.pbx = Pbx()
        self.now_ms = NOON
        self.config = Config(
            lines=(Line(name="hotline", queues=("support", "sales")),),
            profiles={"standard": Profile.model_validate(profile)},
            operators={PHONE: Operator(), NO_QUEUE: Operator()},
            statuses=StatusesSettings(codes=codes, reasons={"1": "lunch"}),
        )
        self.begin()

    def begin(self) -> None:
        """A new process of the daemon."""
        site = StandIn(
            self.store, self.config, [StatusesFeature()], now_ms=lambda: self.now_ms, rest=self.pbx
        )
        self.part = self.pbx.part = site.part(StatusesPart)

    async def ask(self, action: str, operator: str = PHONE, reason: str = "") -> tuple[str, str]:
        refused, result = await self.part.desk.ask(operator, action, reason=reason, by="a test")
        return refused, result

    def shown(self, operator: str = PHONE) -> tuple[OperatorStatus | None, str | None]:
        now = {item.operator: item for item in self.part.operators_now([])}[operator]
        return now.status, now.pause_reason

    def code(self, action: str, key: str = "", channel: str = "PJSIP/101-0000001c") -> None:
        self.pbx.user_event("callsteward-status-code", channel, do=action, key=key)

    def talks(self) -> None:
        """A talk with the operator begins."""
        self.part.told(
            CallHappened(
                call_id="1", line="hotline", event=Happening.ANSWERED, at_ms=self.now_ms, operator=PHONE
            )
        )

    def shown_in_talk(self) -> OperatorStatus | None:
        talking = OperatorNow(operator=PHONE, state=OperatorState.TALKING, since_ms=NOON)
        return {item.operator: item for item in self.part.operators_now([talking])}[PHONE].status

    async def until_paused(self, paused: bool) -> None:
        """Until Asterisk has the operator paused, or not."""
        async with asyncio.timeout(5):
            while (self.pbx.states[DEVICES[0]] == "INUSE") is not paused:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)

    def rings(self, status: str, member: str = "Local/101@from-queue", queue: str = "sales") -> None:
        """A ring of a queue ended."""
        position = ari.DialplanPosition(app_name="Queue", app_data=f"{queue},cT")
        caller = ari.Channel("1", "PJSIP/trunk-00000001", dialplan=position)
        peer = ari.Channel("2", f"{member}-0000000a;1" if "@" in member else f"{member}-0000000a")
        self.part.hear(ari.Dial(peer=peer, caller=caller, dialstatus=status))

    async def until(self, operator: str, status: OperatorStatus) -> None:
        async with asyncio.timeout(5):
            while self.shown(operator)[0] is not status:  # noqa: ASYNC110  # the part's own pace
                await asyncio.sleep(0.01)


@asynccontextmanager
async def at_work(desk: Desk) -> AsyncIterator[None]:
    await desk.part.load()
    desk.part.link(connected=True, why="")
    running = asyncio.create_task(desk.part.run())
    for _ in range(50):
        await asyncio.sleep(0)
    yield
    running.cancel()
    await asyncio.wait({running})


@pytest.fixture
def desk(store: Store) -> Desk:
    return Desk(store)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialplan, "REPORT_S", 0.05)
    monkeypatch.setattr(setting, "CONFIRM_S", 0.1)
    monkeypatch.setattr(setting, "AGAIN_S", 0.2)


async def test_busy_pauses_in_all_queues_and_back_puts_back(desk: Desk) -> None:
    async with at_work(desk):
        assert await desk.ask("busy", reason="lunch") == ("", "paused")
        assert [desk.pbx.states[device] for device in DEVICES] == ["INUSE", "INUSE"]
        assert {*desk.pbx.reasons.values()} == {"lunch"}
        assert desk.shown() == (OperatorStatus.PAUSED, "lunch")
        assert desk.part.cannot_take(PHONE, "hotline")
        assert await desk.ask("back") == ("", "back")
        assert [desk.pbx.states[device] for device in DEVICES] == ["NOT_INUSE", "NOT_INUSE"]
        assert desk.shown() == (OperatorStatus.FREE, None)
        assert await desk.ask("back") == ("", "nothing_to_end")
        assert desk.pbx.requests == ["pause", "unpause"]


async def test_away_after_busy_goes_on_under_the_same_mark(desk: Desk) -> None:
    async with at_work(desk):
        await desk.ask("busy", reason="lunch")
        marks = dict(desk.pbx.marks)
        assert await desk.ask("away") == ("", "away")
        assert desk.pbx.marks == marks
        assert desk.shown() == (OperatorStatus.AWAY, None)
        await desk.ask("back")
        assert desk.pbx.marks == {}


async def test_a_pause_of_somebody_else_stays(desk: Desk) -> None:
    desk.pbx.states[DEVICES[1]] = "INUSE"
    async with at_work(desk):
        await desk.ask("busy")
        await desk.ask("back")
        assert [desk.pbx.states[device] for device in DEVICES] == ["NOT_INUSE", "INUSE"]
        assert desk.shown() == (OperatorStatus.PAUSED, None)


async def test_who_is_put_back_by_somebody_else_is_free_and_nothing_is_left_to_undo(desk: Desk) -> None:
    async with at_work(desk):
        await desk.ask("busy")
        for device in DEVICES:
            desk.pbx.change(device, "NOT_INUSE")
        async with asyncio.timeout(5):
            while desk.pbx.marks:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert desk.shown() == (OperatorStatus.FREE, None)
        desk.pbx.change(DEVICES[0], "INUSE")
        await desk.ask("back")
        assert desk.pbx.states[DEVICES[0]] == "INUSE"


async def test_an_operator_in_no_queue_is_busy_by_their_own_word(desk: Desk) -> None:
    async with at_work(desk):
        assert await desk.ask("busy", NO_QUEUE, "lunch") == ("", "paused")
        assert desk.shown(NO_QUEUE) == (OperatorStatus.PAUSED, "lunch")
        assert desk.part.cannot_take(NO_QUEUE, "hotline")
        desk.pbx.change("PJSIP/102", "UNAVAILABLE")
        assert desk.shown(NO_QUEUE)[0] is OperatorStatus.UNREACHABLE
        await desk.ask("back", NO_QUEUE)
        assert not desk.pbx.marks


async def test_without_a_report_it_is_tried_again_and_not_shown_before(desk: Desk) -> None:
    desk.pbx.silent = True
    async with at_work(desk):
        assert await desk.ask("busy", NO_QUEUE) == ("", "goes_on")
        assert desk.shown(NO_QUEUE)[0] is OperatorStatus.FREE
        desk.pbx.silent = False
        await desk.until(NO_QUEUE, OperatorStatus.PAUSED)
        desk.pbx.refuse = True
        assert await desk.ask("back", NO_QUEUE) == ("", "goes_on")
        desk.pbx.refuse = False
        await desk.until(NO_QUEUE, OperatorStatus.FREE)


async def test_a_pause_that_the_devices_do_not_confirm_did_not_take(desk: Desk) -> None:
    desk.pbx.deaf = True
    async with at_work(desk):
        assert await desk.ask("busy") == ("", "goes_on")
        desk.pbx.deaf = False
        await desk.until(PHONE, OperatorStatus.PAUSED)


async def test_the_next_process_goes_on_with_what_was_left(desk: Desk) -> None:
    async with at_work(desk):
        await desk.ask("busy", reason="lunch")
    desk.begin()
    async with at_work(desk):
        assert desk.shown() == (OperatorStatus.PAUSED, "lunch")
        await desk.ask("back")
    desk.begin()
    async with at_work(desk):
        assert desk.shown() == (OperatorStatus.FREE, None)


async def test_asterisk_that_was_restarted_without_the_pauses_has_the_last_word(desk: Desk) -> None:
    async with at_work(desk):
        await desk.ask("busy")
        desk.part.link(connected=False, why="")
        desk.pbx.states |= dict.fromkeys(DEVICES, "NOT_INUSE")
        desk.part.link(connected=True, why="")
        await desk.until(PHONE, OperatorStatus.FREE)


@pytest.mark.parametrize(("operator", "refused"), [("PJSIP/9", "unknown_operator"), ("", "unknown_operator")])
async def test_an_operator_that_nobody_knows_is_refused(desk: Desk, operator: str, refused: str) -> None:
    async with at_work(desk):
        assert await desk.ask("busy", operator) == (refused, "")


async def test_what_is_missing_is_named(store: Store) -> None:
    off = Desk(store, codes=False)
    async with at_work(off):
        assert await off.ask("busy") == ("statuses_off", "")
    without = Desk(store)
    without.pbx.included = ""
    async with at_work(without):
        assert await without.ask("busy") == ("no_dialplan", "")
        without.part.link(connected=False, why="")
        assert await without.ask("busy") == ("asterisk_away", "")


@pytest.mark.parametrize(
    ("action", "key", "channel", "said"),
    [
        ("busy", "1", "PJSIP/101-0000001c", "taken"),
        ("busy", "", "PJSIP/101-0000001c", "taken"),
        ("busy", "7", "PJSIP/101-0000001c", "refused"),
        ("dance", "", "PJSIP/101-0000001c", "refused"),
        ("busy", "", "PJSIP/trunk-0000001c", "refused"),
        ("busy", "", "Local/101@x-0000001c;2", "refused"),
    ],
)
async def test_a_code_is_answered_on_the_phone(
    desk: Desk, action: str, key: str, channel: str, said: str
) -> None:
    async with at_work(desk):
        desk.code(action, key, channel)
        async with asyncio.timeout(5):
            while not desk.pbx.said:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert [*desk.pbx.said.values()] == [said]
        assert (desk.shown()[0] is OperatorStatus.PAUSED) == (said == "taken")


async def test_who_does_not_answer_three_times_in_a_row_is_away_until_back(store: Store) -> None:
    desk = Desk(store, away_after_unanswered=3)
    async with at_work(desk):
        desk.rings("NOANSWER")
        desk.rings("NOANSWER", "PJSIP/101")
        # A colleague was faster, and another client left: neither says anything.
        desk.rings("CANCEL")
        desk.rings("NOANSWER", queue="elsewhere")
        await asyncio.sleep(0.05)
        assert desk.shown()[0] is OperatorStatus.FREE
        desk.rings("NOANSWER")
        await desk.until(PHONE, OperatorStatus.AWAY)
        assert desk.shown() == (OperatorStatus.AWAY, "not answering")
        assert await desk.ask("back") == ("", "back")
        assert desk.shown() == (OperatorStatus.FREE, None)


async def test_an_answer_in_between_begins_the_count_anew(store: Store) -> None:
    desk = Desk(store, away_after_unanswered=2)
    async with at_work(desk):
        for status in ("NOANSWER", "ANSWER", "NOANSWER"):
            desk.rings(status)
        desk.part.link(connected=False, why="")
        desk.part.link(connected=True, why="")
        for _ in range(50):
            await asyncio.sleep(0)
        desk.rings("NOANSWER")
        await asyncio.sleep(0.05)
        assert desk.shown()[0] is OperatorStatus.FREE


async def test_nobody_is_set_away_by_default(desk: Desk) -> None:
    async with at_work(desk):
        for _ in range(20):
            desk.rings("NOANSWER")
        await asyncio.sleep(0.05)
        assert desk.shown()[0] is OperatorStatus.FREE


async def test_a_member_is_paused_in_the_talk_and_put_back_when_the_wrap_up_is_over(store: Store) -> None:
    desk = Desk(store, wrap_up_s=30)
    async with at_work(desk):
        desk.talks()
        await desk.until_paused(True)
        assert desk.shown_in_talk() is OperatorStatus.TALKING
        # The talk is over.
        assert desk.shown()[0] is OperatorStatus.WRAP_UP
        assert desk.part.cannot_take(PHONE, "hotline")
        await asyncio.sleep(0.05)
        desk.now_ms += 29_000
        await asyncio.sleep(0.4)
        assert desk.shown()[0] is OperatorStatus.WRAP_UP
        desk.now_ms += 2_000
        await desk.until_paused(False)
        assert desk.shown() == (OperatorStatus.FREE, None)


async def test_ready_and_a_registered_call_end_the_wrap_up(store: Store) -> None:
    desk = Desk(store, wrap_up_s=30)
    registered = CallTagged(
        call_id="1", line="hotline", tag=Tag.REGISTERED, at_ms=NOON, by=PHONE, source=Source.PHONE
    )
    async with at_work(desk):
        desk.talks()
        await desk.until_paused(True)
        desk.shown()
        assert await desk.ask("ready") == ("", "back")
        for in_the_talk in (True, False):
            desk.talks()
            await desk.until_paused(True)
            if in_the_talk:
                desk.part.told(registered)
                desk.shown_in_talk()
            desk.shown()
            await asyncio.sleep(0.05)
            if not in_the_talk:
                desk.part.told(registered)
                desk.shown()
            await desk.until_paused(False)


async def test_ready_ends_no_lunch_and_a_talk_begins_no_wrap_up_in_it(store: Store) -> None:
    desk = Desk(store, wrap_up_s=30)
    async with at_work(desk):
        await desk.ask("busy", reason="lunch")
        desk.talks()
        await asyncio.sleep(0.05)
        assert await desk.ask("ready") == ("", "nothing_to_end")
        assert desk.shown() == (OperatorStatus.PAUSED, "lunch")


async def test_a_talk_that_an_earlier_process_saw_has_its_wrap_up(store: Store) -> None:
    desk = Desk(store, wrap_up_s=30)
    async with at_work(desk):
        desk.talks()
        await desk.until_paused(True)
    desk.begin()
    async with at_work(desk):
        assert desk.shown_in_talk() is OperatorStatus.TALKING
        assert desk.shown()[0] is OperatorStatus.WRAP_UP
        await asyncio.sleep(0.05)
        desk.now_ms += 31_000
        await desk.until_paused(False)


async def test_what_was_over_for_long_is_forgotten_and_what_is_open_stays(desk: Desk) -> None:
    async with at_work(desk):
        await desk.ask("busy", NO_QUEUE)
        await desk.ask("back", NO_QUEUE)
        await desk.ask("busy")
        ledger = StatusLedger(desk.store.engine, "main")
        assert await ledger.forget(NOON) == 0
        assert await ledger.forget(NOON + 1) == 1
        assert [given.operator for given in await ledger.opened()] == [PHONE]
