"""ARI events as typed values, decoded only as far as callsteward uses them.

Shapes: Asterisk 22 `rest-api/api-docs/events.json`. Every field that an older Asterisk (16) leaves out has a
default. An event type that is not listed here decodes to None: a new Asterisk release brings new types, and
none of them may stop the daemon.
"""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec

from callsteward.exceptions import NOT_JSON, MalformedEventError

LATEST_MS: Final = 7_258_118_400_000
"""2200-01-01. Moments from 1970 until then are accepted, so that sums with them stay within the calendar."""


class CallerId(msgspec.Struct, frozen=True, gc=False):
    """A caller id: name and number as the line delivered them. Hostile until parsed."""

    name: str = ""
    number: str = ""


class DialplanPosition(msgspec.Struct, frozen=True, gc=False):
    """The place of a channel in the dialplan."""

    context: str = ""
    exten: str = ""
    priority: int = 0
    app_name: str = ""
    app_data: str = ""


class ChannelVars(msgspec.Struct, frozen=True, gc=False):
    """The variables that `channelvars=` in ari.conf adds to each channel. Used if there, never required."""

    linkedid: str | None = msgspec.field(default=None, name="CHANNEL(linkedid)")
    hangupsource: str | None = msgspec.field(default=None, name="CHANNEL(hangupsource)")


class Channel(msgspec.Struct, frozen=True, gc=False):
    """A channel in its state at the time of the event."""

    id: str
    name: str
    state: str = ""
    caller: CallerId = CallerId()
    connected: CallerId = CallerId()
    dialplan: DialplanPosition = DialplanPosition()
    creationtime: str = ""
    channelvars: ChannelVars | None = None


class Bridge(msgspec.Struct, frozen=True, gc=False):
    """A bridge and the ids of the channels in it. `bridge_type` is mixing or holding."""

    id: str
    technology: str = ""
    bridge_type: str = ""
    bridge_class: str = ""
    channels: tuple[str, ...] = ()
    creationtime: str = ""


class DeviceState(msgspec.Struct, frozen=True, gc=False):
    """A device's state, such as PJSIP/101 INUSE."""

    name: str
    state: str


class _Event(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag=True):
    timestamp: str = ""


class ChannelCreated(_Event, frozen=True, gc=False, kw_only=True):
    channel: Channel


class ChannelDestroyed(_Event, frozen=True, gc=False, kw_only=True):
    """`cause` is Q.850; `tech_cause` (Asterisk 22.7) the SIP status."""

    channel: Channel
    cause: int = 0
    cause_txt: str = ""
    tech_cause: int | None = None


class ChannelStateChange(_Event, frozen=True, gc=False, kw_only=True):
    channel: Channel


class ChannelHangupRequest(_Event, frozen=True, gc=False, kw_only=True):
    """With `soft` the cause is a soft-hangup flag of Asterisk, not Q.850."""

    channel: Channel
    cause: int | None = None
    soft: bool = False
    tech_cause: int | None = None


class ChannelHold(_Event, frozen=True, gc=False, kw_only=True):
    channel: Channel


class ChannelUnhold(_Event, frozen=True, gc=False, kw_only=True):
    channel: Channel


class ChannelTalkingStarted(_Event, frozen=True, gc=False, kw_only=True):
    channel: Channel


class ChannelTalkingFinished(_Event, frozen=True, gc=False, kw_only=True):
    """`duration` in ms is the speech alone; the event comes the detector's silence time later."""

    channel: Channel
    duration: int = 0


class ChannelEnteredBridge(_Event, frozen=True, gc=False, kw_only=True):
    bridge: Bridge
    channel: Channel | None = None


class ChannelLeftBridge(_Event, frozen=True, gc=False, kw_only=True):
    bridge: Bridge
    channel: Channel


class BridgeCreated(_Event, frozen=True, gc=False, kw_only=True):
    bridge: Bridge


class BridgeDestroyed(_Event, frozen=True, gc=False, kw_only=True):
    bridge: Bridge


class BridgeMerged(_Event, frozen=True, gc=False, kw_only=True):
    bridge: Bridge
    bridge_from: Bridge


class BridgeBlindTransfer(_Event, frozen=True, gc=False, kw_only=True):
    channel: Channel
    exten: str = ""
    context: str = ""
    result: str = ""
    transferee: Channel | None = None
    replace_channel: Channel | None = None
    bridge: Bridge | None = None


