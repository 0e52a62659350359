"""Names of callbacks and of their channels: from a channel's id follows the callback.

A callback is named after the call that broke. Each operator who is rung gets a channel named after the
callback and a number; Asterisk refuses a second channel of the same name while the first one lives.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

_PREFIX: Final = "callsteward-cb-"
# The characters allowed in a channel id, in a key of Asterisk's database and in a dialplan extension.
_HASHED: Final = re.compile(r"x[0-9a-f]{24}\Z")
_PLAIN: Final = re.compile(r"[A-Za-z0-9._]{1,64}\Z")


def callback_id(origin_call_id: str) -> str:
    """The callback's name: the origin call's id, or its hash if a dialplan does not allow the id."""
    if _PLAIN.match(origin_call_id):
        return origin_call_id
    return "x" + hashlib.sha256(origin_call_id.encode()).hexdigest()[:24]


def channel_id(callback: str, attempt: int, line: str) -> str:
    """The id of the channel to the operator who is rung as number `attempt` (from 1).

    It includes the line, since the call that broke may be long forgotten when the callback ends.
    """
    return f"{_PREFIX}{callback}-{attempt}-{line}"


def _parts(channel: str) -> tuple[str, str] | None:
    """Callback and line of a callback's channel, None for any other channel."""
    if not channel.startswith(_PREFIX):
        return None
    callback, _, rest = channel.removeprefix(_PREFIX).partition("-")
    attempt, _, line = rest.partition("-")
    return (callback, line) if _PLAIN.match(callback) and attempt.isascii() and attempt.isdigit() else None


def callback_of(channel: str) -> str | None:
    """The callback whose operator has this channel, None for any other channel."""
    parts = _parts(channel)
    return None if parts is None else parts[0]


def line_of(channel: str) -> str | None:
    """The line a callback is made for, by its channel; None for any other channel."""
    parts = _parts(channel)
    return None if parts is None else parts[1] or None


def origin_of(channel: str) -> str | None:
    """The call that broke, by its callback's channel; None for any other channel, or for a hash."""
    callback = callback_of(channel)
    return None if callback is None or _HASHED.match(callback) else callback
