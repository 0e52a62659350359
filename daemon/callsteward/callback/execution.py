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

from callsteward.ari import events as ari
from callsteward.ari.rest import Rest
from callsteward.callback import faults, heard
from callsteward.callback.decisions import Decisions
from callsteward.callback.heard import Heard, Said
from callsteward.callback.ledger import DAY_MS, Ledger
from callsteward.callback.operators import choose
from callsteward.callback.policy import Policy, Reason
from callsteward.callback.states import FINAL, UNDER_WAY, Actor, Callback, CallbackMoved, State
from callsteward.callback.strays import end_strays
from callsteward.calls.callback_id import channel_id
from callsteward.calls.facts import Alert, OperatorNow
from callsteward.config import Config
from callsteward.exceptions import AriError, StoreError

log = structlog.get_logger(__name__)

CONTEXT = "callsteward-callback"
INCLUDED = "CALLSTEWARD_CALLBACK"
"""The dialplan's global that says callsteward-callback.conf is there."""
# While something is open the ledger is looked at this often; an admin's cancel comes by it alone.
LOOK_EVERY_S = 1.0
LOOK_IDLE_S = 5.0
# What the events should have said by then is asked of Asterisk.
GRACE_MS = 5_000
ASK_EVERY_MS = 10_000
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
        rest: Rest,
        operators_now: Callable[[], Iterable[OperatorNow]],
        now_ms: Callable[[], int],
        publish: Callable[[CallbackMoved | Alert], None],
    ) -> None:
        self._config = config
        self._settings = config.callback
        self._decisions = decisions
        decisions.on_move = self.moved
        self._policy = policy
        self._ledger = ledger
        self._rest = rest
        self._operators_now = operators_now
        self._now_ms = now_ms
        self._publish = publish
        self._wake = asyncio.Event()
        self._heard: deque[Heard] = deque()
        self._linked = False
        self._strays_ended = False
        self._included: bool | None = None
        # Callbacks whose channel this process has seen to since the link was made, and when it last asked.
        self._looked_after: set[str] = set()
        self._asked_ms: dict[str, int] = {}
        self._tried: dict[str, dict[str, int]] = {}
        self._originated_ms: deque[int] = deque()
        self._unreachable: set[str] = set()
        self._alerted: set[str] = set()
        self._known: dict[str, Callback] = {}
        self._forgot_ms = 0

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

    def link(self, connected: bool) -> None:
        """Asterisk is there, or gone: what happened meanwhile has to be asked for."""
        self._linked = connected
        self._strays_ended = False
        self._included = None
        self._looked_after.clear()
        self._asked_ms.clear()
        self._wake.set()

    def moved(self, fact: CallbackMoved) -> None:
        """The decision wrote a callback down or cancelled one."""
        self._publish(fact)
        self._known[fact.callback.id] = fact.callback
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
            await self._believe(self._heard[0])
            self._heard.popleft()
        if self._linked and not self._strays_ended:
            self._strays_ended = await end_strays(self._ledger, self._rest)
        opened = await self._ledger.opened()
        if opened and self._linked and not self._included:
            await self._look_for_dialplan()
        await self._notice_others(opened)
        busy = {item.operator for item in self._operators_now()}
        busy |= {name for name in self._config.operators if self._phone(name) in self._unreachable}
        busy |= {callback.asked for callback in opened if callback.asked is not None}
        under_way = 0
        for callback in opened:
            if callback.state in UNDER_WAY:
                under_way += 1
                if self._linked:
                    await self._look_after(callback)
        for callback in opened:
            if callback.state is State.DUE:
                asked = await self._next(callback, busy, room=under_way < self._settings.max_parallel)
                if asked is not None:
                    busy.add(asked)
                    under_way += 1
        await self._forget_old()
        return len(opened)

    async def _look_for_dialplan(self) -> None:
        """Without its dialplan an operator would be rung and sent nowhere."""
        before = self._included
        try:
            self._included = bool(await self._rest.variable(INCLUDED))
        except AriError as error:
            log.warning("Asterisk does not say", action="callback_ask", error=str(error))
            return
        if not self._included and before is None:
            log.error(
                "nobody is called back: include callsteward-callback.conf in extensions.conf",
                action="callback_dialplan",
            )

    async def _next(self, callback: Callback, busy: set[str], *, room: bool) -> str | None:
        """What a due callback comes to now; the operator who is asked, if one is."""
        now_ms = self._now_ms()
        settings = self._settings
        late_ms = callback.dropped_at_ms + int(settings.alert_s * 1000)
        if now_ms >= late_ms and callback.id not in self._alerted:
            self._alerted.add(callback.id)
            self._alert(callback, "callback_late", settings.alert_s, callback.dropped_at_ms)
        if now_ms - callback.created_at_ms > settings.expire_s * 1000:
            if await self._move(callback, State.EXPIRED, Actor.DAEMON, reason="nobody_free") is not None:
                self._alert(callback, "callback_expired", settings.expire_s, callback.created_at_ms)
            return None
        number = callback.number
        if number is None or not self._policy.may_call(
            number, callback.line, dropped_ms=callback.dropped_at_ms, at_ms=now_ms
        ):
            await self._move(callback, State.SUPPRESSED, Actor.DAEMON, reason=Reason.CALLING_HOURS.value)
            return None
        while self._originated_ms and self._originated_ms[0] <= now_ms - _MINUTE_MS:
            self._originated_ms.popleft()
        if not (self._linked and self._included and room) or len(self._originated_ms) >= settings.per_minute:
            return None
        tried = self._tried.setdefault(callback.id, {})
        lost = self._decisions.lost_operators.get(callback.id)
        if lost is not None:
            # Their line is the one that broke: the others first.
            tried.setdefault(lost, callback.created_at_ms)
        of_line = self._config.line(callback.line).operators or self._config.operators
        operator = choose(callback, settings, of_line, busy=busy, tried=tried, now_ms=now_ms)
        if operator is not None:
            await self._offer(callback, operator, number)
        return operator

    async def _offer(self, callback: Callback, operator: str, number: str) -> None:
        """Ring an operator; written down first, so that a kill in between cannot ring two at once unseen."""
        channel = channel_id(callback.id, callback.attempts + 1, callback.line)
        offered = await self._move(
            callback, State.OFFERED, Actor.DAEMON, asked=operator, channel=channel, among=(State.DUE,)
        )
        if offered is None:
            return
        self._originated_ms.append(self._now_ms())
        self._looked_after.add(callback.id)
        faults.reached("before:originate")
        try:
            await self._rest.originate(
                {
                    "endpoint": self._phone(operator),
                    "context": CONTEXT,
                    "extension": "s",
                    "priority": "1",
                    "callerId": self._caller_id(callback),
                    "timeout": str(round(self._settings.operator_ring_s)),
                    "channelId": channel,
                },
                self._variables(offered, number),
            )
        except AriError as error:
            if await self._lives(channel) is False:
                self._tried.setdefault(callback.id, {})[operator] = self._now_ms()
                await self._move(
                    offered, State.DUE, Actor.ASTERISK, reason="operator_offline", evidence=str(error)
                )
            else:
                # It may ring after all: then the events will tell, or Asterisk when it is asked.
                self._looked_after.discard(callback.id)
        faults.reached("after:originate")

    def _phone(self, operator: str) -> str:
        return self._settings.operator_dial.replace("{operator}", operator)

    def _caller_id(self, callback: Callback) -> str:
        """Who and why, on the operator's phone. No number to press redial on: that would be a second call."""
        ago_s = max(0, self._now_ms() - callback.dropped_at_ms) // 1000
        ago = f"{ago_s}s" if ago_s < 600 else f"{ago_s // 60}min"
        return f'"CB {callback.client_masked or "client"} {ago}" <callback>'

    def _variables(self, callback: Callback, number: str) -> dict[str, str]:
        line = self._config.line(callback.line)
        prefix, suffix = (line.callback_dial or self._settings.dial).split("{number}")
        return {
            "CS_ID": callback.id,
            "CS_ATTEMPT": str(callback.attempts),
            "CS_NUMBER": number.removeprefix("+"),
            "CS_PREFIX": prefix,
            "CS_SUFFIX": suffix,
            "CS_RING": str(self._settings.ring_s),
            "CS_CALLER": (line.callback_caller_id or self._settings.caller_id or ""),
            "CS_PRESS": str(self._settings.press_1_s if self._settings.press_1 else 0),
        }

    # --- what Asterisk said --------------------------------------------------------------------------

    async def _believe(self, item: Heard) -> None:
        callback = await self._ledger.find(item.callback)
        if callback is None:
            return
        match item.said:
            case Said.OPERATOR_ANSWERED:
                await self._move(callback, State.OPERATOR_ANSWERED, Actor.OPERATOR, among=(State.OFFERED,))
            case Said.DECLINED:
                await self._ask_another(callback, "operator_declined", Actor.OPERATOR)
            case Said.DIALLING:
                await self._move(callback, State.DIALLING, Actor.ASTERISK, evidence="the fence was claimed")
            case Said.OVER:
                await self._over(callback, item, "the dial ended")
            case Said.FENCE:
                await self._fence(callback, item)
            case Said.REFUSED:
                await self._move(callback, State.CANCELLED, Actor.ASTERISK, reason="refused_by_dialplan")
            case Said.GONE:
                await self._gone(callback, item)
            case Said.LOCKED:
                log.warning("the fence was locked", action="callback_locked", callback=callback.id)

    async def _over(self, callback: Callback, item: Heard, evidence: str) -> None:
        told = f"{evidence}: {item.status or 'no result'}"
        if item.status == "ANSWER":
            await self._move(callback, State.REACHED, Actor.ASTERISK, reason="answered", evidence=told)
            return
        why = heard.not_reached(item.status, item.cause)
        await self._move(callback, State.NOT_REACHED, Actor.ASTERISK, reason=why, evidence=told)

    async def _fence(self, callback: Callback, item: Heard) -> None:
        """An answer to our question, or a second attempt that met the fence."""
        self._asked_ms.pop(callback.id, None)
        lives = None if callback.channel_id is None else await self._lives(callback.channel_id)
        another = item.channel_id != callback.channel_id
        if item.at and (item.status or not (lives and another)):
            await self._over(callback, item, f"the fence was claimed at {item.at}")
        elif not item.at and lives is False and callback.state is State.DIALLING:
            # It was claimed, and Asterisk's database has lost that: whether it rang, nobody knows.
            await self._over(callback, item, "the fence is lost")
        elif not item.at and lives is False and callback.state in UNDER_WAY:
            # Nobody was asked in vain: whoever is free may be asked at once.
            await self._move(callback, State.DUE, Actor.ASTERISK, reason="not_dialled")

    async def _gone(self, callback: Callback, item: Heard) -> None:
        """The operator's channel ended. What it came to was said before; else nobody was dialled."""
        if item.channel_id != callback.channel_id:
            return
        if callback.state is State.OFFERED:
            await self._ask_another(callback, heard.not_answered(item.cause), Actor.ASTERISK)
        elif callback.state is State.OPERATOR_ANSWERED:
            await self._ask_another(callback, "operator_hung_up", Actor.OPERATOR)
        elif callback.state is State.DIALLING:
            self._looked_after.discard(callback.id)

    async def _ask_another(self, callback: Callback, reason: str, actor: Actor) -> None:
        if callback.asked is not None:
            self._tried.setdefault(callback.id, {})[callback.asked] = self._now_ms()
        await self._move(callback, State.DUE, actor, reason=reason)

    # --- what nobody said ----------------------------------------------------------------------------

    async def _look_after(self, callback: Callback) -> None:
        """See to a callback under way that this process knows nothing of, or that takes too long."""
        now_ms = self._now_ms()
        due_ms = callback.changed_at_ms + self._patience_ms(callback.state)
        if callback.id in self._looked_after and now_ms < due_ms:
            return
        if now_ms - self._asked_ms.get(callback.id, 0) < ASK_EVERY_MS:
            return
        self._asked_ms[callback.id] = now_ms
        lives = None if callback.channel_id is None else await self._lives(callback.channel_id)
        if lives:
            self._looked_after.add(callback.id)
            return
        if lives is False:
            await self._local("ask", callback.id)

    def _patience_ms(self, state: State) -> int:
        seconds = {
            State.OFFERED: self._settings.operator_ring_s,
            State.OPERATOR_ANSWERED: self._settings.press_1_s,
            State.DIALLING: self._settings.ring_s,
        }
        return int(seconds.get(state, 0) * 1000) + GRACE_MS

    async def _lives(self, channel: str) -> bool | None:
        """Whether a channel is there, None where Asterisk does not say."""
        try:
            return await self._rest.channel(channel) is not None
        except AriError as error:
            log.warning("Asterisk does not say", action="callback_ask", error=str(error))
            return None

    async def _local(self, verb: str, callback_id: str) -> None:
        """Run one of the dialplan's small contexts that ring no phone; the answer is a UserEvent."""
        faults.reached(f"before:{verb}")
        try:
            await self._rest.originate(
                {
                    "endpoint": f"Local/{callback_id}@{CONTEXT}-{verb}",
                    "context": CONTEXT,
                    "extension": "h",
                    "priority": "1",
                    "timeout": "5",
                }
            )
        except AriError as error:
            log.warning("the fence could not be asked", action="callback_ask", error=str(error))
        faults.reached(f"after:{verb}")

    async def _notice_others(self, opened: list[Callback]) -> None:
        """Callbacks that somebody else ended: an admin at the command line, the client by calling."""
        still = {callback.id: callback for callback in opened}
        for name in self._known.keys() - still.keys():
            before = self._known[name]
            now = await self._ledger.find(name)
            if now is None or now.state not in FINAL:
                continue
            self._decisions.over(now)
            self._tried.pop(name, None)
            if before.state not in FINAL:
                self._publish(CallbackMoved(now, Actor.ADMIN))
            if now.state is State.CANCELLED and now.channel_id is not None and self._linked:
                faults.reached("before:hang_up")
                try:
                    await self._rest.hang_up(now.channel_id)
                except AriError as error:
                    log.warning("a phone rings on", action="callback_hang_up", error=str(error))
                faults.reached("after:hang_up")
        self._known = still

    def _alert(self, callback: Callback, rule: str, limit_s: float, since_ms: int) -> None:
        self._publish(
            Alert(
                call_id=callback.origin_call_id,
                line=callback.line,
                rule=rule,
                at_ms=since_ms + int(limit_s * 1000),
                operator=callback.operator,
                limit_s=limit_s,
                since_ms=since_ms,
            )
        )

    async def _forget_old(self) -> None:
        """Once a day: numbers and fences that are past the retention."""
        now_ms = self._now_ms()
        if not self._linked or now_ms - self._forgot_ms < DAY_MS:
            return
        self._forgot_ms = now_ms
        for callback in await self._ledger.forget_numbers(now_ms - self._settings.retention_days * DAY_MS):
            if callback.attempts:
                await self._local("forget", callback.id)

    async def _move(
        self,
        callback: Callback,
        to: State,
        actor: Actor,
        *,
        reason: str = "",
        evidence: str = "",
        among: tuple[State, ...] | None = None,
        asked: str | None = None,
        channel: str | None = None,
    ) -> Callback | None:
        """A step in the ledger, told on the feed; None where it may not be made (any more)."""
        after = await self._ledger.move(
            callback,
            to,
            actor=actor,
            at_ms=self._now_ms(),
            reason=reason,
            evidence=evidence,
            among=among,
            asked=asked,
            channel_id=channel,
        )
        if after is None:
            return None
        log.info(
            "callback moved",
            action="callback_moved",
            callback=after.id,
            state=to.value,
            reason=reason,
            operator=after.asked,
        )
        self._known[after.id] = after
        if to in FINAL or to is State.DIALLING:
            self._decisions.over(after)
            self._alerted.discard(after.id)
        self._publish(CallbackMoved(after, actor))
        # What is due again may have somebody to ask at once.
        self._wake.set()
        return after
