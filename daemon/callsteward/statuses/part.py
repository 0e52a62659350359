"""Operators' statuses in the daemon: devices are watched, and the gauges of operators have the status."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
import structlog

from callsteward.ari import events as ari
from callsteward.clock import DAY_MS
from callsteward.config import Config
from callsteward.exceptions import StoreError
from callsteward.network.waiting import together
from callsteward.part import Part, Site
from callsteward.record.facts import LineNow, OperatorNow, OperatorState, OperatorStatus
from callsteward.statuses.alerts import StatusAlerts
from callsteward.statuses.asked import StatusDesk
from callsteward.statuses.asking import Asking
from callsteward.statuses.codes import CODE_DIALLED, StatusCodes
from callsteward.statuses.devices import Devices, pause_device
from callsteward.statuses.dialplan import EVENT as REPORT
from callsteward.statuses.dialplan import StatusDialplan
from callsteward.statuses.ledger import StatusLedger
from callsteward.statuses.seen import Seen
from callsteward.statuses.setting import Setting
from callsteward.statuses.unanswered import Unanswered, UnansweredRings
from callsteward.statuses.wrap_up import WrapUps
from callsteward.store.forgetting import hourly

log = structlog.get_logger(__name__)

ALERTS_EVERY_S = 1.0
NOT_ANSWERED = "not answering"
ABSENT_AT_ONCE = 100
# With wrap-up there is one for each talk.
KEPT_DAYS = 400
# Where nothing else is against an operator's own word.
_AT_HAND = frozenset({OperatorStatus.FREE, OperatorStatus.UNKNOWN})


class StatusesPart(Part):
    def __init__(self, site: Site) -> None:
        self._site = site
        self._config = site.config
        self._shown: tuple[list[LineNow], list[OperatorNow]] = ([], [])
        self._devices = Devices(site.config)
        self.seen = Seen(self._devices)
        # Since when nothing is known: the connection's loss, or the start.
        self._unknown_ms = site.now_ms()
        self._asking = Asking(
            site.rest,
            site.config.asterisk.app,
            self.seen,
            reread_s=site.config.statuses.reread_s,
            now_ms=site.now_ms,
            changed=site.changed,
            first=self._look if site.config.statuses.codes else None,
        )

        self._alerts = self._alerts_by(site.config)
        self._dialplan = StatusDialplan(site.rest)
        self._ledger = StatusLedger(site.store.engine, site.name)
        self._setting = Setting(
            self._ledger,
            self._dialplan,
            seen=lambda: self.seen,
            known=lambda: self._asking.known and self._dialplan.included,
            now_ms=site.now_ms,
            changed=site.changed,
        )
        self.desk = StatusDesk(self._setting, known=self._is_operator, may=self._may_not)
        self._codes = StatusCodes(site.config, site.rest, self.desk)

        self._unanswered = UnansweredRings(site.config, self._devices.whose)
        self._wrap_ups = WrapUps(site.config, self._setting, may=self._may_not, now_ms=site.now_ms)
        self._absent: asyncio.Queue[Unanswered] = asyncio.Queue(ABSENT_AT_ONCE)

    @property
    def _codes_on(self) -> bool:
        return self._site.config.statuses.codes

    async def _look(self) -> None:
        """Ask on each connection whether the dialplan is there."""
        await self._dialplan.look()

    async def load(self) -> None:
        if self._codes_on:
            await self._setting.load()

    def _is_operator(self, operator: str) -> bool:
        return operator in self._devices.of

    def _may_not(self) -> str:
        """Why nobody can be given a status now, empty if they can."""
        if not self._codes_on:
            return "statuses_off"
        if not self._asking.known:
            return "asterisk_away"
        return "" if self._dialplan.included else "no_dialplan"

    def _alerts_by(self, config: Config) -> StatusAlerts:
        lines = [line.name for line in config.lines] or [config.default_line]
        return StatusAlerts(config.statuses, lines, self._roster)

    def _roster(self, line: str) -> Sequence[str]:
        """The operators of a line: those it names, and the members of its queues; else everybody."""
        of_line = self._config.line(line)
        return list(dict.fromkeys((*of_line.operators, *self.seen.members_of(of_line.queues)))) or [
            *self._config.operators
        ]

    def hear(self, event: ari.Event) -> None:
        # Events of a journal say what was: nothing is known before there is a connection.
        if not self._asking.linked:
            return
        if isinstance(event, ari.DeviceStateChanged):
            at_ms = ari.epoch_ms(event.timestamp)
            device = event.device_state
            if self.seen.hear(device.name, device.state, self._site.now_ms() if at_ms is None else at_ms):
                self._site.changed()
                self._setting.look_again()
        elif isinstance(event, ari.ChannelUserevent):
            if event.eventname == REPORT:
                self._dialplan.hear(event)
            elif event.eventname == CODE_DIALLED and self._codes_on:
                self._codes.hear(event)
        elif isinstance(event, ari.Dial):
            # A queue rings a member by the name that the member has there.
            if event.caller is not None and event.caller.dialplan.app_name == "Queue" and event.dialstring:
                queue = event.caller.dialplan.app_data.partition(",")[0]
                if self._devices.rang(queue, event.dialstring):
                    self._asking.again()
                self.seen.rang(pause_device(queue, event.dialstring))
            absent = self._unanswered.hear(event) if self._codes_on and self._unanswered.wanted else None
            if absent is not None and not self._absent.full():
                self._absent.put_nowait(absent)
        elif isinstance(event, ari.Snapshot):
            self._asking.again()

    def cannot_take(self, operator: str, line: str) -> bool:
        """True if an operator is not to be rung for a line: paused there, or their phone cannot be reached.

        Nothing is held against them while Asterisk has not said it.
        """
        if not self._asking.linked:
            return False
        return (
            self._setting.given(operator) is not None
            or not self.seen.reachable(operator)
            or self.seen.paused_in(operator, self._config.line(line).queues)
        )

    def shown(self, lines: list[LineNow], operators: list[OperatorNow], now_ms: int) -> None:
        del now_ms
        self._shown = (lines, operators)

    def link(self, connected: bool, why: str) -> None:
        del why
        self._unknown_ms = self._site.now_ms()
        self._asking.link(connected)
        self._unanswered.forget()
        self._setting.look_again()
        self._site.changed()

    def reconfigure(self, config: Config) -> None:
        self._config = config
        self._alerts = self._alerts_by(config)
        self._wrap_ups.reconfigure(config)
        found = self._devices.found
        self._devices = Devices(config)
        for queue, interface in found:
            self._devices.rang(queue, interface)
        self._unanswered = UnansweredRings(config, self._devices.whose)
        self.seen = self.seen.of(self._devices)
        self._asking.look_at(self.seen)
        self._site.changed()

    def told(self, fact: object) -> None:
        if self._codes_on:
            self._wrap_ups.told(fact)

    def operators_now(self, operators: list[OperatorNow]) -> list[OperatorNow]:
        on_call = {operator.operator: operator for operator in operators}
        if self._asking.known:
            self._wrap_ups.look(on_call.keys())
        for name in self._devices.operators:
            if name not in on_call:
                on_call[name] = OperatorNow(operator=name, state=OperatorState.IDLE, since_ms=0)
        return [self._with_status(operator) for operator in on_call.values()]

    def _with_status(self, now: OperatorNow) -> OperatorNow:
        at_rest = self.seen.at_rest(now.operator)
        status, since_ms = at_rest.status, at_rest.since_ms
        if not self._asking.linked:
            # Calls may have ended meanwhile, too.
            status, since_ms = OperatorStatus.UNKNOWN, self._unknown_ms
        elif now.state is not OperatorState.IDLE:
            status, since_ms = OperatorStatus(now.state.value), now.since_ms
        given = self._setting.given(now.operator)
        # Without queues nothing but the operator says it; with queues Asterisk has to say it, too.
        if given is not None and (
            status is OperatorStatus.PAUSED or (status in _AT_HAND and not given.members)
        ):
            status, since_ms = given.status, max(given.asked_at_ms, since_ms or 0)
        queues = at_rest.paused_queues
        return msgspec.structs.replace(
            now,
            status=status,
            status_since_ms=self._unknown_ms if since_ms is None else since_ms,
            paused_queues=None if queues is None else len(queues),
            paused_since_ms=at_rest.paused_since_ms,
            pause_reason=None if given is None else given.reason or None,
        )

    async def run(self) -> None:
        works = [self._asking.run(), self._alert()]
        if self._codes_on:
            works += [self._setting.run(), self._codes.run(), self._set_away(), self._wrap_ups.run()]
            works.append(
                hourly(self._forget, failing="old statuses are not forgotten", action="status_forget")
            )
        await together(*works)

    async def _forget(self) -> None:
        """Statuses that are past their time."""
        await self._ledger.forget(self._site.now_ms() - KEPT_DAYS * DAY_MS)

    async def _set_away(self) -> None:
        """Operators who do not answer are away."""
        while True:
            absent = await self._absent.get()
            if self._setting.has(absent.operator) or self._may_not():
                continue
            by = f"callsteward: not answered {absent.times} times in a row"
            try:
                await self._setting.begin(
                    absent.operator, OperatorStatus.AWAY, reason=NOT_ANSWERED, given_by=by
                )
            except StoreError as error:
                log.warning("an operator cannot be set away", action="status_store", error=str(error))

    async def _alert(self) -> None:
        while True:
            if self._alerts.wanted:
                for alert in self._alerts.look(*self._shown, self._site.now_ms()):
                    self._site.publish(alert)
            await asyncio.sleep(ALERTS_EVERY_S)
