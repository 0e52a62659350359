"""Names of ratings and of their calls' channels: from a channel's id follows the rating.

A rating is named after the call it is about. A rating call's first channel, a Local one, is named after the
rating and a number; Asterisk refuses a second channel of the same name while the first one lives.
"""

from __future__ import annotations

import re
from typing import Final

from callsteward.record.callback_id import callback_id

_PREFIX: Final = "callsteward-rt-"
_CHANNEL: Final = re.compile(_PREFIX + r"([A-Za-z0-9._]{1,64})-[0-9]+-(.*)\Z", re.DOTALL)
_HASHED: Final = re.compile(r"x[0-9a-f]{24}\Z")

rating_id = callback_id
"""The rating's name: the id of the call, or its hash if a dialplan does not allow the id."""


def channel_id(rating: str, attempt: int, line: str) -> str:
    """The id of the rating call's first channel. It includes the line, since the call may be forgotten."""
    return f"{_PREFIX}{rating}-{attempt}-{line}"


def guard_id(channel: str) -> str:
    """The id of the Local channel that watches over a client's channel in the menu."""
    return f"callsteward-rtg-{channel}"


def _parts(channel: str) -> re.Match[str] | None:
    """Rating and line of a rating call's channel; None for any other channel, quickly for most of them."""
    return _CHANNEL.match(channel) if channel.startswith(_PREFIX) else None


def rating_of(channel: str) -> str | None:
    """The rating for which a channel was made, None for any other channel."""
    match = _parts(channel)
    return None if match is None else match[1]


def line_of(channel: str) -> str | None:
    """The line for which a rating call is made, None for any other channel."""
    match = _parts(channel)
    return None if match is None else match[2] or None


def origin_of(channel: str) -> str | None:
    """The call that is rated, by its rating call's channel; None for another channel, or for a hash."""
    rating = rating_of(channel)
    return None if rating is None or _HASHED.match(rating) else rating
