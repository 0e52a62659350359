"""What every message carries, and the kinds of values in messages. See `feed.messages`."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

Stamp = Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")]
Count = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """What every message carries. A message is built with it empty and stamped when it goes out."""

    message_id: str
    boot_id: str
    seq: Count
    ts: Stamp
    site: str
