"""Frames that callsteward itself puts into the stream.

But for the Snapshot and a clock that was set they stand in the journal only, so that a re-run of it comes to
the same records at the same points. Their types are none of Asterisk's; a replay passes over those it has no
use for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from callsteward.ari.events import (
    ChannelUserevent,
    ClockSet,
    Compacted,
    Heard,
    Interrupted,
    Left,
    LeftCall,
    Listened,
    Snapshot,
    decode,
    epoch_ms,
    timestamp,
)
from callsteward.ari.stamp import stamp
from callsteward.exceptions import MalformedEventError

ADVANCED = "CallstewardAdvanced"
"""Time passed up to here, so that limits ran out. It does not say that Asterisk was heard."""

SEEN = "CallstewardSeen"
"""Asterisk was heard here, but what it said is no longer kept: it was of calls that are over."""

HANDED_OVER = "CallstewardHandedOver"
"""The daemon left Asterisk in good order: nothing was on its way that it did not get."""

CLOCK_SET = "CallstewardClockSet"
SNAPSHOT = str(Snapshot.__struct_config__.tag)

OWN = "Callsteward"
"""How the types of all of them begin."""
_OWN_BYTES = OWN.encode()


def pretends(raw: bytes | str) -> bool:
    """Whether a frame that came from outside has one of these types: Asterisk has none such."""
    # A cheap look first, since this is asked of every frame; a type can be spelled with escapes.
    text = isinstance(raw, str)
    may_be = (OWN in raw or "\\u" in raw) if text else (_OWN_BYTES in raw or b"\\u" in raw)
    return may_be and stamp(raw)[0].startswith(OWN)


def snapshot_frame(found: Snapshot) -> bytes:
    """What was found in Asterisk, as a frame of the stream, in a recording and in the journal."""
    return msgspec.json.encode(found)


def advanced(ms: int) -> bytes:
    return f'{{"type":"{ADVANCED}","timestamp":"{timestamp(ms)}"}}'.encode()


def seen(ms: int) -> bytes:
    return f'{{"type":"{SEEN}","timestamp":"{timestamp(ms)}"}}'.encode()


def compacted(gone: Mapping[str, int]) -> bytes:
    """The head of a compacted journal: channels whose frames went, so that none is taken for a new one.

    `gone`: when each of them ended, ms since 1970.
    """
    return msgspec.json.encode(Compacted(gone=tuple(gone), gone_ms=tuple(gone.values())))


def told(ms: int) -> bytes:
    """Events of calls that are over stood here, the last of them at `ms`: the time of what follows."""
    return msgspec.json.encode(Compacted(timestamp=timestamp(ms)))


def said(ms: int) -> bytes:
    """The dialplan said something of a call that is over: a word of no channel's, so nothing but its time."""
    return msgspec.json.encode(ChannelUserevent(timestamp=timestamp(ms)))


def left(calls: Iterable[LeftCall]) -> bytes:
    """Which call each operator left last, for a code they may dial yet."""
    return msgspec.json.encode(Left(calls=tuple(calls)))


def heard(endpoints: Iterable[Listened], *, whole: bool) -> bytes:
    """Which endpoints the talk detector told of before; `whole`: of no other ones."""
    return msgspec.json.encode(Heard(endpoints=tuple(endpoints), whole=whole))


def handed_over() -> bytes:
    return f'{{"type":"{HANDED_OVER}"}}'.encode()


def interrupted(since: str, until: str) -> bytes:
    """A connection broke off after the event stamped `since`; the first that was kept is of `until`."""
    return msgspec.json.encode(Interrupted(since=since, timestamp=until))


def given_up(since: str, until: str) -> bytes:
    """The events from the one stamped `since` to that of `until` are not in the journal."""
    return msgspec.json.encode(Interrupted(since=since, timestamp=until, certain=True))


def clock_set(by_ms: int) -> bytes:
    """Asterisk's clock was set by so much."""
    return msgspec.json.encode(ClockSet(by_ms=by_ms))


def moved(raw: bytes, moment: str) -> str:
    """What a timestamp from before a CLOCK_SET is on the new clock; the same where that is none."""
    try:
        event = decode(raw)
    except MalformedEventError:
        return moment
    ms = epoch_ms(moment)
    return timestamp(ms + event.by_ms) if isinstance(event, ClockSet) and ms is not None else moment
