"""The events of the channels in the menu, decoded no further than the IVR uses them.

Shapes: Asterisk 22 `rest-api/api-docs/events.json`. A type that is not listed decodes to None.
"""

from __future__ import annotations

import msgspec

from callsteward.ari.events import event_type
from callsteward.exceptions import NOT_JSON, MalformedEventError


class MenuChannel(msgspec.Struct, frozen=True):
    id: str
    name: str = ""


class Playback(msgspec.Struct, frozen=True):
    """`state` is done or failed once it is over."""

    id: str
    state: str = ""


class Recording(msgspec.Struct, frozen=True):
    """`duration` in seconds; `talking_duration` without the silence."""

    name: str
    duration: int | None = None
    target_uri: str = ""


class _Event(msgspec.Struct, frozen=True, tag_field="type", tag=True):
    application: str = ""


class StasisStart(_Event, frozen=True, kw_only=True):
    """A channel has come into the menu; `args` are those of Stasis() in the dialplan."""

    channel: MenuChannel
    args: tuple[str, ...] = ()


class StasisEnd(_Event, frozen=True, kw_only=True):
    channel: MenuChannel


class ChannelDtmfReceived(_Event, frozen=True, kw_only=True):
    channel: MenuChannel
    digit: str


class MenuHangupRequest(_Event, frozen=True, kw_only=True, tag="ChannelHangupRequest"):
    channel: MenuChannel
    soft: bool = False


class PlaybackFinished(_Event, frozen=True, kw_only=True):
    playback: Playback


class RecordingFinished(_Event, frozen=True, kw_only=True):
    recording: Recording


class RecordingFailed(_Event, frozen=True, kw_only=True):
    recording: Recording


class ApplicationReplaced(_Event, frozen=True, kw_only=True):
    """Another process took the application."""


MenuEvent = (
    StasisStart
    | StasisEnd
    | ChannelDtmfReceived
    | MenuHangupRequest
    | PlaybackFinished
    | RecordingFinished
    | RecordingFailed
    | ApplicationReplaced
)
KNOWN_TYPES = frozenset(str(t.__struct_config__.tag) for t in MenuEvent.__args__)
_decoder: msgspec.json.Decoder[MenuEvent] = msgspec.json.Decoder(MenuEvent)


def decode(frame: bytes | str) -> MenuEvent | None:
    """The event in a frame, None for a type the IVR does not use. Raises MalformedEventError."""
    try:
        return _decoder.decode(frame)
    except NOT_JSON as error:
        kind = event_type(frame)
        if kind is not None and kind not in KNOWN_TYPES:
            return None
        message = f"not an ARI event: {error}"
        raise MalformedEventError(message) from error
