"""Rating calls (`rating = "call"`): when a client is called for their rating, and what became of it.

One task works from the ledger alone, so a restart neither loses a rating call nor makes one twice. The
client is dialled by the dialplan behind a fence (dialplan/callsteward-rating.conf), never from here: what was
dialled once is not dialled again, whatever this process remembers. Who answers is asked by the IVR.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection

import structlog

from callsteward import faults
from callsteward.ari import events as ari
from callsteward.ari.rest import Rest
from callsteward.clock import HOUR_MS
from callsteward.config import Config
from callsteward.exceptions import AriError, StoreError
from callsteward.outgoing.do_not_call import DoNotCall
from callsteward.outgoing.guard import Guard
from callsteward.outgoing.hours import Hours
from callsteward.outgoing.words import Against
from callsteward.rating import heard
from callsteward.rating.heard import Heard, Said
from callsteward.rating.ledger import Ledger
from callsteward.rating.retention import Retention
from callsteward.rating.states import OPEN, Mode, Rating, RatingMoved, State
from callsteward.record.rating_id import channel_id

log = structlog.get_logger(__name__)

CONTEXT = "callsteward-rating-call"
DO_NOT_CALL = Against.DO_NOT_CALL.value
INCLUDED = "CALLSTEWARD_RATING"
"""The dialplan's global that says callsteward-rating.conf is there, and which one it is."""
CONFIRMS = 2
"""The first one that says when a fence is gone."""
LOOK_EVERY_S = 1.0
LOOK_IDLE_S = 5.0
# What the events should have said by then is asked of Asterisk.
GRACE_MS = 5_000
ASK_EVERY_MS = 10_000
AGAIN_MS = 30_000
_MINUTE_MS = 60_000