class BridgeAttendedTransfer(_Event, frozen=True, gc=False, kw_only=True):
    """The two legs of the transferer, and where the client went (`destination_type`)."""

    transferer_first_leg: Channel
    transferer_second_leg: Channel
    result: str = ""
    destination_type: str = ""
    destination_bridge: str = ""
    destination_application: str = ""
    transferee: Channel | None = None
    transfer_target: Channel | None = None
    replace_channel: Channel | None = None
    transferer_first_leg_bridge: Bridge | None = None
    transferer_second_leg_bridge: Bridge | None = None
    destination_link_first_leg: Channel | None = None
    destination_link_second_leg: Channel | None = None
    destination_threeway_channel: Channel | None = None
    destination_threeway_bridge: Bridge | None = None


class Dial(_Event, frozen=True, gc=False, kw_only=True):
    """A dial begins (`dialstatus` empty), progresses or ends."""

    peer: Channel
    dialstatus: str = ""
    caller: Channel | None = None
    dialstring: str = ""
    forward: str = ""
    forwarded: Channel | None = None


class ChannelUserevent(_Event, frozen=True, gc=False, kw_only=True):
    """UserEvent() in the dialplan."""

    eventname: str = ""
    userevent: dict[str, object] = {}
    channel: Channel | None = None


class DeviceStateChanged(_Event, frozen=True, gc=False, kw_only=True):
    device_state: DeviceState


class Snapshot(_Event, frozen=True, gc=False, kw_only=True, tag="CallstewardSnapshot"):
    """Not from Asterisk: its lists as the daemon read them when it connected, for recording and replay.

    `timestamp`: when the lists were read. `gap_from`: the stamp of the last event before (empty if there was
    none). With it a replay reconciles at the same moment as the daemon did, and so gives the same records.
    `booted`: when Asterisk started; if that is after the gap's beginning, the PBX went away during every call
    that was on. `lost`: when this process saw the link go (empty if it had none); no call went on unobserved
    before that.
    """

    channels: tuple[Channel, ...] = ()
    bridges: tuple[Bridge, ...] = ()
    gap_from: str = ""
    booted: str = ""
    lost: str = ""


class TagCommanded(_Event, frozen=True, gc=False, kw_only=True, tag="CallstewardTag"):
    """Not from Asterisk: a tag given by a command, put into the stream so that a replay has it too.

    It is checked before it gets here. `command` names the command that waits for the result.
    """

    call_id: str
    tag: str
    value: str = ""
    by: str = ""
    source: str = ""
    command: str = ""


class Compacted(_Event, frozen=True, gc=False, kw_only=True, tag="CallstewardCompacted"):
    """Not from Asterisk: the head of a compacted journal. `gone`: ended channels whose frames were removed.

    `gone_ms`: when each of them ended, ms since 1970; journals of earlier versions have none. With a
    timestamp and nothing else it stands further down, in place of removed events.
    """

    gone: tuple[str, ...] = ()
    gone_ms: tuple[int, ...] = ()

    def ended(self) -> dict[str, int]:
        """When each channel ended, ms since 1970; LATEST_MS if the journal does not say."""
        if len(self.gone) != len(self.gone_ms):
            return dict.fromkeys(self.gone, LATEST_MS)
        return dict(zip(self.gone, self.gone_ms, strict=True))


class ClockSet(_Event, frozen=True, gc=False, kw_only=True, tag="CallstewardClockSet"):
    """Not from Asterisk: before the event that follows, its clock was set by `by_ms`."""

    by_ms: Annotated[int, msgspec.Meta(ge=-LATEST_MS, le=LATEST_MS)]


class LeftCall(msgspec.Struct, frozen=True, gc=False):
    """The call whose conversation an operator left last, its line, and when (ms since 1970)."""

    operator: str
    call_id: str
    line: str
    at_ms: int


class Left(_Event, frozen=True, gc=False, kw_only=True, tag="CallstewardLeft"):
    """Not from Asterisk: put into a journal before it is compacted.

    The calls' own frames may be removed then. A code that an operator dials after a call tags the call they
    left last.
    """

    calls: tuple[LeftCall, ...] = ()


