"""Rating calls (`rating = "call"`): when a client is called for their rating, and what became of it.

The client is dialled by the dialplan behind a fence (dialplan/callsteward-rating.conf), never from here.
Who answers is asked by the IVR.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence

import structlog

from callsteward.ari import events as ari
from callsteward.ari.rest import Rest
from callsteward.clock import HOUR_MS
from callsteward.config import Config
from callsteward.outgoing.may import May
from callsteward.outgoing.work import GRACE_MS, Work
from callsteward.rating import heard
from callsteward.rating.dialplan import Dialplan
from callsteward.rating.heard import Heard, Said
from callsteward.rating.ledger import Ledger
from callsteward.rating.states import OPEN, Mode, Rating, RatingMoved, State
from callsteward.record.rating_id import channel_id

log = structlog.get_logger(__name__)

AGAIN_MS = 30_000


class Surveys:
    """Works until cancelled. `client_numbers`: who is on a call now, as the lines delivered it."""

    def __init__(
        self,
        config: Config,
        *,
        may: May,
        ledger: Ledger,
        rest: Rest,
        callback_open: Callable[[str | None], Awaitable[bool]],
        client_numbers: Callable[[], Collection[str]],
        now_ms: Callable[[], int],
        publish: Callable[[RatingMoved], None],
        steady_ms: Callable[[], int] | None = None,
    ) -> None:
        """`steady_ms`: a clock that nobody sets, where `now_ms` may be set."""
        self._settings = config.rating
        self._may = may
        self._ledger = ledger
        self._callback_open = callback_open
        self._client_numbers = client_numbers
        self._now_ms = now_ms
        self._dialplan = Dialplan(config, rest)
        self.work = Work(
            self,
            ledger,
            self._dialplan,
            kind="rating",
            retention_days=self._settings.retention_days,
            max_parallel=self._settings.max_parallel,
            per_minute=self._settings.per_minute,
            now_ms=now_ms,
            steady_ms=steady_ms,
            publish=publish,
        )
        # By rating, on the steady clock: not to be tried before, and since when a client who answered should
        # be in the menu.
        self._not_before_ms: dict[str, int] = {}
        self._answered_ms: dict[str, int] = {}

    # --- what the shell says: none of these waits ----------------------------------------------------

    def hear(self, event: ari.Event) -> None:
        """An event came, from Asterisk or from the journal."""
        self.work.hear(heard.read(event))

    def link(self, connected: bool) -> None:
        """Asterisk is there, or gone: what happened meanwhile has to be asked for."""
        self.work.link(connected)

    def wake(self) -> None:
        """A rating call was scheduled."""
        self.work.wake()

    async def run(self) -> None:
        """Work until cancelled. A store or an Asterisk that fails is tried again, and nothing is dialled."""
        await self.work.run()

    # --- what the work asks --------------------------------------------------------------------------

    def moved(self, row: Rating, to: State, reason: str) -> None:
        """A step was made."""
        log.info("rating moved", action="rating_moved", rating=row.id, state=to.value, reason=reason)
        if to not in OPEN:
            self._not_before_ms.pop(row.id, None)
            self._answered_ms.pop(row.id, None)

    def patience_s(self, _row: Rating) -> float:
        """For how long the client's phone may ring."""
        return self._settings.ring_s

    def rings(self, _row: Rating) -> bool:
        """A client who has answered is on a channel of their own by now: nobody is cut off."""
        return True

    async def forget(self, row: Rating) -> None:
        """Delete the spoken comment, and remove the fence."""
        if row.comment_file is not None and await self._dialplan.deleted(row.comment_file):
            await self._ledger.comment_gone(row)
        if row.attempts and row.fence_gone_at_ms is None and self._dialplan.included:
            # Its answer is an event: the dialplan says that the fence is gone.
            await self._dialplan.forget(row.id)

    async def prepare(self, opened: Sequence[Rating]) -> None:
        """Nothing comes before a rating call."""

    async def go_on(self, opened: Sequence[Rating]) -> None:
        """Call the clients whose rating is due."""
        now_ms, steady_ms = self._now_ms(), self.work.steady_ms()
        due = [
            rating
            for rating in opened
            if rating.state is State.SCHEDULED
            and rating.due_at_ms <= now_ms
            and self._not_before_ms.get(rating.id, steady_ms) <= steady_ms
        ]
        if not due or not self.work.linked:
            return
        await self._dialplan.look()
        on_a_call = {self._may.guard.read(number) for number in self._client_numbers()}
        for rating in due:
            if await self._call(rating, on_a_call):
                on_a_call.add(rating.number)

    async def _call(self, rating: Rating, on_a_call: Collection[str | None]) -> bool:
        """What a due rating comes to now; whether its client is being called."""
        now_ms = self._now_ms()
        if now_ms - rating.due_at_ms > self._settings.expire_h * HOUR_MS:
            await self.work.move(rating, State.EXPIRED, reason="too_late")
            return False
        # Nobody is exempt from the hours here: nobody lost their connection.
        client = await self._may.call(rating.number or "", rating.line, at_ms=now_ms)
        if client.number is None or client.never is not None:
            await self.work.move(rating, State.SUPPRESSED, reason=client.never or "")
            return False
        waits = (
            not client.now
            or not self.work.may_begin()
            or client.number in on_a_call
            or await self._callback_open(client.number)
        )
        return False if waits else await self._dial(rating, client.number)

    async def _dial(self, rating: Rating, number: str) -> bool:
        """Begin a rating call; written down first. The dialplan dials, if the fence lets it."""
        channel = channel_id(rating.id, rating.attempts + 1, rating.line)
        dialling = await self.work.move(rating, State.DIALLING, among=(State.SCHEDULED,), channel=channel)
        if dialling is None:
            return False
        self.work.begun(rating)
        error = await self._dialplan.call(dialling, number)
        if error is not None:
            if await self._dialplan.lives(channel) is False:
                self._not_before_ms[rating.id] = self.work.steady_ms() + AGAIN_MS
                log.warning("a rating call was not begun", action="rating_originate", error=str(error))
            # The fence is asked what became of it.
            self.work.looked_after.discard(rating.id)
        return True

    # --- what Asterisk said --------------------------------------------------------------------------

    async def take(self, item: Heard) -> None:
        """Make the step that follows from what Asterisk said."""
        rating = await self._ledger.find(item.about)
        if rating is None or rating.mode is not Mode.CALL:
            return
        match item.said:
            case Said.OVER:
                await self._over(rating, item)
            case Said.FENCE:
                await self._fence(rating, item)
            case Said.REFUSED:
                await self.work.move(rating, State.NOT_REACHED, reason="refused_by_dialplan")
            case Said.GONE:
                if item.channel_id == rating.channel_id:
                    # Whatever it came to was said before; if not, the fence is asked.
                    self.work.looked_after.discard(rating.id)
            case Said.FORGOTTEN:
                await self.work.gone(rating)
            case Said.LOCKED:
                log.warning("the fence was locked", action="rating_locked", rating=rating.id)
            case Said.DIALLING:
                pass

    async def _over(self, rating: Rating, item: Heard) -> None:
        if item.status == "ANSWER":
            # The menu is the next to say something, or the client was thanked because there was none.
            self._answered_ms.setdefault(rating.id, self.work.steady_ms())
            return
        why = await self.work.why_not_reached(rating, item)
        await self.work.move(rating, State.NOT_REACHED, reason=why)

    async def _fence(self, rating: Rating, item: Heard) -> None:
        """An answer to our question, or a second attempt that met the fence."""
        now_ms = self.work.steady_ms()
        lives = await self._dialplan.lives(rating.channel_id)
        if not item.at:
            if lives is False and rating.state is State.DIALLING:
                if rating.attempts > 1:
                    # Not the kill of a daemon: something keeps the dialplan from it.
                    self._not_before_ms.setdefault(rating.id, now_ms + AGAIN_MS)
                self.work.asked_ms.pop(rating.id, None)
                await self.work.move(rating, State.SCHEDULED, reason="not_dialled")
        elif item.status == "ANSWER":
            if now_ms - self._answered_ms.setdefault(rating.id, now_ms) > GRACE_MS:
                among = (State.DIALLING,)
                await self.work.move(rating, State.UNANSWERED, reason="interrupted", among=among)
        elif item.status or not lives:
            why = await self.work.why_not_reached(rating, item)
            await self.work.move(rating, State.NOT_REACHED, reason=why)
