"""The tracker: Asterisk's events in, facts about calls out. No IO and no clock of its own.

Every channel begins as a call of its own; events (a dial, a bridge, a transfer) join calls until one is left
per client. This must hold for any stream, whole, cut or out of order: no event makes it raise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from callsteward.ari import events as ari
from callsteward.calls import (
    attempts,
    dials,
    interruption,
    linking,
    live,
    origin,
    provenance,
    rating_entry,
    requests,
    tagging,
    talk,
    transfers,
    unseen,
)
from callsteward.calls.deadlines import Limit
from callsteward.calls.deliveries import Delivered
from callsteward.calls.desk import Desk, OperatorLeft
from callsteward.calls.directory import Directory
from callsteward.calls.handover import announced
from callsteward.calls.hangup import LegEnd
from callsteward.calls.measure import record_of
from callsteward.calls.model import Call, Leg
from callsteward.calls.redate import redate
from callsteward.calls.roster import Roster
from callsteward.calls.stamps import Stamps
from callsteward.record.call import Side
from callsteward.record.facts import CallEnded, Fact, LineNow, OperatorNow
from callsteward.record.number import Numbers

if TYPE_CHECKING:
    from callsteward.config import Config

# An operator's phone can outlive the call it served (a conference, an agent always on the line). This long
# after the end of the client's last channel the record is written without waiting for that phone.
LINGER_MS: Final = 5_000
_CLIENT: Final = Side.CLIENT
_OPERATOR: Final = Side.OPERATOR
_NONE: Final[Sequence[Fact]] = ()
_LINGER: Final = Limit.LINGER
_SILENCE: Final = Limit.SILENCE
_HOLD: Final = Limit.HOLD
# Events at which no time passes: a channel that a snapshot finds gone may have ended before its limit, and
# the journal's own marks carry the time themselves.
_NO_TIME_PASSES: Final[frozenset[type]] = frozenset({ari.Snapshot, ari.Left, ari.Heard})
_CLOCK_SET: Final[type] = ari.ClockSet


class Tracker:
    """Follows the calls of one PBX."""

    def __init__(self, config: Config) -> None:
        self._desk = Desk(config, Directory(config), Numbers(config.site.region, config.privacy.key))
        self._roster = Roster(self._desk)
        self.last_event_ms = 0
        # The beginning of a gap in which the clock was set, converted to the new clock.
        self._moved_to_ms: int | None = None
        # Whether a break of the connection may have cost calls that are on some events.
        self._interrupted = False
        self._broke_off_at = ""
        self._stamps = Stamps()
        self._stamp = ""
        # These get every fact; the moment of the event is in `last_event_ms`.
        self._on: dict[type, Callable[[Any], None]] = {
            ari.ChannelCreated: self._created,
            ari.ChannelStateChange: self._state_changed,
            ari.ChannelDestroyed: self._destroyed,
            ari.ChannelHangupRequest: self._hangup_requested,
            ari.ChannelHold: self._held,
            ari.ChannelUnhold: self._unheld,
            ari.ChannelTalkingStarted: self._talking_started,
            ari.ChannelTalkingFinished: self._talking_finished,
            ari.ChannelEnteredBridge: self._entered,
            ari.ChannelLeftBridge: self._left,
            ari.BridgeCreated: self._bridge_seen,
            ari.BridgeDestroyed: self._bridge_destroyed,
            ari.BridgeMerged: self._bridge_merged,
            ari.BridgeBlindTransfer: self._blind_transferred,
            ari.BridgeAttendedTransfer: self._attended_transferred,
            ari.Dial: self._dialled,
            ari.Snapshot: self._reconcile,
            ari.Compacted: self._compacted,
            ari.Shed: self._shed,
            ari.Left: self._left_before,
            ari.Heard: self._heard_before,
            ari.ClockSet: self._clock_set,
            ari.Interrupted: self._broke_off,
        }
        self._tags = config.tags.enabled
        self._rating = config.rating.enabled
        if config.tags.enabled:
            self._on[ari.TagCommanded] = self._told_by_command
        if config.tags.enabled or config.rating.enabled:
            self._on[ari.ChannelUserevent] = self._said

    # --- what the shell calls ----------------------------------------------------------------------

    def handle(self, event: ari.Event) -> Sequence[Fact]:
        """The facts that follow from an event; limits crossed before it come first."""
        desk = self._desk
        kind = type(event)
        handler = self._on.get(kind)
        if handler is None:
            # It is about no call, but time passes all the same.
            told = self._stamps.ms(event.timestamp)
            if told is not None and desk.deadlines.may_be_due(told):
                self._fire(told)
            return self._told() if desk.facts else _NONE
        # Events at one moment have one stamp: a bridge and those who enter it, a call and its end.
        stamp = event.timestamp
        if stamp != self._stamp:
            self._stamp = stamp
            self.last_event_ms = self._stamps.ms_or(stamp, self.last_event_ms)
        ms = self.last_event_ms
        if desk.deadlines.may_be_due(ms) and kind not in _NO_TIME_PASSES:
            self._fire(ms)
        if self._interrupted:
            interruption.look(self._roster, event, ms)
        handler(event)
        if self._moved_to_ms is not None and kind is not _CLOCK_SET:
            self._moved_to_ms = None
        return self._told() if desk.facts else _NONE

    def advance(self, now_ms: int) -> Sequence[Fact]:
        """The facts that follow from time alone, up to a moment on Asterisk's clock."""
        self._fire(now_ms)
        return self._told()

    def reconfigure(self, config: Config) -> None:
        """Go on with other lines, profiles and operators. Limits that already run stay as they are."""
        self._desk.reconfigure(config, Directory(config))

    def finish(self) -> Sequence[Fact]:
        """The stream ended: every call that is still on gets a record that says so."""
        ms = self.last_event_ms
        for call in self._roster.calls():
            if not call.client_gone:
                call.unobserved = (*call.unobserved, (ms, None))
            self._end_call(call, ms)
        self._roster.clear()
        return self._told()

    def _told(self) -> Sequence[Fact]:
        """The facts so far; each is handed out once."""
        facts, self._desk.facts = self._desk.facts, []
        return facts

    @property
    def next_deadline_ms(self) -> int | None:
        """The moment on Asterisk's clock at which `advance` has something to say."""
        return self._desk.deadlines.next_ms

    @property
    def open_calls(self) -> int:
        """How many calls with a client are on."""
        return sum(1 for call in self._roster.calls() if call.client is not None or call.client_gone)

    @property
    def open_since_ms(self) -> int | None:
        """When the oldest call that is on began; None if none is on."""
        return min((call.started_ms for call in self._roster.calls()), default=None)

    @property
    def partly_seen(self) -> int:
        """How many calls that are on were not observed the whole time."""
        return sum(1 for call in self._roster.calls() if call.unobserved)

    @property
    def open_legs(self) -> int:
        """How many channels are known; 0 means that nothing is going on. Cheap, unlike `open_calls`."""
        return len(self._roster.legs)

    def left_calls(self) -> list[ari.LeftCall]:
        """The call that each operator left last, as long as a code dialled later may mean it."""
        since = self.last_event_ms - self._desk.wrap_up_ms
        return [
            ari.LeftCall(operator, left.call_id, left.line, left.at_ms)
            for operator, left in self._desk.left.items()
            if left.at_ms >= since
        ]

    def listened(self) -> tuple[ari.Listened, ...]:
        """Each endpoint that had a part in a talk, and whether it is heard."""
        return self._desk.voices.all()

    @property
    def heard_anew(self) -> bool:
        """True if `listened_anew` has something to say."""
        return self._desk.voices.changed

    def listened_anew(self) -> list[tuple[str, ari.Listened | None]]:
        """The endpoints for which that has changed since the last time; None: this one is no longer kept."""
        return self._desk.voices.changes()

    def take_deliveries(self) -> list[Delivered]:
        """How trunks wrote their callers' numbers since the last time."""
        return self._desk.deliveries.take()

    def client_numbers(self) -> set[str]:
        """The numbers of clients who are on a call now, as the lines delivered them."""
        return {call.client_number for call in self._roster.calls() if call.client is not None} - {""}

    def lines_now(self) -> list[LineNow]:
        """Gauges of each line that has calls."""
        return live.lines_now(self._roster.calls())

    def operators_now(self) -> list[OperatorNow]:
        """The state of each operator who is on a call."""
        return live.operators_now(self._roster.legs.values())

    # --- channels ----------------------------------------------------------------------------------

    def _created(self, event: ari.ChannelCreated) -> None:
        ms = self.last_event_ms
        channel = event.channel
        channel_id = channel.id
        if channel_id in self._roster.legs or self._roster.is_late(channel):
            return
        leg = self._roster.add(channel_id, channel, ms, event.timestamp)
        origin.made(leg, channel)
        linking.join_linked(self._desk, leg, channel, self._roster.legs)
        if not leg.dialled:
            linking.cast(self._desk, leg.call, ms, channel)
        # The line was looked up when the channel became a client's.
        leg.up = channel.state == "Up"

    def _state_changed(self, event: ari.ChannelStateChange) -> None:
        ms = self.last_event_ms
        channel = event.channel
        leg = self._roster.leg(channel, ms)
        if leg is not None and channel.state == "Ringing":
            attempts.ringing(self._desk, leg, ms)

    def _hangup_requested(self, event: ari.ChannelHangupRequest) -> None:
        ms = self.last_event_ms
        leg = self._roster.leg(event.channel, ms)
        if leg is not None and leg.endpoint.person:
            requests.made(self._desk, leg, event, ms)

    def _destroyed(self, event: ari.ChannelDestroyed) -> None:
        ms = self.last_event_ms
        channel_id = event.channel.id
        leg = self._roster.legs.get(channel_id)
        self._roster.remember(channel_id, ms)
        if leg is not None:
            self._remove(leg, ms, event)

    def _remove(self, leg: Leg, ms: int, event: ari.ChannelDestroyed | None) -> None:
        """A channel is gone. `event` says how; None if its end was not observed."""
        desk = self._desk
        passed_back = attempts.passed_back(leg.call, leg)
        if leg.bridge is not None:
            self._roster.detach(leg, ms)
        call = leg.call
        cause = event.cause if event is not None else 0
        attempts.ended(desk, leg, ms, cause)
        if event is not None:
            provenance.ended(call, leg, cause)
            if leg is call.client:
                if call.handed_over_ms is None:
                    if leg.dialled:  # after several tries the last one counts
                        call.ends = tuple([end for end in call.ends if end.side is not _CLIENT])
                    call.ends += (_end(desk, leg, _CLIENT, event, passed_back),)
            elif call.contact or transfers.given_away(call, leg):
                pass  # the talk went on without it, or the client was transferred
            elif leg in call.last_contact or not (leg.dialled or call.talks):
                call.ends += (_end(desk, leg, _OPERATOR, event),)
        if leg.hold_ms is not None:
            talk.close_hold(desk, leg, ms)
        self._roster.forget(leg)
        call.legs.remove(leg)
        if leg is call.client:
            if call.waits_for is not None:
                talk.close_hold(desk, call.waits_for, ms, only=call)
            linking.client_left(desk, call, leg, ms if event is not None else None)
        if not call.legs:
            self._end_call(call, self.last_event_ms)
        elif call.client_gone and call.linger is None:
            call.linger = desk.deadlines.add(ms + LINGER_MS, _LINGER, ms, call)

    # --- bridges -----------------------------------------------------------------------------------

    def _bridge_seen(self, event: ari.BridgeCreated) -> None:
        self._roster.bridge(event.bridge)

    def _entered(self, event: ari.ChannelEnteredBridge) -> None:
        ms = self.last_event_ms
        channel = event.channel
        if channel is None:
            return
        leg = self._roster.leg(channel, ms)
        if leg is not None:
            self._roster.enter(leg, event.bridge, ms)

    def _left(self, event: ari.ChannelLeftBridge) -> None:
        ms = self.last_event_ms
        leg = self._roster.leg(event.channel, ms)
        if leg is not None:
            self._roster.leave(leg, event.bridge, ms)

    def _bridge_destroyed(self, event: ari.BridgeDestroyed) -> None:
        self._roster.destroy(event.bridge.id, self.last_event_ms)

    def _bridge_merged(self, event: ari.BridgeMerged) -> None:
        # Asterisk also sends the moves of the channels; this is only for streams that lost them.
        self._roster.merge(event.bridge, event.bridge_from, self.last_event_ms)

    # --- dials, holds, speech, transfers -------------------------------------------------------------

    def _dialled(self, event: ari.Dial) -> None:
        dials.told(self._desk, self._roster, event, self.last_event_ms)

    def _said(self, event: ari.ChannelUserevent) -> None:
        ms = self.last_event_ms
        if self._tags:
            tagging.by_phone(self._desk, self._roster, event, ms)
        if not self._rating or event.channel is None or not announced(event):
            return
        leg = self._roster.leg(event.channel, ms)
        if leg is not None:
            rating_entry.enter(self._desk, leg, ms)

    def _held(self, event: ari.ChannelHold) -> None:
        ms = self.last_event_ms
        leg = self._roster.leg(event.channel, ms)
        if leg is not None:
            talk.hold(self._desk, leg, ms)

    def _unheld(self, event: ari.ChannelUnhold) -> None:
        ms = self.last_event_ms
        leg = self._roster.leg(event.channel, ms)
        if leg is not None:
            talk.unhold(self._desk, leg, ms)

    def _talking_started(self, event: ari.ChannelTalkingStarted) -> None:
        ms = self.last_event_ms
        channel = event.channel
        leg = self._roster.leg(channel, ms)
        if self._desk.deaf:
            return
        self._heard(leg, channel)
        # A Local channel relays the speech of the phone behind it: it would count twice.
        if leg is not None and leg.endpoint.person:
            talk.speech_started(leg, ms)

    def _talking_finished(self, event: ari.ChannelTalkingFinished) -> None:
        ms = self.last_event_ms
        channel = event.channel
        leg = self._roster.leg(channel, ms)
        if not self._desk.deaf:
            self._heard(leg, channel)
            if leg is not None and leg.endpoint.person:
                talk.speech_finished(self._desk, leg, ms, event.duration)

    def _heard(self, leg: Leg | None, channel: ari.Channel) -> None:
        """A talk event of a channel, which may be gone already: its endpoint can be heard."""
        voice = leg.voice if leg is not None else None
        if voice is not None and voice.heard and not voice.quiet:
            voice.events += 1  # most talk events say nothing new about the endpoint
            return
        desk = self._desk
        if leg is None:
            desk.voices.event(desk.voices.of(desk.directory.endpoint(channel.name)))
            return
        if voice is None:
            voice = leg.voice = desk.voices.of(leg.endpoint)
        desk.voices.event(voice)

    def _blind_transferred(self, event: ari.BridgeBlindTransfer) -> None:
        transfers.blind(self._desk, self._roster, event, self.last_event_ms)

    def _attended_transferred(self, event: ari.BridgeAttendedTransfer) -> None:
        transfers.attended(self._desk, self._roster, event, self.last_event_ms)

    # --- tags ----------------------------------------------------------------------------------------

    def _told_by_command(self, event: ari.TagCommanded) -> None:
        ms = self.last_event_ms
        tagging.by_command(self._desk, self._roster, event, ms)

    # --- time, ends, reconciliation ------------------------------------------------------------------

    def _fire(self, now_ms: int) -> None:
        desk = self._desk
        while (deadline := desk.deadlines.pop_due(now_ms)) is not None:
            target = deadline.target
            deadline.target = None
            if isinstance(target, Call):
                if deadline.limit is _LINGER:
                    self._give_up_waiting(target, deadline.at_ms)
                elif deadline.limit is _SILENCE:
                    talk.silence_due(desk, target, deadline)
                elif target.contact:
                    desk.alert(target, deadline, target.operator)
            elif isinstance(target, Leg):
                call = target.contacts[0] if target.contacts else target.call
                if deadline.limit is _HOLD:
                    target.hold_deadline = None
                elif target.attempt is not None:
                    target.attempt.deadline = None
                if call.client is not None:
                    desk.alert(call, deadline, target.operator)

    def _give_up_waiting(self, call: Call, ms: int) -> None:
        """The client is gone and somebody's phone is not: the call is over all the same."""
        call.linger = None
        interruption.note(call)  # during a break, the remaining phone may have gone as well
        self._end_call(call, ms)
        remaining = call.legs
        if remaining:
            linking.leave_behind(remaining)

    def _end_call(self, call: Call, ms: int) -> None:
        desk = self._desk
        for leg in call.legs:
            if leg is call.waits_for or call.side(leg) is not None:
                talk.close_hold(desk, leg, ms, only=call)
            talk.close_speech(leg, ms, only=call)
            desk.drop(leg.attempt.deadline if leg.attempt is not None else None)
        desk.disarm(call)
        record = record_of(desk, call, ms)
        desk.voices.call_over(call)
        if self._interrupted:
            call.interruption = None
            self._interrupted = any(interruption.in_doubt(other) for other in self._roster.calls())
        # Its legs refer to their call: without this the two would wait for the garbage collector.
        call.last_contact = ()
        call.parts = ()
        call.clients_part = None
        if record is not None:
            desk.facts.append(CallEnded(record, call.client_number))

    def _reconcile(self, event: ari.Snapshot) -> None:
        """Reconcile with Asterisk's lists after a connect: what vanished, what is new, what was missed."""
        ms = self.last_event_ms
        gap = ari.epoch_ms(event.gap_from) if event.gap_from else None
        if gap is not None:
            # If the clock was set meanwhile, the gap's beginning is on the old clock.
            gap = min(gap if self._moved_to_ms is None else self._moved_to_ms, ms)
        present = {channel.id for channel in event.channels}
        vanished = [leg for leg in self._roster.legs.values() if leg.id not in present]
        if gap is not None:
            unseen.restarted(self._roster, event, gap, vanished)
            if event.gap_from == self._broke_off_at:
                # Except for that instant, Asterisk kept everything.
                for call in self._roster.calls():
                    interruption.note(call)
            else:
                unseen.gap(self._roster, gap, ms)
        seen_ms = ms if gap is None else gap
        talked = [call for call in self._roster.calls() if call.contact and not call.requests]
        for leg in vanished:
            self._roster.remember(leg.id, seen_ms)
            self._remove(leg, seen_ms, None)
        self._roster.place(event.channels, event.bridges, ms, seen_ms)
        for call in talked:
            call.parted_unseen = not call.contact

    def _compacted(self, event: ari.Compacted) -> None:
        """A compacted journal begins: a late event of a channel removed from it brings no call back."""
        for channel_id, ms in event.ended().items():
            self._roster.remember(channel_id, ms)

    def _clock_set(self, event: ari.ClockSet) -> None:
        """Asterisk's clock was set: calls in progress are re-dated, so that their spans keep their length."""
        self.last_event_ms += event.by_ms
        self._moved_to_ms = self.last_event_ms
        redate(self._desk, self._roster.legs.values(), self._roster.calls(), event.by_ms)
        self._roster.move(event.by_ms)

    def _left_before(self, event: ari.Left) -> None:
        """The calls that operators left last, from a journal that no longer has those calls."""
        if self._tags:
            for item in event.calls:
                self._desk.left[item.operator] = OperatorLeft(item.call_id, item.line, item.at_ms)

    def _heard_before(self, event: ari.Heard) -> None:
        """The endpoints that sent talk events before, for a stream that does not have those events."""
        desk = self._desk
        if event.whole:
            desk.voices.learn(event.endpoints)
            return
        # It stands in place of removed events: an endpoint is named as Asterisk's channels are.
        for item in event.endpoints:
            desk.voices.event(desk.voices.of(desk.directory.endpoint(f"{item.endpoint}-0")))

    def _broke_off(self, event: ari.Interrupted) -> None:
        """Events that Asterisk sent just before the break may be lost: the calls that are on are in doubt."""
        if event.certain:
            since = ari.epoch_ms(event.since)
            unseen.gap(self._roster, min(since or self.last_event_ms, self.last_event_ms), self.last_event_ms)
            return
        self._broke_off_at = event.since
        self._interrupted = interruption.begin(self._roster, event, self.last_event_ms)

    def _shed(self, event: ari.Shed) -> None:
        """Speech on a channel was left out: its calls say so, as after a gap."""
        unseen.speech(self._roster, event, self.last_event_ms)


def _end(desk: Desk, leg: Leg, side: Side, event: ari.ChannelDestroyed, passed_back: bool = False) -> LegEnd:
    channelvars = event.channel.channelvars
    source = channelvars.hangupsource if channelvars is not None else None
    if source and source != leg.name:
        source = desk.directory.shown(source)
    refused = leg.dialled and not leg.up
    return LegEnd(
        side, leg.name, event.cause, event.tech_cause, source, passed_back, leg.inherited, refused=refused
    )
