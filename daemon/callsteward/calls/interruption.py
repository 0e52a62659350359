"""Events lost in a break of the connection, after which Asterisk kept the events that followed.

If Asterisk dials the daemon, it keeps events while nobody listens. So a break costs only the events that were
on their way at that instant, and no event has a number by which a loss would show. A loss shows in later
events only: an event that presupposes another one that never came, or the lack of an event that would have to
follow. A loss that leaves no such trace is assumed where much depends on it: for a hold or speech that began
before the break and whose end is never reported.

Only calls that were on at the break are looked at, each by itself, so that a journal from which other calls
have gone gives the same result. tests/replay/test_breaks.py says how many of all possible single losses in
recorded streams are detected.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from callsteward.ari import events as ari
from callsteward.calls import talk, unseen
from callsteward.calls.hangup import requester

if TYPE_CHECKING:
    from callsteward.calls.model import Call, Leg
    from callsteward.calls.roster import Roster

SOON_MS: Final = 1_000
"""An event without its cause this soon after a break may have lost it there; later on it never had one."""
LONG_MS: Final = 5_000
"""Hardly anybody speaks for this long without a pause: the end of that speech was probably lost."""


class _Sight(NamedTuple):
    """An event about a leg, before the leg is changed by it."""

    roster: Roster
    leg: Leg
    after_ms: int
    """Time since the break."""

    @property
    def soon(self) -> bool:
        return self.after_ms <= SOON_MS


def in_doubt(call: Call) -> bool:
    """True if a break may have cost this call events without anything having shown it yet."""
    return call.interruption is not None and not not_seen_whole(call)


def not_seen_whole(call: Call) -> bool:
    """True if a break has cost this call events."""
    return call.interruption is not None and call.interruption in call.unobserved


def begin(roster: Roster, event: ari.Interrupted, ms: int) -> bool:
    """Calls that are on are in doubt from now on; returns whether there are any."""
    since = ari.epoch_ms(event.since)
    calls = roster.calls()
    for call in calls:
        call.interruption = (ms if since is None else min(since, ms), ms)
    return bool(calls)


def look(roster: Roster, event: ari.Event, ms: int) -> None:
    """Look at an event before it is taken in: it may show that an earlier one was lost."""
    shows = _RULES.get(type(event))
    if shows is None:
        return
    channel = event.peer if isinstance(event, ari.Dial) else getattr(event, "channel", None)
    leg = roster.legs.get(channel.id) if channel is not None else None
    if leg is None:
        return
    call = leg.call
    if call.interruption is None or not_seen_whole(call):
        return
    sight = _Sight(roster, leg, ms - call.interruption[1])
    if sight.soon and _ends_unasked(leg, event):
        note(call)
        # The lost event may have said who ended the talk.
        call.parted_unseen = True
    elif shows(sight, event):
        note(call)


def note(call: Call) -> None:
    """Mark the call as not completely observed: nobody knows what the break cost it."""
    if call.interruption is None or not_seen_whole(call):
        return
    since_ms, until_ms = call.interruption
    unseen.over(call, since_ms, until_ms)
    for leg in dict.fromkeys((*call.legs, *call.contact)):
        if _from_before(leg, leg.talking_ms):
            talk.close_speech(leg, since_ms)  # if it went on, its end will give its length


# --- one rule for each type of event: whether it shows a loss ------------------------------------------


def _dial(sight: _Sight, event: ari.Dial) -> bool:
    attempt = sight.leg.attempt
    if not event.dialstatus or not _operators_phone(sight.leg):
        return False
    if attempt is None:
        return True  # no event said that it is dialled
    if attempt.result is not None:
        return False
    if event.dialstatus == "CANCEL":
        return sight.soon  # Asterisk also says so after a NOANSWER
    return event.dialstatus == "ANSWER" and attempt.ring_ms is None


def _state(sight: _Sight, event: ari.ChannelStateChange) -> bool:
    leg = sight.leg
    if event.channel.state != "Up" or not _operators_phone(leg):
        return False
    return leg.attempt is None or (leg.attempt.result is None and leg.attempt.ring_ms is None)


def _hangup_requested(sight: _Sight, event: ari.ChannelHangupRequest) -> bool:
    return _state_untold(sight.leg, event.channel)


def _held(sight: _Sight, event: ari.ChannelHold) -> bool:
    leg = sight.leg
    return _state_untold(leg, event.channel) or _from_before(leg, leg.hold_ms) or _speaks_on(sight, leg)


def _unheld(sight: _Sight, event: ari.ChannelUnhold) -> bool:
    leg = sight.leg
    # A phone may send this without a hold; but this one talked when the hold may have been lost.
    talked = (call.contact_ms for call in {leg.call, *leg.contacts})
    return _state_untold(leg, event.channel) or (leg.hold_ms is None and _from_before(leg, *talked))


def _talking(sight: _Sight, event: ari.ChannelTalkingStarted) -> bool:
    leg = sight.leg
    return _state_untold(leg, event.channel) or _from_before(leg, leg.talking_ms)


def _entered(sight: _Sight, event: ari.ChannelEnteredBridge) -> bool:
    leg = sight.leg
    elsewhere = leg.bridge is not None and leg.bridge.id != event.bridge.id and not leg.bridge.merged
    unknown = event.channel is not None and _state_untold(leg, event.channel)
    return elsewhere or unknown or not _as_listed(sight, event.bridge)


def _left(sight: _Sight, event: ari.ChannelLeftBridge) -> bool:
    leg = sight.leg
    inside = leg.bridge.id if leg.bridge is not None else ""
    return (
        event.bridge.id not in {inside, leg.left_bridge}
        or _state_untold(leg, event.channel)
        or not _as_listed(sight, event.bridge)
        or _goes_on(sight)
    )


def _destroyed(sight: _Sight, event: ari.ChannelDestroyed) -> bool:
    leg, attempt = sight.leg, sight.leg.attempt
    inside = leg.bridge is not None and not leg.bridge.merged and leg.bridge.id in sight.roster.bridges
    return (
        inside
        or _state_untold(leg, event.channel)
        or _goes_on(sight)
        or (sight.soon and attempt is not None and attempt.result is None)
        or (sight.soon and _handed_over_untold(leg))
    )


_RULES: Final[dict[type, Callable[[_Sight, Any], bool]]] = {
    ari.Dial: _dial,
    ari.ChannelStateChange: _state,
    ari.ChannelHangupRequest: _hangup_requested,
    ari.ChannelHold: _held,
    ari.ChannelUnhold: _unheld,
    ari.ChannelTalkingStarted: _talking,
    ari.ChannelEnteredBridge: _entered,
    ari.ChannelLeftBridge: _left,
    ari.ChannelDestroyed: _destroyed,
}


# --- what these rules rest on --------------------------------------------------------------------------


def _operators_phone(leg: Leg) -> bool:
    return leg.dialled and leg.endpoint.person and not leg.outsider


def _state_untold(leg: Leg, channel: ari.Channel) -> bool:
    """The channel rings or is up, and no event said that it began to."""
    if channel.state == "Up":
        return not leg.up
    attempt = leg.attempt
    return channel.state == "Ringing" and attempt is not None and attempt.ring_ms is None


def _as_listed(sight: _Sight, bridge: ari.Bridge) -> bool:
    """True if a bridge holds just the channels that the events put there, but for who comes or goes."""
    roster, mover = sight.roster, sight.leg
    known = roster.bridges.get(bridge.id)
    if known is None or known.merged or known.holding:
        return True
    told = {leg.id for leg in known.legs if leg is not mover}
    return told == {item for item in bridge.channels if item != mover.id and item in roster.legs}


def _from_before(leg: Leg, *since_ms: int | None) -> bool:
    """True if any of these began before the break and still goes on."""
    interruption = leg.call.interruption
    return interruption is not None and any(ms is not None and ms <= interruption[0] for ms in since_ms)


def _goes_on(sight: _Sight) -> bool:
    """A hold or speech from before the break is on when one party leaves: its end may have been lost."""
    call = sight.leg.call
    others = (item for item in (call.client, call.waits_for) if item is not None)
    legs = (sight.leg, *call.contact, *others)
    return any(_from_before(item, item.hold_ms) or _speaks_on(sight, item) for item in legs)


def _speaks_on(sight: _Sight, leg: Leg) -> bool:
    """For a client only if they seem to speak for long; an operator's speech decides on a callback."""
    long = leg is not sight.leg.call.client or sight.after_ms > LONG_MS
    return long and _from_before(leg, leg.talking_ms)


def _ends_unasked(leg: Leg, event: ari.Event) -> bool:
    """A party of the talk leaves, or the client afterwards, without a hang-up request or a transfer."""
    call = leg.call
    match event:
        case ari.ChannelLeftBridge():
            of_the_talk = bool(call.contact) and (leg is call.client or leg in call.contact)
            goes = of_the_talk and leg.bridge is not None and leg.bridge.id == event.bridge.id
        case ari.ChannelDestroyed():
            goes = leg is call.client and call.handed_over_ms is None and bool(call.talks or call.contact)
        case _:
            return False
    return goes and not _asked(call) and all(transfer.result is not None for transfer in call.transfers)


def _asked(call: Call) -> bool:
    """True if anybody requested the end of the talk."""
    return any(requester(request) is not None for request in call.requests)


def _handed_over_untold(leg: Leg) -> bool:
    """A phone that was up is gone, the client is not: without a transfer or a hang-up request."""
    call = leg.call
    if not leg.up or not leg.endpoint.person or call.client is None or leg is call.client:
        return False
    return not _asked(call) and all(transfer.by != leg.operator for transfer in call.transfers)
