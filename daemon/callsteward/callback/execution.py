"""Carrying callbacks out: which operator's phone rings, and what became of it.

One task works through what Asterisk said and then through the ledger, so no two steps of one callback cross.
It decides from the ledger each time and keeps nothing that a restart would miss: a callback found under
way is looked for in Asterisk, and where its channel is gone the fence is asked. The client is dialled by
the dialplan behind that fence (dialplan/callsteward-callback.conf), never from here.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

import structlog

from callsteward import faults
from callsteward.ari import events as ari
from callsteward.ari.rest import Rest
from callsteward.callback import heard
from callsteward.callback.ages import Ages
from callsteward.callback.decisions import Decisions
from callsteward.callback.dialplan import Dialplan
from callsteward.callback.heard import Heard
from callsteward.callback.hearing import Hearing
from callsteward.callback.ledger import Ledger
from callsteward.callback.operators import choose
from callsteward.callback.permission import Permission
from callsteward.callback.policy import Policy
from callsteward.callback.retention import Retention
from callsteward.callback.states import UNDER_WAY, Callback, CallbackMoved, State
from callsteward.callback.steps import Steps
from callsteward.callback.sticky import Sticky
from callsteward.callback.strays import end_strays
from callsteward.callback.watch import Watch
from callsteward.config import Config
from callsteward.exceptions import AriError, StoreError
from callsteward.outgoing.words import Actor, Against
from callsteward.outgoing.zones import ClientZones
from callsteward.record.callback_id import channel_id
from callsteward.record.facts import Alert, OperatorNow

log = structlog.get_logger(__name__)

# While something is open the ledger is looked at this often; an admin's cancel comes by it alone.
LOOK_EVERY_S = 1.0
LOOK_IDLE_S = 5.0
_UNREACHABLE = frozenset({"UNAVAILABLE", "INVALID"})
_MINUTE_MS = 60_000


class Execution:
    """Works until cancelled. `publish` takes what is to be told on the feed."""

    def __init__(
        self,
        config: Config,
        *,
        decisions: Decisions,
        policy: Policy,
        ledger: Ledger,
        zones: ClientZones,
        rest: Rest,
        operators_now: Callable[[], Iterable[OperatorNow]],
        now_ms: Callable[[], int],
        publish: Callable[[CallbackMoved | Alert], None],
        steady_ms: Callable[[], int] | None = None,
    ) -> None:
        """`steady_ms`: a clock that nobody sets, where `now_ms` may be set."""
        self._config = config
        self._settings = config.callback
        self._decisions = decisions
        self._policy = policy
        self._ledger = ledger
        self._zones = zones
        self._operators_now = operators_now
        self._now_ms = now_ms
        self._wake = asyncio.Event()
        self._steady_ms = steady_ms or now_ms
        self._ages = Ages(now_ms, self._steady_ms)
        self._steps = Steps(
            ledger, decisions, now_ms=now_ms, ages=self._ages, publish=publish, wake=self._wake.set
        )
        self._rest = rest
        self._dialplan = Dialplan(config, rest)
        self._permission = Permission(ledger, self._steps, self._dialplan)
        self._hearing = Hearing(ledger, self._steps, self._dialplan, self._permission, now_ms=now_ms)
        self._retention = Retention(config, ledger, self._dialplan, now_ms=now_ms)
        self._sticky = Sticky(config, ledger, self._dialplan, now_ms=now_ms)
        self._watch = Watch(
            config, ledger, self._steps, self._dialplan, ages=self._ages, steady_ms=self._steady_ms
        )
        self._heard: deque[Heard] = deque()
        self._linked = False
        self._strays_ended = False
        self._originated_ms: deque[int] = deque()
        self._unreachable: set[str] = set()

    # --- what the shell says: none of these waits ----------------------------------------------------

    def hear(self, event: ari.Event) -> None:
        """An event came, from Asterisk or from the journal."""
        if isinstance(event, ari.DeviceStateChanged):
            name = event.device_state.name
            if event.device_state.state in _UNREACHABLE:
                self._unreachable.add(name)
            else:
                self._unreachable.discard(name)
                self._wake.set()
            return
        said = heard.read(event)
        if said is not None:
            self._heard.append(said)
            self._wake.set()

    def told(self, fact: CallbackMoved) -> None:
        """A callback was written down, or cancelled by somebody else: a phone that rings for it stops."""
        self._steps.told(fact)

    def link(self, connected: bool) -> None:
        """Asterisk is there, or gone: what happened meanwhile has to be asked for."""
        self._linked = connected
        self._strays_ended = False
        self._dialplan.unknown()
        self._steps.linked()
        self._sticky.linked()
        self._wake.set()

    # --- the work ------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Work until cancelled. A store or an Asterisk that fails is tried again, and nothing is dialled."""
        while True:
            try:
                open_ones = await self._work()
            except StoreError as error:
                log.error("callbacks wait for the store", action="callback_store", error=str(error))  # noqa: TRY400
                open_ones = 1
            wait_s = LOOK_EVERY_S if open_ones else LOOK_IDLE_S
            try:
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()

    async def _work(self) -> int:
        """Everything that is to be done now; how many callbacks are open afterwards."""
        while self._heard:
            # Taken off when it is written down: a store that fails is told again.
            await self._hearing.take(self._heard[0])
            self._heard.popleft()
        if self._linked and not self._strays_ended:
            self._strays_ended = await end_strays(self._ledger, self._rest)
        opened = await self._permission.look(await self._ledger.opened(), linked=self._linked)
        if opened and self._linked and not self._dialplan.included:
            await self._dialplan.look()
        # Before any phone is rung: the client may be calling again this moment.
        await self._sticky.work(opened, self._decisions.lost_operators, linked=self._linked)
        for untold in await self._watch.notice_others(opened, linked=self._linked):
            self._steps.publish(untold)
        busy = self._busy(opened)
        under_way = 0
        for callback in opened:
            if callback.state in UNDER_WAY:
                under_way += 1
                if self._linked:
                    await self._watch.look_after(callback)
        for callback in opened:
            if callback.state is State.DUE and not self._decisions.judging:
                asked = await self._next(callback, busy, room=under_way < self._settings.max_parallel)
                if asked is not None:
                    busy.add(asked)
                    under_way += 1
        await self._retention.work(linked=self._linked)
        return len(opened)

    def _busy(self, opened: Iterable[Callback]) -> set[str]:
        """Operators who are not to be asked now: on a call, unreachable, or being asked."""
        busy = {item.operator for item in self._operators_now()}
        busy |= {name for name in self._config.operators if self._dialplan.phone(name) in self._unreachable}
        busy |= {callback.asked for callback in opened if callback.asked is not None}
        return busy

    async def _next(self, callback: Callback, busy: set[str], *, room: bool) -> str | None:
        """What a due callback comes to now; the operator who is asked, if one is."""
        now_ms = self._now_ms()
        settings, steps = self._settings, self._steps
        steps.alert_late(callback, settings.alert_s)
        own_ms = steps.own_ms(callback)
        if own_ms - callback.created_at_ms > settings.expire_s * 1000:
            if await steps.move(callback, State.EXPIRED, Actor.DAEMON, reason="nobody_free") is not None:
                steps.alert(callback, "callback_expired", settings.expire_s, callback.created_at_ms)
            return None
        number = callback.number
        if number is None or not await self._may_call(callback, number, now_ms):
            await steps.move(callback, State.SUPPRESSED, Actor.DAEMON, reason=Against.CALLING_HOURS.value)
            return None
        while self._originated_ms and self._originated_ms[0] <= self._steady_ms() - _MINUTE_MS:
            self._originated_ms.popleft()
        paced = room and len(self._originated_ms) < settings.per_minute
        if not (self._linked and self._dialplan.included and paced) or self._decisions.being_called(callback):
            return None
        tried = steps.tried.setdefault(callback.id, {})
        lost = self._decisions.lost_operators.get(callback.id)
        if lost is not None:
            # Their line is the one that broke: the others first.
            tried.setdefault(lost, callback.created_at_ms)
        of_line = self._config.line(callback.line).operators or self._config.operators
        operator = choose(callback, settings, of_line, busy=busy, tried=tried, now_ms=own_ms)
        if operator is not None:
            await self._offer(callback, operator, number)
        return operator

    async def _may_call(self, callback: Callback, number: str, now_ms: int) -> bool:
        """Whether the hours allow it now, where the client is."""
        # As long ago as it is, whatever the clocks showed then.
        dropped_ms = now_ms - self._ages.of_ms(callback.id, callback.dropped_at_ms)
        zone = None
        if self._policy.hours_bind(dropped_ms=dropped_ms, at_ms=now_ms):
            zone = await self._zones.of(number)
        return self._policy.may_call(number, callback.line, dropped_ms=dropped_ms, at_ms=now_ms, zone=zone)

    async def _offer(self, callback: Callback, operator: str, number: str) -> None:
        """Ring an operator; written down first, so that a kill in between cannot ring two at once unseen."""
        steps = self._steps
        channel = channel_id(callback.id, callback.attempts + 1, callback.line)
        offered = await steps.move(
            callback, State.OFFERED, Actor.DAEMON, asked=operator, channel=channel, among=(State.DUE,)
        )
        if offered is None:
            return
        self._originated_ms.append(self._steady_ms())
        steps.looked_after.add(callback.id)
        faults.reached("before:originate")
        try:
            await self._dialplan.ring(offered, operator, number, self._now_ms())
        except AriError as error:
            if await self._dialplan.lives(channel) is False:
                steps.tried.setdefault(callback.id, {})[operator] = steps.own_ms(callback)
                await steps.move(
                    offered, State.DUE, Actor.ASTERISK, reason="operator_offline", evidence=str(error)
                )
            else:
                # It may ring after all: then the events will tell, or Asterisk when it is asked.
                steps.looked_after.discard(callback.id)
        faults.reached("after:originate")