class Surveys:
    """Works until cancelled. `client_numbers`: who is on a call now, as the lines delivered it."""

    def __init__(
        self,
        config: Config,
        *,
        ledger: Ledger,
        rest: Rest,
        guard: Guard,
        hours: Hours,
        do_not_call: DoNotCall,
        callback_open: Callable[[str | None], Awaitable[bool]],
        client_numbers: Callable[[], Collection[str]],
        now_ms: Callable[[], int],
        publish: Callable[[RatingMoved], None],
    ) -> None:
        self._config = config
        self._settings = config.rating
        self._ledger = ledger
        self._rest = rest
        self._guard = guard
        self._hours = hours
        self._do_not_call = do_not_call
        self._callback_open = callback_open
        self._client_numbers = client_numbers
        self._now_ms = now_ms
        self._publish = publish
        self._wake = asyncio.Event()
        self._heard: deque[Heard] = deque()
        self._linked = False
        self._included: bool | None = None
        # Ratings whose channel this process has seen to since the link was made, and when it last asked.
        self._looked_after: set[str] = set()
        self._asked_ms: dict[str, int] = {}
        self._not_before_ms: dict[str, int] = {}
        # Since when a client who answered should be in the menu.
        self._answered_ms: dict[str, int] = {}
        self._dialled_ms: deque[int] = deque()
        # Rating calls that were stopped while the client's phone rang.
        self._stopped: set[str] = set()
        self._retention = Retention(
            self._settings.retention_days,
            ledger,
            rest,
            forget=lambda name: self._local("forget", name),
            now_ms=now_ms,
        )

    # --- what the shell says: none of these waits ----------------------------------------------------

    def hear(self, event: ari.Event) -> None:
        """An event came, from Asterisk or from the journal."""
        said = heard.read(event)
        if said is not None:
            self._heard.append(said)
            self._wake.set()

    def link(self, connected: bool) -> None:
        """Asterisk is there, or gone: what happened meanwhile has to be asked for."""
        self._linked = connected
        self._included = None
        self._looked_after.clear()
        self._asked_ms.clear()
        self._wake.set()

    def wake(self) -> None:
        """A rating call was scheduled."""
        self._wake.set()

    # --- the work ------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Work until cancelled. A store or an Asterisk that fails is tried again, and nothing is dialled."""
        while True:
            try:
                opened = await self._work()
            except StoreError as error:
                log.error("rating calls wait for the store", action="rating_store", error=str(error))  # noqa: TRY400
                opened = 1
            try:
                async with asyncio.timeout(LOOK_EVERY_S if opened else LOOK_IDLE_S):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()

    async def _work(self) -> int:
        """Everything that is to be done now; how many rating calls are open."""
        while self._heard:
            # Taken off when it is written down: a store that fails is told again.
            await self._believe(self._heard[0])
            self._heard.popleft()
        opened = await self._ledger.opened()
        if opened and await self._end_forbidden():
            opened = await self._ledger.opened()
        under_way = [rating for rating in opened if rating.state is State.DIALLING]
        if self._linked:
            for rating in under_way:
                await self._look_after(rating)
            due = [rating for rating in opened if rating.state is State.SCHEDULED]
            room = self._settings.max_parallel - len(under_way)
            await self._call_due(due, room)
        await self._retention.work(linked=self._linked)
        return len(opened)

    async def _end_forbidden(self) -> bool:
        """Clients on the do-not-call list by now are not called; whether there are any."""
        forbidden = await self._ledger.forbidden()
        for rating in forbidden:
            if rating.state is State.SCHEDULED:
                await self._move(rating, State.SUPPRESSED, reason=DO_NOT_CALL)
            elif self._linked and rating.id not in self._stopped and rating.channel_id is not None:
                # A client who has answered is on a channel of their own by now: nobody is cut off.
                self._stopped.add(rating.id)
                try:
                    await self._rest.hang_up(rating.channel_id)
                except AriError as error:
                    log.warning("a phone rings on", action="rating_hang_up", error=str(error))
        return bool(forbidden)

    async def _call_due(self, scheduled: list[Rating], room: int) -> None:
        now_ms = self._now_ms()
        due = [
            rating
            for rating in scheduled
            if rating.due_at_ms <= now_ms and self._not_before_ms.get(rating.id, 0) <= now_ms
        ]
        if not due:
            return
        if not self._included:
            await self._look_for_dialplan()
        on_a_call = {self._guard.read(number) for number in self._client_numbers()}
        for rating in due:
            if await self._call(rating, on_a_call, room=room > 0):
                room -= 1
                on_a_call.add(rating.number)

    async def _look_for_dialplan(self) -> None:
        """Without its dialplan a rating call would go nowhere."""
        before = self._included
        try:
            self._included = bool(await self._rest.variable(INCLUDED))
        except AriError as error:
            log.warning("Asterisk does not say", action="rating_ask", error=str(error))
            return
        if not self._included and before is None:
            log.error(
                "nobody is called for a rating: include callsteward-rating.conf in extensions.conf",
                action="rating_dialplan",
            )

    async def _call(self, rating: Rating, on_a_call: Collection[str | None], *, room: bool) -> bool:
        """What a due rating comes to now; whether its client is being called."""
        now_ms = self._now_ms()
        if now_ms - rating.due_at_ms > self._settings.expire_h * HOUR_MS:
            await self._move(rating, State.EXPIRED, reason="too_late")
            return False
        checked = self._guard.check(rating.number or "")
        if checked.number is None:
            why = "no_number" if checked.refusal is None else checked.refusal.value
            await self._move(rating, State.SUPPRESSED, reason=why)
            return False
        if await self._do_not_call.has(checked.number):
            await self._move(rating, State.SUPPRESSED, reason=DO_NOT_CALL)
            return False
        while self._dialled_ms and self._dialled_ms[0] <= now_ms - _MINUTE_MS:
            self._dialled_ms.popleft()
        waits = (
            not room
            or not self._included
            or len(self._dialled_ms) >= self._settings.per_minute
            or checked.number in on_a_call
            # No exemption here: nobody lost their connection.
            or not self._hours.allow(checked.number, rating.line, dropped_ms=0, at_ms=now_ms)
            or await self._callback_open(checked.number)
        )
        return False if waits else await self._dial(rating, checked.number)

    async def _dial(self, rating: Rating, number: str) -> bool:
        """Begin a rating call; written down first. The dialplan dials, if the fence lets it."""
        channel = channel_id(rating.id, rating.attempts + 1, rating.line)
        dialling = await self._move(rating, State.DIALLING, among=(State.SCHEDULED,), channel=channel)
        if dialling is None:
            return False
        self._dialled_ms.append(self._now_ms())
        self._looked_after.add(rating.id)
        line = self._config.line(rating.line)
        prefix, suffix = (line.callback_dial or self._config.callback.dial).split("{number}")
        faults.reached("rating:before_originate")
        try:
            await self._rest.originate(
                {
                    "endpoint": f"Local/s@{CONTEXT}/n",
                    "context": CONTEXT,
                    "extension": "h",
                    "priority": "1",
                    "timeout": str(self._settings.ring_s + 30),
                    "channelId": channel,
                },
                {
                    "CS_ID": rating.id,
                    "CS_NUMBER": number.removeprefix("+"),
                    "CS_PREFIX": prefix,
                    "CS_SUFFIX": suffix,
                    "CS_RING": str(self._settings.ring_s),
                    "CS_CALLER": line.callback_caller_id or self._config.callback.caller_id or "",
                },
            )
        except AriError as error:
            if await self._lives(channel) is False:
                self._not_before_ms[rating.id] = self._now_ms() + AGAIN_MS
                log.warning("a rating call was not begun", action="rating_originate", error=str(error))
            # The fence is asked what became of it.
            self._looked_after.discard(rating.id)
        faults.reached("rating:after_originate")
        return True

    # --- what Asterisk said --------------------------------------------------------------------------

    async def _believe(self, item: Heard) -> None:
        rating = await self._ledger.find(item.about)
        if rating is None or rating.mode is not Mode.CALL:
            return
        match item.said:
            case Said.OVER:
                await self._over(rating, item)
            case Said.FENCE:
                await self._fence(rating, item)
            case Said.REFUSED:
                await self._move(rating, State.NOT_REACHED, reason="refused_by_dialplan")
            case Said.GONE:
                if item.channel_id == rating.channel_id:
                    # Whatever it came to was said before; if not, the fence is asked.
                    self._looked_after.discard(rating.id)
            case Said.FORGOTTEN:
                # Any dialplan may send a UserEvent: of an open rating call it is not believed.
                if rating.state not in OPEN:
                    await self._ledger.fence_gone(rating, self._now_ms())
            case Said.LOCKED:
                log.warning("the fence was locked", action="rating_locked", rating=rating.id)
            case Said.DIALLING:
                pass

    async def _over(self, rating: Rating, item: Heard) -> None:
        if item.status == "ANSWER":
            # The menu is the next to say something, or the client was thanked because there was none.
            self._answered_ms.setdefault(rating.id, self._now_ms())
            return
        why = heard.not_reached(item.status, item.cause)
        if item.status == "CANCEL" and await self._do_not_call.has(rating.number or ""):
            why = DO_NOT_CALL
        await self._move(rating, State.NOT_REACHED, reason=why)

    async def _fence(self, rating: Rating, item: Heard) -> None:
        """An answer to our question, or a second attempt that met the fence."""
        now_ms = self._now_ms()
        lives = None if rating.channel_id is None else await self._lives(rating.channel_id)
        if not item.at:
            if lives is False and rating.state is State.DIALLING:
                if rating.attempts > 1:
                    # Not the kill of a daemon: something keeps the dialplan from it.
                    self._not_before_ms.setdefault(rating.id, now_ms + AGAIN_MS)
                self._asked_ms.pop(rating.id, None)
                await self._move(rating, State.SCHEDULED, reason="not_dialled")
        elif item.status == "ANSWER":
            if now_ms - self._answered_ms.setdefault(rating.id, now_ms) > GRACE_MS:
                await self._move(rating, State.UNANSWERED, reason="interrupted", among=(State.DIALLING,))
        elif item.status or not lives:
            why = heard.not_reached(item.status, item.cause)
            await self._move(rating, State.NOT_REACHED, reason=why)

    # --- what nobody said ----------------------------------------------------------------------------

    async def _look_after(self, rating: Rating) -> None:
        """See to a rating call under way that this process knows nothing of, or that takes too long."""
        now_ms = self._now_ms()
        late_ms = rating.changed_at_ms + self._settings.ring_s * 1000 + GRACE_MS
        if rating.id in self._looked_after and now_ms < late_ms:
            return
        if now_ms - self._asked_ms.get(rating.id, 0) < ASK_EVERY_MS:
            return
        self._asked_ms[rating.id] = now_ms
        lives = None if rating.channel_id is None else await self._lives(rating.channel_id)
        if lives:
            self._looked_after.add(rating.id)
        elif lives is False:
            await self._local("ask", rating.id)

    async def _lives(self, channel: str) -> bool | None:
        """Whether a channel is there, None where Asterisk does not say."""
        try:
            return await self._rest.channel(channel) is not None
        except AriError as error:
            log.warning("Asterisk does not say", action="rating_ask", error=str(error))
            return None

    async def _local(self, verb: str, rating_id: str) -> None:
        """Run one of the dialplan's small contexts that ring no phone; the answer is a UserEvent."""
        try:
            await self._rest.originate(
                {
                    "endpoint": f"Local/{rating_id}@callsteward-rating-{verb}",
                    "context": CONTEXT,
                    "extension": "h",
                    "priority": "1",
                    "timeout": "5",
                }
            )
        except AriError as error:
            log.warning("the fence could not be asked", action="rating_ask", error=str(error))

    async def _move(
        self,
        rating: Rating,
        to: State,
        *,
        reason: str = "",
        among: tuple[State, ...] | None = None,
        channel: str | None = None,
    ) -> Rating | None:
        after = await self._ledger.move(
            rating, to, at_ms=self._now_ms(), reason=reason, among=among, channel_id=channel
        )
        if after is None:
            return None
        log.info("rating moved", action="rating_moved", rating=after.id, state=to.value, reason=reason)
        if to not in OPEN:
            self._not_before_ms.pop(after.id, None)
            self._answered_ms.pop(after.id, None)
            self._stopped.discard(after.id)
        self._publish(RatingMoved(after))
        self._wake.set()
        return after
