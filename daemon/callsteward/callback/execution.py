"""Carrying callbacks out: which operator's phone rings, and with what result.

The client is dialled by the dialplan behind the fence (dialplan/callsteward-callback.conf), never from here.
An operator's phone rings only after the ledger's step `offered`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from callsteward.ari import events as ari
from callsteward.ari.rest import Rest
from callsteward.callback import signals
from callsteward.callback.decisions import CallbackDecisions
from callsteward.callback.dialplan import CallbackDialplan
from callsteward.callback.elsewhere import Elsewhere
from callsteward.callback.hearing import Hearing
from callsteward.callback.ledger import CallbackLedger
from callsteward.callback.operators import choose
from callsteward.callback.permission import Permission
from callsteward.callback.signals import CallbackReport
from callsteward.callback.states import CallbackMoved, CallbackRow, CallbackState
from callsteward.callback.steps import Steps
from callsteward.callback.sticky import Sticky
from callsteward.callback.strays import Strays
from callsteward.config import Config
from callsteward.outgoing.contacts import Contacts
from callsteward.outgoing.may import May
from callsteward.outgoing.words import Actor, Against
from callsteward.outgoing.work import Work
from callsteward.record.callback_id import channel_id
from callsteward.record.facts import Alert, OperatorNow

_UNREACHABLE = frozenset({"UNAVAILABLE", "INVALID"})


class Execution(Work[CallbackRow, CallbackState]):
    """Works until cancelled. `publish` gets the facts to publish.

    `cannot_take`: whether an operator is not to be rung for a line now, by their status.
    """

    def __init__(
        self,
        config: Config,
        *,
        may: May,
        decisions: CallbackDecisions,
        ledger: CallbackLedger,
        contacts: Contacts,
        rest: Rest,
        operators_now: Callable[[], Iterable[OperatorNow]],
        cannot_take: Callable[[str, str], bool],
        now_ms: Callable[[], int],
        publish: Callable[[CallbackMoved | Alert], None],
        steady_ms: Callable[[], int],
    ) -> None:
        self._config = config
        self._settings = config.callback
        self._may = may
        self._decisions = decisions
        self._operators_now = operators_now
        self._cannot_take = cannot_take
        self._tell = publish
        self._said: object = None
        self._dialplan = CallbackDialplan(config, rest)
        super().__init__(
            ledger, self._dialplan, config.callback, now_ms=now_ms, steady_ms=steady_ms, publish=self._say
        )
        self._steps = Steps(self, decisions, self._say)
        self._elsewhere = Elsewhere(self, ledger, contacts)
        self._permission = Permission(self, ledger, self._dialplan, self._elsewhere)
        self._hearing = Hearing(self, ledger, self._steps, self._dialplan, self._permission)
        self._sticky = Sticky(config, ledger, self._dialplan, now_ms=now_ms)
        self._strays = Strays(ledger, rest, self._dialplan, self._steps, self._say)
        self._unreachable: set[str] = set()

    def hear(self, event: ari.Event) -> None:
        """Take in an event from Asterisk or from the journal. Does not wait."""
        if isinstance(event, ari.DeviceStateChanged):
            name = event.device_state.name
            if event.device_state.state in _UNREACHABLE:
                self._unreachable.add(name)
            else:
                self._unreachable.discard(name)
                # Of every call several such events come.
                self.wake_for_open()
            return
        self.said(signals.read(event))

    def told(self, fact: CallbackMoved) -> None:
        """A callback was written down, or somebody else cancelled it: hang up the phone that rings for it."""
        if fact is not self._said:
            self._steps.told(fact)

    def _say(self, fact: CallbackMoved | Alert) -> None:
        """Publish to the feed and to all parts; this part gets it back in `told`."""
        self._said = fact
        self._tell(fact)

    def link(self, connected: bool) -> None:
        """The link was made, or lost: ask Asterisk what happened in between."""
        self._strays.linked()
        self._steps.dialled.clear()
        self._sticky.linked()
        super().link(connected)

    async def _take(self, item: CallbackReport) -> None:
        await self._hearing.take(item)

    def _moved(self, row: CallbackRow, to: CallbackState, reason: str) -> None:
        self._steps.moved(row, to, reason)

    def _patience_s(self, row: CallbackRow) -> float:
        settings = self._settings
        if row.state is CallbackState.OFFERED:
            return settings.operator_ring_s
        return settings.press_1_s if row.state is CallbackState.OPERATOR_ANSWERED else settings.ring_s

    def _rings(self, row: CallbackRow) -> bool:
        # If this process has not followed the dial from its beginning, operator and client may be talking:
        # nobody is cut off.
        return row.id in self._steps.dialled

    async def _callable(self, opened: list[CallbackRow]) -> list[CallbackRow]:
        opened = await super()._callable(opened)
        return await self._ledger.opened() if opened and await self._elsewhere.cancel() else opened

    async def _prepare(self, opened: Sequence[CallbackRow]) -> None:
        if self.linked:
            await self._strays.look()
        await self._permission.take_back(opened)
        if opened and self.linked:
            await self._dialplan.look()
        # Before any phone rings: the client may be calling again at this moment.
        await self._sticky.work(opened, self._decisions.lost_operators, linked=self.linked)
        await self._strays.notice_others(opened, linked=self.linked)

    async def _go_on(self, opened: Sequence[CallbackRow]) -> None:
        busy = self._busy(opened)
        for callback in opened:
            if callback.state is CallbackState.DUE and not self._decisions.judging:
                asked = await self._next(callback, busy)
                if asked is not None:
                    busy.add(asked)

    # --- who is asked --------------------------------------------------------------------------------

    def _busy(self, opened: Iterable[CallbackRow]) -> set[str]:
        """Operators who cannot be asked now: on a call, unreachable, or being asked already."""
        busy = {item.operator for item in self._operators_now()}
        busy |= {name for name in self._config.operators if self._dialplan.phone(name) in self._unreachable}
        busy |= {callback.asked for callback in opened if callback.asked is not None}
        return busy

    async def _next(self, callback: CallbackRow, busy: set[str]) -> str | None:
        """Take a due callback one step on. Returns the operator who is asked, if one is."""
        settings, steps = self._settings, self._steps
        steps.alert_late(callback, settings.alert_s)
        own_ms = steps.own_ms(callback)
        if own_ms - callback.created_at_ms > settings.expire_s * 1000:
            if await self.move(callback, CallbackState.EXPIRED, reason="nobody_free") is not None:
                steps.alert(callback, "callback_expired", settings.expire_s, callback.created_at_ms)
            return None
        number = await self._number(callback)
        if number is None or not self.may_begin() or self._decisions.being_called(callback):
            return None
        tried = steps.tried.setdefault(callback.id, {})
        lost = self._decisions.lost_operators.get(callback.id)
        if lost is not None:
            # The operator's own connection broke: ask the others first.
            tried.setdefault(lost, callback.created_at_ms)
        of_line = self._config.line(callback.line).operators or self._config.operators
        # Paused, away, in wrap-up or not reachable: they are not rung. A wrap-up that ends in time is waited
        # for, since for `same_operator_s` nobody else is asked.
        asked = dict.fromkeys((*of_line, callback.operator or ""))
        resting = {name for name in asked if name and self._cannot_take(name, callback.line)}
        operator = choose(callback, settings, of_line, busy=busy | resting, tried=tried, now_ms=own_ms)
        if operator is not None:
            await self._offer(callback, operator, number)
        return operator

    async def _number(self, callback: CallbackRow) -> str | None:
        """The number to dial. None, after writing down why, if the client may not be called any more."""
        now_ms = self._now_ms()
        # By the steady clock, so that a clock set since the drop makes no difference.
        dropped_ms = now_ms - self.ages.of_ms(callback.id, callback.dropped_at_ms)
        client = await self._may.call(
            callback.number or "", callback.line, at_ms=now_ms, dropped_ms=dropped_ms
        )
        if client.never == Against.DO_NOT_CALL.value:
            await self.stop(callback)
        elif client.never is not None or not client.now:
            why = client.never or Against.CALLING_HOURS.value
            await self.move(callback, CallbackState.SUPPRESSED, reason=why)
        else:
            return client.number
        return None

    async def _offer(self, callback: CallbackRow, operator: str, number: str) -> None:
        """Write the offer down, then ring the operator.

        After a kill in between, the next process knows that a phone may be ringing, and rings no second one.
        """
        channel = channel_id(callback.id, callback.attempts + 1, callback.line)
        offered = await self.move(
            callback, CallbackState.OFFERED, asked=operator, channel=channel, among=(CallbackState.DUE,)
        )
        if offered is None:
            return
        self.begun(callback)
        error = await self._dialplan.ring(offered, operator, number, self._now_ms())
        if error is None:
            return
        if await self._dialplan.lives(channel) is False:
            self._steps.tried.setdefault(callback.id, {})[operator] = self._steps.own_ms(callback)
            await self.move(
                offered, CallbackState.DUE, Actor.ASTERISK, reason="operator_offline", evidence=str(error)
            )
        else:
            # The phone may ring all the same: events will show it, or Asterisk's answer when it is asked.
            self.looked_after.discard(callback.id)
