"""Rating calls (`rating = "call"`): when a client is called for their rating, and with what result.

The dialplan dials the client behind a fence (dialplan/callsteward-rating.conf), never the daemon itself. A
client who answers is asked by the IVR.
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
from callsteward.rating import signals
from callsteward.rating.dialplan import RatingDialplan
from callsteward.rating.ledger import RatingLedger
from callsteward.rating.signals import RatingReport, RatingSignal
from callsteward.rating.states import OPEN, Mode, RatingMoved, RatingRow, RatingState
from callsteward.record.rating_id import channel_id

log = structlog.get_logger(__name__)

AGAIN_MS = 30_000


class Surveys(Work[RatingRow, RatingState]):
    """Works until cancelled. `client_numbers`: caller ids of the clients who are on a call now."""

    def __init__(
        self,
        config: Config,
        *,
        may: May,
        ledger: RatingLedger,
        rest: Rest,
        callback_open: Callable[[str | None], Awaitable[bool]],
        client_numbers: Callable[[], Collection[str]],
        now_ms: Callable[[], int],
        publish: Callable[[RatingMoved], None],
        steady_ms: Callable[[], int],
    ) -> None:
        self._settings = config.rating
        self._may = may
        self._ratings = ledger
        self._callback_open = callback_open
        self._client_numbers = client_numbers
        self._dialplan = RatingDialplan(config, rest)
        super().__init__(
            ledger, self._dialplan, config.rating, now_ms=now_ms, steady_ms=steady_ms, publish=publish
        )
        # By rating, on the steady clock: the earliest moment of the next try, and the moment of the answer,
        # after which the client should be in the menu.
        self._not_before_ms: dict[str, int] = {}
        self._answered_ms: dict[str, int] = {}

    def hear(self, event: ari.Event) -> None:
        """Take in an event from Asterisk or from the journal. Does not wait."""
        self.said(signals.read(event))

    def _moved(self, row: RatingRow, to: RatingState, reason: str) -> None:
        log.info("rating moved", action="rating_moved", rating=row.id, state=to.value, reason=reason)
        if to not in OPEN:
            self._not_before_ms.pop(row.id, None)
            self._answered_ms.pop(row.id, None)

    def _patience_s(self, _row: RatingRow) -> float:
        return self._settings.ring_s

    async def _forget(self, row: RatingRow) -> None:
        if row.comment_file is not None and await self._dialplan.deleted(row.comment_file):
            await self._ratings.comment_gone(row)
        await super()._forget(row)

    async def _go_on(self, opened: Sequence[RatingRow]) -> None:
        now_ms, steady_ms = self._now_ms(), self.steady_ms()
        due = [
            rating
            for rating in opened
            if rating.state is RatingState.SCHEDULED
            and rating.due_at_ms <= now_ms
            and self._not_before_ms.get(rating.id, steady_ms) <= steady_ms
        ]
        if not due or not self.linked:
            return
        await self._dialplan.look()
        on_a_call = {self._may.guard.read(number) for number in self._client_numbers()}
        for rating in due:
            if await self._call(rating, on_a_call):
                on_a_call.add(rating.number)

    async def _call(self, rating: RatingRow, on_a_call: Collection[str | None]) -> bool:
        """Take a due rating one step on. True if its client is being called."""
        now_ms = self._now_ms()
        if now_ms - rating.due_at_ms > self._settings.expire_h * HOUR_MS:
            await self.move(rating, RatingState.EXPIRED, reason="too_late")
            return False
        # No exemption from the calling hours: it is for clients whose talk broke.
        client = await self._may.call(rating.number or "", rating.line, at_ms=now_ms)
        if client.number is None or client.never is not None:
            await self.move(rating, RatingState.SUPPRESSED, reason=client.never or "")
            return False
        waits = (
            not client.now
            or not self.may_begin()
            or client.number in on_a_call
            or await self._callback_open(client.number)
        )
        return False if waits else await self._dial(rating, client.number)

    async def _dial(self, rating: RatingRow, number: str) -> bool:
        """Write a rating call down, then begin it. The dialplan dials the client if the fence lets it."""
        channel = channel_id(rating.id, rating.attempts + 1, rating.line)
        dialling = await self.move(
            rating, RatingState.DIALLING, among=(RatingState.SCHEDULED,), channel=channel
        )
        if dialling is None:
            return False
        self.begun(rating)
        error = await self._dialplan.call(dialling, number)
        if error is not None:
            if await self._dialplan.lives(channel) is False:
                self._not_before_ms[rating.id] = self.steady_ms() + AGAIN_MS
                log.warning("a rating call was not begun", action="rating_originate", error=str(error))
            # The fence is asked whether the client was dialled.
            self.looked_after.discard(rating.id)
        return True

    # --- what Asterisk said --------------------------------------------------------------------------

    async def _take(self, item: RatingReport) -> None:
        rating = await self._ledger.find(item.about)
        if rating is None or rating.mode is not Mode.CALL:
            return
        match item.said:
            case RatingSignal.OVER:
                await self._over(rating, item)
            case RatingSignal.FENCE:
                await self._behind_fence(rating, item)
            case RatingSignal.REFUSED:
                await self.move(rating, RatingState.NOT_REACHED, reason="refused_by_dialplan")
            case RatingSignal.GONE:
                if item.channel_id == rating.channel_id:
                    # A report of the result has come before; if not, the fence is asked.
                    self.looked_after.discard(rating.id)
            case RatingSignal.FORGOTTEN:
                await self.gone(rating)
            case RatingSignal.LOCKED:
                log.warning("the fence was locked", action="rating_locked", rating=rating.id)
            case RatingSignal.DIALLING:
                pass

    async def _over(self, rating: RatingRow, item: RatingReport) -> None:
        if item.status == "ANSWER":
            # The menu reports next; or the dialplan has thanked the client because there was no menu.
            self._answered_ms.setdefault(rating.id, self.steady_ms())
            return
        why = await self.why_not_reached(rating, item)
        await self.move(rating, RatingState.NOT_REACHED, reason=why)

    async def _behind_fence(self, rating: RatingRow, item: RatingReport) -> None:
        """The answer to our question about the fence, or a second attempt found it claimed."""
        now_ms = self.steady_ms()
        lives = await self._dialplan.lives(rating.channel_id)
        if not item.at:
            if lives is False and rating.state is RatingState.DIALLING:
                if rating.attempts > 1:
                    # The daemon was not killed: something keeps the dialplan from dialling. Try again later.
                    self._not_before_ms.setdefault(rating.id, now_ms + AGAIN_MS)
                self.asked_ms.pop(rating.id, None)
                await self.move(rating, RatingState.SCHEDULED, reason="not_dialled")
        elif item.status == "ANSWER":
            if now_ms - self._answered_ms.setdefault(rating.id, now_ms) > GRACE_MS:
                among = (RatingState.DIALLING,)
                await self.move(rating, RatingState.UNANSWERED, reason="interrupted", among=among)
        elif item.status or not lives:
            why = await self.why_not_reached(rating, item)
            await self.move(rating, RatingState.NOT_REACHED, reason=why)
