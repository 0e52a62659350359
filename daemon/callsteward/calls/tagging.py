"""The call that a tag belongs to: the one the operator is in, else the one they left last.

Tags are part of the stream (keys on a phone are UserEvents, commands are put into it), so a replay and a
daemon that takes up its journal find them where they were given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from callsteward.ari import events as ari
from callsteward.record.call import Direction
from callsteward.record.facts import CallTagged
from callsteward.record.tag import COMMANDED, Given, Source, TagError, TagOnCall, read

if TYPE_CHECKING:
    from callsteward.calls.desk import Desk
    from callsteward.calls.model import Call, Leg
    from callsteward.calls.roster import Roster

EVENT = "callsteward-tag"
"""The UserEvent of dialplan/callsteward-tags.conf."""
_INTERNAL = Direction.INTERNAL


# By its name in the stream; the rest of the event is not trusted.
_COMMANDED: Final = {source.value: source for source in COMMANDED}


def by_phone(desk: Desk, roster: Roster, event: ari.ChannelUserevent, ms: int) -> None:
    """A tag by keys on a phone. The channel says who pressed them, never the event's text."""
    if event.eventname != EVENT or event.channel is None:
        return
    leg = roster.leg(event.channel, ms)
    if leg is None:
        return
    said = {key: value for key, value in event.userevent.items() if isinstance(value, str)}
    after = said.get("after") == "1"
    source = Source.WRAP_UP if after else Source.PHONE
    channel = event.channel.name if after else ""
    given, refused = _read(said.get("tag", ""), said.get("value", "").strip(" "))
    call = None
    if not leg.is_staff:
        # A client's line, whatever dialplan it got into.
        refused = "not_an_operator"
    else:
        call = _in_talk(roster, leg)
    call_id, line = ("", "") if call is None else (call.id, call.line)
    ended = False
    if call is None and leg.is_staff:
        left = desk.left.get(leg.operator)
        ended = True
        if left is not None:
            call_id, line = left.call_id, left.line
            call = _open(roster, call_id)
            ended = call is None
            if ms - left.at_ms > desk.wrap_up_ms:
                refused = refused or "wrap_up_over"
    fact = CallTagged(
        call_id=call_id,
        line=line or desk.default_line,
        tag=None if given is None else given.tag,
        value="" if given is None else given.value,
        at_ms=ms,
        by=leg.operator,
        source=source,
        ended=ended,
        refused=refused,
        channel=channel,
        client_number="" if call is None else call.client_number,
    )
    _keep(desk, call, fact, given)


def by_command(desk: Desk, roster: Roster, event: ari.TagCommanded, ms: int) -> None:
    """A tag by a command that names the call. The call may have ended."""
    given, refused = _read(event.tag, event.value)
    call = _open(roster, event.call_id)
    fact = CallTagged(
        call_id=event.call_id,
        line=desk.default_line if call is None else call.line or desk.default_line,
        tag=None if given is None else given.tag,
        value="" if given is None else given.value,
        at_ms=ms,
        by=event.by,
        source=_COMMANDED.get(event.source, Source.MQTT),
        ended=call is None,
        refused=refused,
        command=event.command,
        client_number="" if call is None else call.client_number,
    )
    _keep(desk, call, fact, given)


def _read(name: str, value: str) -> tuple[Given | None, str]:
    try:
        return read(name, value), ""
    except TagError:
        return None, "not_a_tag"


def _keep(desk: Desk, call: Call | None, fact: CallTagged, given: Given | None) -> None:
    """Keep the tag with the call, for its record, if there is one. The fact is made in any case."""
    if call is None or given is None or fact.refused:
        pass
    elif all(said.given != given for said in call.tags):
        call.tags = (*call.tags, TagOnCall(given, fact.at_ms, fact.by, fact.source))
    desk.facts.append(fact)


def _in_talk(roster: Roster, leg: Leg) -> Call | None:
    """The client's call that this operator is in, on any line of their phone."""
    for own in (leg, *(item for item in roster.legs.values() if item.operator == leg.operator)):
        if own.is_staff:
            for call in own.contacts:
                if call.direction is not _INTERNAL:
                    return call
    return None


def _open(roster: Roster, call_id: str) -> Call | None:
    """A call whose record is not made yet."""
    for call in roster.calls():
        if call.id == call_id and (call.client is not None or call.client_gone):
            # A call that was no longer waited for (LINGER) has its record; its remaining legs are `spent`.
            return None if call.spent else call
    return None
