"""ARI events as typed values, decoded no further than callsteward uses them.

Shapes: Asterisk 22 `rest-api/api-docs/events.json`. Every field that an older Asterisk (16) leaves
out has a default. An event type that is not listed here decodes to None: a new Asterisk release
brings new types, and none of them may stop the daemon.
"""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec

from callsteward.exceptions import NOT_JSON, MalformedEventError

LATEST_MS: Final = 7_258_118_400_000
"""2200-01-01. A moment from 1970 until then is one; what is reckoned with it stays within the calendar."""


class Party(msgspec.Struct, frozen=True, gc=False):
    """A caller id: name and number as the line delivered them. Hostile until parsed."""

    name: str = ""
    number: str = ""


class DialplanPosition(msgspec.Struct, frozen=True, gc=False):
    """Where a channel is in the dialplan."""

    context: str = ""
    exten: str = ""
    priority: int = 0
    app_name: str = ""
    app_data: str = ""


class ChannelVars(msgspec.Struct, frozen=True, gc=False):
    """What `channelvars=` in ari.conf adds to each channel. Used when there, never required."""

    linkedid: str | None = msgspec.field(default=None, name="CHANNEL(linkedid)")
    hangupsource: str | None = msgspec.field(default=None, name="CHANNEL(hangupsource)")


class Channel(msgspec.Struct, frozen=True, gc=False):
    """A channel as Asterisk saw it when it sent the event."""

    id: str
    name: str
    state: str = ""
    caller: Party = Party()
    connected: Party = Party()
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
    """Not from Asterisk: what the daemon found when it connected, as it stands in a recording.

    `timestamp` is when the lists were read; `gap_from` when the last event before was stamped (empty
    when there was none). With it a replay reconciles at the same moment as the daemon did, and so
    gives the same records. `booted` is since when Asterisk runs: after the gap's beginning it says that
    the PBX went away under every call that was on. `lost` is when this process saw the link go (empty when
    it had none): no call went on for longer than that.
    """

    channels: tuple[Channel, ...] = ()
    bridges: tuple[Bridge, ...] = ()
    gap_from: str = ""
    booted: str = ""
    lost: str = ""


class TagCommanded(_Event, frozen=True, gc=False, kw_only=True, tag="CallstewardTag"):
    """Not from Asterisk: a tag given by a command, put into the stream so that a replay has it too.

    It is checked before it gets here. `command` names whoever waits for what came of it.
    """

    call_id: str
    tag: str
    value: str = ""
    by: str = ""
    source: str = ""
    command: str = ""


class Compacted(_Event, frozen=True, gc=False, kw_only=True, tag="CallstewardCompacted"):
    """Not from Asterisk: heads a compacted journal. `gone`: channels that ended, whose frames went.

    `gone_ms`: when each of them did, ms since 1970; journals of earlier versions have none.
    With a timestamp and nothing else it stands further down, in place of events that went.
    """

    gone: tuple[str, ...] = ()
    gone_ms: tuple[int, ...] = ()

    def ended(self) -> dict[str, int]:
        """When each channel ended, ms since 1970; for ever, where the journal does not say."""
        if len(self.gone) != len(self.gone_ms):
            return dict.fromkeys(self.gone, LATEST_MS)
        return dict(zip(self.gone, self.gone_ms, strict=True))


class ClockSet(_Event, frozen=True, gc=False, kw_only=True, tag="CallstewardClockSet"):
    """Not from Asterisk: before the event behind this its clock was set by `by_ms`."""

    by_ms: Annotated[int, msgspec.Meta(ge=-LATEST_MS, le=LATEST_MS)]


class LeftCall(msgspec.Struct, frozen=True, gc=False):
    """Which call's conversation an operator left last, on which line, and when (ms since 1970)."""

    operator: str
    call_id: str
    line: str
    at_ms: int


class Left(_Event, frozen=True, gc=False, kw_only=True, tag="CallstewardLeft"):
    """Not from Asterisk: stands in a journal before it is compacted, since the calls' own frames may go.

    A code that an operator dials after a call means the one they left last.
    """

    calls: tuple[LeftCall, ...] = ()


class Listened(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """An endpoint such as PJSIP/101, a number in it masked: whether any talk event of it was ever seen.

    `quiet`: in how many talks in a row until now it had none.
    """

    endpoint: str
    heard: bool
    quiet: int = 0


class Heard(_Event, frozen=True, gc=False, kw_only=True, tag="CallstewardHeard"):
    """Not from Asterisk: which endpoints the talk detector told of before, where those events are not kept.

    `whole`: that is all that was known here. Without it, it stands in place of events that went, and names
    endpoints as their channels were named.
    """

    endpoints: tuple[Listened, ...]
    whole: bool = False


class Shed(_Event, frozen=True, gc=False, kw_only=True, tag="CallstewardShed"):
    """Not from Asterisk: from `timestamp` to `until` a flooded daemon left out events of a channel.

    Stands where the first of them would have stood. Only speech is ever left out so (`ari.shedding`).
    """

    channel_id: str
    until: str = ""


class Interrupted(_Event, frozen=True, gc=False, kw_only=True, tag="CallstewardInterrupted"):
    """Not from Asterisk: a connection that it had opened broke off; `since`: the last event before that.

    Stands before the first event that it kept, with that one's timestamp. What was on its way in between may
    be lost. Where it is `certain`, all in between is, the events of both timestamps included: the disk took
    no journal, and a re-run has to do without them.
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
    """Milliseconds since 1970 of 2026-11-22T02:06:46 as if in UTC."""
    if len(stamp) != 19:
        raise ValueError(stamp)
    # Minute and second apart: a leap second (60) is no second to datetime.
    minute = datetime.fromisoformat(f"{stamp[:16]}:00+00:00")
    return (int(minute.timestamp()) + int(stamp[17:19])) * 1000


@functools.lru_cache(maxsize=4096)
def _millis(rest: str) -> int:
    """Milliseconds of 059+0000, less what the zone is ahead of UTC."""
    ahead = datetime.fromisoformat(f"1970-01-01T00:00:00{rest[3:]}").utcoffset()
    if ahead is None:
        # Without a zone it would mean another moment on another machine.
        raise ValueError(rest)
    return int(rest[:3]) - int(ahead.total_seconds()) * 1000


def epoch_ms(timestamp: str) -> int | None:
    """Milliseconds since 1970 of an ARI timestamp (2026-11-22T02:06:46.059+0000), None if it is none.

    The zone is Asterisk's own. This runs for every event: both halves are parsed once and kept.
    """
    second, _, rest = timestamp.partition(".")
    try:
        ms = _second(second) + _millis(rest)
    except (ValueError, OverflowError):
        return None
    return ms if 0 <= ms < LATEST_MS else None


def made_after(channel: Channel, ms: int) -> bool:
    """Whether a channel was created after a moment, ms since 1970; not where it does not say when."""
    created_ms = epoch_ms(channel.creationtime) if channel.creationtime else None
    return created_ms is not None and created_ms > ms


def timestamp(ms: int) -> str:
    """An ARI timestamp in UTC of milliseconds since 1970."""
    moment = datetime.fromtimestamp(ms / 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}+0000"