class Listened(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """An endpoint such as PJSIP/101 (a number in it masked), and whether any talk event of it was ever seen.

    `quiet`: the number of talks in a row until now without one.
    """

    endpoint: str
    heard: bool
    quiet: int = 0


class Heard(_Event, frozen=True, gc=False, kw_only=True, tag="CallstewardHeard"):
    """Not from Asterisk: the endpoints that are heard, by talk events that are no longer kept.

    `whole`: the list is complete. Without it, the mark stands in place of removed events and names endpoints
    as their channels are named.
    """

    endpoints: tuple[Listened, ...]
    whole: bool = False


class Shed(_Event, frozen=True, gc=False, kw_only=True, tag="CallstewardShed"):
    """Not from Asterisk: from `timestamp` to `until` a flooded daemon left out events of a channel.

    It stands where the first of them would have stood. Only speech is ever left out in this way
    (`ari.shedding`).
    """

    channel_id: str
    until: str = ""


class Interrupted(_Event, frozen=True, gc=False, kw_only=True, tag="CallstewardInterrupted"):
    """Not from Asterisk: a connection that it had opened broke off; `since`: the last event before that.

    It stands before the first event that Asterisk kept, with that event's timestamp. Events in between may be
    lost. If it is `certain`, all events in between are lost, including those with either timestamp: the disk
    took no journal, and a re-run has to do without them.
    """

    since: str
    certain: bool = False


Event = (
    ChannelCreated
    | ChannelDestroyed
    | ChannelStateChange
    | ChannelHangupRequest
    | ChannelHold
    | ChannelUnhold
    | ChannelTalkingStarted
    | ChannelTalkingFinished
    | ChannelEnteredBridge
    | ChannelLeftBridge
    | BridgeCreated
    | BridgeDestroyed
    | BridgeMerged
    | BridgeBlindTransfer
    | BridgeAttendedTransfer
    | Dial
    | ChannelUserevent
    | DeviceStateChanged
    | Snapshot
    | TagCommanded
    | Compacted
    | Left
    | Heard
    | ClockSet
    | Shed
    | Interrupted
)

_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


class _Kind(msgspec.Struct):
    type: str


_kind_decoder = msgspec.json.Decoder(_Kind)
KNOWN_TYPES = frozenset(str(t.__struct_config__.tag) for t in Event.__args__)


def decode(frame: bytes | str) -> Event | None:
    """The event in one websocket frame, or None for a type callsteward does not use.

    Raises MalformedEventError for broken JSON, a missing field or a wrong type.
    """
    try:
        return _decoder.decode(frame)
    except NOT_JSON as error:
        kind = event_type(frame)
        if kind is not None and kind not in KNOWN_TYPES:
            return None
        message = f"not an ARI event: {error}"
        raise MalformedEventError(message) from error


def event_type(frame: bytes | str) -> str | None:
    """The `type` of a frame, None where it has none or is not JSON."""
    try:
        return _kind_decoder.decode(frame).type
    except NOT_JSON:
        return None


@functools.lru_cache(maxsize=512)
def _second(stamp: str) -> int:
    """Milliseconds since 1970 of 2026-11-22T02:06:46, read as UTC."""
    if len(stamp) != 19:
        raise ValueError(stamp)
    # Minute and second apart: datetime does not know a leap second (60).
    minute = datetime.fromisoformat(f"{stamp[:16]}:00+00:00")
    return (int(minute.timestamp()) + int(stamp[17:19])) * 1000


@functools.lru_cache(maxsize=4096)
def _millis(rest: str) -> int:
    """Milliseconds of 059+0000, minus the zone's distance from UTC."""
    ahead = datetime.fromisoformat(f"1970-01-01T00:00:00{rest[3:]}").utcoffset()
    if ahead is None:
        # Without a zone the stamp would mean another moment on another machine.
        raise ValueError(rest)
    return int(rest[:3]) - int(ahead.total_seconds()) * 1000


def epoch_ms(timestamp: str) -> int | None:
    """Milliseconds since 1970 of an ARI timestamp (2026-11-22T02:06:46.059+0000), None for other text.

    The zone is Asterisk's own. This runs for every event: both halves are parsed once and cached.
    """
    second, _, rest = timestamp.partition(".")
    try:
        ms = _second(second) + _millis(rest)
    except (ValueError, OverflowError):
        return None
    return ms if 0 <= ms < LATEST_MS else None


def made_after(channel: Channel, ms: int) -> bool:
    """True if a channel was created after a moment, ms since 1970; False if it does not say when."""
    created_ms = epoch_ms(channel.creationtime) if channel.creationtime else None
    return created_ms is not None and created_ms > ms


def timestamp(ms: int) -> str:
    """The ARI timestamp in UTC of milliseconds since 1970."""
    moment = datetime.fromtimestamp(ms / 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}+0000"
