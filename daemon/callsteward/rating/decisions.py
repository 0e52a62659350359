"""The decision who is asked for a rating, as clients come to the menu and as calls end; it is in the record.

Runs after the callbacks' decision, between the tracker and the store: a rating call is in the ledger before
the record that announces it is stored or published. When a journal is run again, a call finds its row in the
ledger and gets the same result.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence

import msgspec
import structlog

from callsteward.clock import DAY_MS
from callsteward.config import Config
from callsteward.config.profile import Profile
from callsteward.outgoing.guard import Checked
from callsteward.outgoing.may import May
from callsteward.rating.complaints import TAGGED, Complaints
from callsteward.rating.eligibility import COMPLAINT, WHATEVER_IS_KNOWN, Talk, against
from callsteward.rating.escalation import Escalation
from callsteward.rating.ledger import RatingLedger
from callsteward.rating.standing import ClientStanding, Concerned, LookUp
from callsteward.rating.states import ComplaintRaised, Mode, RatingMoved, RatingRow, RatingState
from callsteward.record.call import CallRecord, Direction, Outcome, Party, Rating, ms_of, spoken_s
from callsteward.record.facts import CallEnded, Fact, HandOver
from callsteward.record.rating_id import rating_of

log = structlog.get_logger(__name__)

_REMEMBERED = 10_000
# The end of the call and the pressed key come over two sockets: the record waits this long for the key.
SETTLE_S = 0.7

Publish = Callable[[RatingMoved | ComplaintRaised], None]


class RatingDecisions:
    """Decides who is asked, and puts the rating's result into each record. Methods raise StoreError."""

    def __init__(
        self,
        config: Config,
        *,
        ledger: RatingLedger,
        complaints: Complaints,
        may: May,
        look_up: LookUp,
        now_ms: Callable[[], int],
        publish: Publish,
    ) -> None:
        self._config = config
        self._ledger = ledger
        self._guard = may.guard
        self._look_up = look_up
        self._now_ms = now_ms
        self._publish = publish
        self.escalation = Escalation(complaints, now_ms, publish)
        # By channel: clients who have come to the rating by the tracker's word, and menus that wait for it.
        self._arrived: OrderedDict[str, HandOver] = OrderedDict()
        self._expected: dict[str, asyncio.Future[HandOver]] = {}
        # By call: why a client who came to the menu was not asked; None if the menu began or failed to.
        self._came: OrderedDict[str, str | None] = OrderedDict()
        self._menus: dict[str, asyncio.Event] = {}

    # --- the client is in the menu --------------------------------------------------------------------

    async def arrival(self, channel_id: str, limit_s: float) -> HandOver | None:
        """The hand-over of a channel that has come to the menu; None if its call was not observed."""
        found = self._arrived.pop(channel_id, None)
        if found is not None:
            return found
        future: asyncio.Future[HandOver] = asyncio.get_running_loop().create_future()
        self._expected[channel_id] = future
        try:
            async with asyncio.timeout(limit_s):
                return await future
        except TimeoutError:
            return None
        finally:
            self._expected.pop(channel_id, None)

    async def admit(self, client: HandOver) -> RatingRow | str:
        """The rating, written down in state `asking`; or the rule by which the client is not asked."""
        rating, why = await self._admitted(client)
        if rating is None:
            self._remember_came(client.call_id, why)
            return why
        self._menus[rating.call_id] = asyncio.Event()
        self._publish(RatingMoved(rating))
        return rating

    async def _admitted(self, client: HandOver) -> tuple[RatingRow | None, str]:
        now_ms = self._now_ms()
        name = rating_of(client.call_id)
        if name is not None:
            rating = await self._ledger.find(name)
            if rating is not None:
                rating = await self._ledger.move(rating, RatingState.ASKING, at_ms=now_ms)
            return rating, "already_asked"
        number = self._guard.read(client.client_number)
        profile = self._config.profile(client.line)
        (known,) = await self._look_up.of([Concerned(client.call_id, number, client.client_ref)])
        talk = Talk(
            call_id=client.call_id,
            direction=client.direction,
            connected=client.connected,
            dialogue=client.dialogue,
            broke=not client.handed_over,
            callback_pending=known.callback_pending,
            tags=known.tags,
            asked_days_ago=self._days_ago(known.asked_ms),
        )
        why = against(talk, _in_the_menu(profile), enabled=self._config.rating.enabled)
        if why is not None:
            return None, why
        rating = await self._ledger.open(
            call_id=client.call_id,
            mode=Mode.TRANSFER if profile.rating == "transfer" else Mode.STAY,
            line=client.line,
            operator=client.operator,
            number=number,
            client_masked=client.client_masked,
            client_ref=client.client_ref,
            at_ms=now_ms,
        )
        return rating, "already_asked"

    async def against(self, call_id: str, line: str, caller: str) -> str | None:
        """The rule by which a client would not be asked if they came to the menu now; None if they would be.

        For a dialplan that asks before the menu. The talk is assumed to have got past its greeting. Nothing
        is written down, and `admit` decides again.
        """
        number = self._guard.read(caller)
        profile = self._config.profile(line)
        (known,) = await self._look_up.of([Concerned(call_id, number)])
        talk = Talk(
            call_id=call_id,
            direction=Direction.INBOUND,
            connected=True,
            dialogue=True,
            callback_pending=known.callback_pending,
            tags=known.tags,
            asked_days_ago=self._days_ago(known.asked_ms),
        )
        return against(talk, _in_the_menu(profile), enabled=self._config.rating.enabled)

    async def keep(self, rating: RatingRow, *, score: int) -> RatingRow | None:
        """Write the score down, publish it, and escalate a low one. None if there was a score already."""
        kept = await self._ledger.keep(rating, at_ms=self._now_ms(), score=score)
        if kept is None:
            return None
        self._publish(RatingMoved(kept))
        if score <= self._config.profile(kept.line).complaint_score:
            await self.escalation.of_rating(kept, score)
        return kept

    async def add(
        self,
        rating: RatingRow,
        *,
        question: int | None = None,
        comment_file: str | None = None,
        comment_ms: int | None = None,
    ) -> None:
        """Write down the answer to the second question, or the comment."""
        kept = await self._ledger.keep(
            rating,
            at_ms=self._now_ms(),
            question=question,
            comment_file=comment_file,
            comment_ms=comment_ms,
        )
        if kept is not None:
            self._publish(RatingMoved(kept))

    async def unanswered(self, rating: RatingRow, why: str) -> None:
        """The menu ended without a score."""
        moved = await self._ledger.move(
            rating,
            RatingState.UNANSWERED,
            at_ms=self._now_ms(),
            reason=why,
            among=(RatingState.ASKING, RatingState.DIALLING),
        )
        if moved is not None:
            self._publish(RatingMoved(moved))

    def menu_over(self, rating: RatingRow) -> None:
        """No more answers will be written down: the record need not wait."""
        over = self._menus.pop(rating.call_id, None)
        if over is not None:
            over.set()

    async def end_interrupted(self) -> None:
        """End the ratings that an earlier process was asking for: the dialplan has thanked their clients."""
        for rating in await self._ledger.asking():
            if rating.call_id not in self._menus:
                await self.unanswered(rating, "interrupted")

    # --- the call ends --------------------------------------------------------------------------------

    async def judge(self, facts: Sequence[Fact]) -> Sequence[Fact]:
        """The facts with each ended call's rating in its record. Raises StoreError; may be asked again."""
        judged: list[Fact] = []
        known: dict[str, ClientStanding] = {}
        for number, fact in enumerate(facts):
            if isinstance(fact, HandOver):
                self._arrive(fact)
            elif isinstance(fact, CallEnded):
                call_id = fact.record.call_id
                if call_id not in known:
                    known = await self._known(facts[number:])
                told = await self._ended(fact, known.pop(call_id))
                if told.status != "not_asked":
                    # A rating was written down, perhaps of a client of the next calls.
                    known.clear()
                judged.append(
                    msgspec.structs.replace(fact, record=msgspec.structs.replace(fact.record, rating=told))
                )
            else:
                judged.append(fact)
        return judged

    def _arrive(self, client: HandOver) -> None:
        if client.call_id not in self._came:
            self._remember_came(client.call_id, None)
        future = self._expected.get(client.channel_id)
        if future is not None and not future.done():
            future.set_result(client)
            return
        self._arrived[client.channel_id] = client
        if len(self._arrived) > _REMEMBERED:
            self._arrived.popitem(last=False)

    def _remember_came(self, call_id: str, why: str | None) -> None:
        self._came[call_id] = why
        if len(self._came) > _REMEMBERED:
            self._came.popitem(last=False)

    async def _known(self, facts: Sequence[Fact]) -> dict[str, ClientStanding]:
        """The standing of the clients whose calls ended, by call: asked for in one go."""
        calls = [self._concerned(fact) for fact in facts if isinstance(fact, CallEnded)]
        found = await self._look_up.of(calls)
        return {call.call_id: known for call, known in zip(calls, found, strict=True)}

    def _concerned(self, fact: CallEnded) -> Concerned:
        record = fact.record
        profile = self._config.profile(record.line)
        talk = _talk(record, profile)
        # The database is asked only if neither the configuration nor the call itself forbids it.
        if against(talk, profile, enabled=self._config.rating.enabled) in WHATEVER_IS_KNOWN:
            return Concerned(record.call_id, None)
        return Concerned(record.call_id, self._number(fact), record.client_ref)

    def _number(self, fact: CallEnded) -> str | None:
        """Who the client is, whether or not their number may be dialled."""
        return self._guard.read(fact.client_number.strip(" "))

    async def _ended(self, fact: CallEnded, known: ClientStanding) -> Rating:
        record = fact.record
        if COMPLAINT in known.tags and record.direction is not Direction.RATING:
            await self.escalation.of_call(record, TAGGED)
        if record.direction is Direction.RATING:
            return await self._of_rating_call(record)
        rating = known.rating
        if rating is None:
            return await self._not_asked(fact, known)
        if rating.mode is Mode.CALL:
            return _SCHEDULED
        return await self._outcome(rating)

    async def _of_rating_call(self, record: CallRecord) -> Rating:
        rating = await self._ledger.find(rating_of(record.call_id) or "")
        if rating is None or record.answered_at is None:
            return Rating("not_asked", "not_reached")
        return await self._outcome(rating)

    async def _outcome(self, rating: RatingRow) -> Rating:
        """The result of a rating whose client has hung up."""
        menu = self._menus.get(rating.call_id)
        if menu is not None:
            try:
                async with asyncio.timeout(SETTLE_S):
                    await menu.wait()
            except TimeoutError:
                log.warning("the record did not wait for the key", action="rating_late", rating=rating.id)
        elif rating.state is RatingState.ASKING:
            await self.unanswered(rating, "interrupted")
        now = await self._ledger.of_call(rating.call_id) or rating
        if now.state is RatingState.ANSWERED:
            return Rating("answered", now.mode.value, now.score)
        return Rating("unanswered", now.reason or "hung_up")

    async def _not_asked(self, fact: CallEnded, known: ClientStanding) -> Rating:
        record = fact.record
        profile = self._config.profile(record.line)
        # Whether the number may be dialled matters only where they would be called.
        client = self._guard.check(fact.client_number) if profile.rating == "call" else None
        talk = _talk(record, profile, known, client)
        talk = msgspec.structs.replace(talk, asked_days_ago=self._days_ago(known.asked_ms))
        why = against(talk, profile, enabled=self._config.rating.enabled)
        if why is not None:
            return Rating("not_asked", why)
        refused = self._came.get(record.call_id)
        if refused is not None:
            return Rating("not_asked", refused)
        if profile.rating == "call":
            return await self._schedule(record, self._number(fact), profile.rating_delay_min)
        if record.call_id in self._came:
            return Rating("not_asked", "not_available")
        if record.hangup.first is Party.CLIENT:
            return Rating("not_asked", "client_hung_up")
        if record.hangup.first is Party.UNKNOWN and not record.complete:
            # The operator may have handed the client over unobserved.
            return Rating("not_asked", "not_observed")
        return Rating("not_asked", "not_handed_over" if profile.rating == "stay" else "not_transferred")

    async def _schedule(self, record: CallRecord, number: str | None, delay_min: float) -> Rating:
        now_ms = self._now_ms()
        ended_ms = ms_of(record.ended_at)
        rating = await self._ledger.open(
            call_id=record.call_id,
            mode=Mode.CALL,
            line=record.line,
            operator=record.operator,
            number=number,
            client_masked=record.client_masked,
            client_ref=record.client_ref,
            at_ms=now_ms,
            due_ms=(now_ms if ended_ms is None else ended_ms) + int(delay_min * 60_000),
        )
        if rating is not None:
            self._publish(RatingMoved(rating))
        return _SCHEDULED

    def _days_ago(self, last_ms: int | None) -> float | None:
        return None if last_ms is None else max(0, self._now_ms() - last_ms) / DAY_MS


_SCHEDULED = Rating("scheduled", Mode.CALL.value)


def _in_the_menu(profile: Profile) -> Profile:
    """The profile for a client in the menu, which does not depend on whether their number may be dialled."""
    return profile.model_copy(update={"rating": "stay"}) if profile.rating == "call" else profile


_NOTHING = ClientStanding(None, frozenset(), callback_pending=False, do_not_call=False, asked_ms=None)


def _talk(
    record: CallRecord, profile: Profile, known: ClientStanding = _NOTHING, client: Checked | None = None
) -> Talk:
    return Talk(
        call_id=record.call_id,
        direction=record.direction,
        connected=record.connected,
        dialogue=_dialogue(record, profile.greeting_s),
        broke=record.outcome is Outcome.MID_DIALOGUE_DROP,
        callback=record.callback.decision,
        callback_pending=known.callback_pending,
        tags=known.tags,
        do_not_call=known.do_not_call,
        client=client,
    )


def _dialogue(record: CallRecord, greeting_s: float) -> bool:
    """True if the greeting was over, or may have been: part of the call was not observed."""
    if record.outcome is Outcome.EARLY_DROP:
        return False
    return spoken_s(record) >= greeting_s or not record.complete
