"""Marks: frames that callsteward itself puts into the stream.

Except for the Snapshot and a set clock they are in the journal only, so that a re-run of it gives the same
records at the same points. Their types are none of Asterisk's; a replay ignores those it does not need.
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
"""Time passed up to here, so limits ran out. It does not mean that events were received."""

SEEN = "CallstewardSeen"
"""Events were received here but are no longer kept: they were of calls that are over."""

CLOSED_GRACEFULLY = "CallstewardHandedOver"
"""The daemon closed its connection gracefully: no event was on its way."""

NO_EVENTS = frozenset({ADVANCED, SEEN, CLOSED_GRACEFULLY})
"""Marks that say something of the journal, and are nothing that the tracker takes."""

CLOCK_SET = "CallstewardClockSet"
SNAPSHOT = str(Snapshot.__struct_config__.tag)

OWN = "Callsteward"
"""The first characters of all these types."""
_OWN_BYTES = OWN.encode()


def pretends(raw: bytes | str) -> bool:
    """True if a frame from outside has one of these types, which Asterisk does not have."""
    # A cheap look first, since every frame is checked; a type can be spelled with escapes.
    text = isinstance(raw, str)
    may_be = (OWN in raw or "\\u" in raw) if text else (_OWN_BYTES in raw or b"\\u" in raw)
    return may_be and stamp(raw)[0].startswith(OWN)


def snapshot_frame(found: Snapshot) -> bytes:
    """A Snapshot as a frame, for the stream, a recording and the journal."""
    return msgspec.json.encode(found)


def advanced(ms: int) -> bytes:
    return f'{{"type":"{ADVANCED}","timestamp":"{timestamp(ms)}"}}'.encode()


def seen(ms: int) -> bytes:
    return f'{{"type":"{SEEN}","timestamp":"{timestamp(ms)}"}}'.encode()


def compacted(gone: Mapping[str, int]) -> bytes:
    """The head of a compacted journal: channels whose frames were removed, not to be taken for new ones.

    `gone`: when each of them ended, ms since 1970.
    """
    return msgspec.json.encode(Compacted(gone=tuple(gone), gone_ms=tuple(gone.values())))


def told(ms: int) -> bytes:
    """In place of removed events of finished calls.

    The last of them, at `ms`, is the time for later frames.
    """
    return msgspec.json.encode(Compacted(timestamp=timestamp(ms)))


def said(ms: int) -> bytes:
    """In place of a UserEvent of a call that is over; only its timestamp still matters."""
    return msgspec.json.encode(ChannelUserevent(timestamp=timestamp(ms)))


def left(calls: Iterable[LeftCall]) -> bytes:
    """The call that each operator left last, for a code they may dial later."""
    return msgspec.json.encode(Left(calls=tuple(calls)))


def heard(endpoints: Iterable[Listened], *, whole: bool) -> bytes:
    """The endpoints that are heard so far; `whole`: the list is complete."""
    return msgspec.json.encode(Heard(endpoints=tuple(endpoints), whole=whole))


def closed_gracefully() -> bytes:
    return f'{{"type":"{CLOSED_GRACEFULLY}"}}'.encode()


def interrupted(since: str, until: str) -> bytes:
    """A connection broke off after the event stamped `since`; the first event that was kept is of `until`."""
    return msgspec.json.encode(Interrupted(since=since, timestamp=until))


def given_up(since: str, until: str) -> bytes:
    """The events from the one stamped `since` to the one stamped `until` are not in the journal."""
    return msgspec.json.encode(Interrupted(since=since, timestamp=until, certain=True))


def clock_set(by_ms: int) -> bytes:
    """Asterisk's clock was set by this much."""
    return msgspec.json.encode(ClockSet(by_ms=by_ms))


def moved(raw: bytes, moment: str) -> str:
    """A timestamp from before a CLOCK_SET, converted to the new clock; other text unchanged."""
    try:
        event = decode(raw)
    except MalformedEventError:
        return moment
    ms = epoch_ms(moment)
    return timestamp(ms + event.by_ms) if isinstance(event, ClockSet) and ms is not None else moment
