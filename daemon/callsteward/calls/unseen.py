"""The unobserved spans of calls that are on: while nobody listened, or while events were left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from callsteward.ari import events as ari
from callsteward.calls import talk
from callsteward.calls.hangup import of_restart
from callsteward.record.call import Side

if TYPE_CHECKING:
    from callsteward.calls.model import Call, Leg
    from callsteward.calls.roster import Roster


def over(call: Call, from_ms: int, to_ms: int) -> None:
    """The call was not observed in between: its record says so, and whether anybody spoke is not known."""
    call.unobserved = (*call.unobserved, (from_ms, to_ms))
    call.silent_since_ms = None


def gap(roster: Roster, from_ms: int, to_ms: int) -> None:
    """Nobody listened in between."""
    for call in roster.calls():
        over(call, from_ms, to_ms)
    for leg in roster.legs.values():
        talk.close_speech(leg, from_ms)  # its end may be missed; if not, the end will give its length


def restarted(roster: Roster, event: ari.Snapshot, gap_ms: int, vanished: Sequence[Leg]) -> None:
    """Talks that were on when Asterisk was restarted ended then at the latest."""
    booted = ari.epoch_ms(event.booted) if event.booted else None
    if booted is None or booted <= gap_ms:
        return
    lost = ari.epoch_ms(event.lost) if event.lost else None
    died = booted if lost is None else max(gap_ms, min(booted, lost))
    for call in roster.calls():
        if call.contact and call.client is not None and call.client in vanished:
            call.requests += (of_restart(gap_ms, Side.CLIENT, call.client.name),)
            call.died_ms = died
            # As long as the daemon listened, it heard who began to speak.
            call.spoke_on = lost is None or any(leg.talking_ms is not None for leg in call.contact)


def speech(roster: Roster, event: ari.Shed, ms: int) -> None:
    """Speech on a channel was left out: its calls say so, as after a gap."""
    leg = roster.legs.get(event.channel_id)
    if leg is None:
        return
    until = ari.epoch_ms(event.until)
    talk.close_speech(leg, ms)
    for call in dict.fromkeys((leg.call, *leg.contacts)):
        over(call, ms, ms if until is None else max(ms, until))
