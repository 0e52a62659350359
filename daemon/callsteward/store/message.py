"""A message for the outbox, and who makes it of a fact. Nothing of a database is needed to say so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

RECORD = "record"
"""The kind of a call's record, which alone waits until what happened before it has been published."""


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """A message to be delivered at least once, in the order of enqueueing.

    `message_id` is the one in `payload`. A message with the id of one that still waits is ignored. `payload`
    is JSON without `boot_id` and `seq`, which are added later. `replaces`: the message_id of an earlier
    message that is outdated and need not be sent any more.
    """

    site: str
    message_id: str
    kind: str
    line: str
    topic: str
    payload: bytes
    made_at_ms: int
    retain: bool = False
    expire_s: int | None = None
    replaces: str | None = None


class Announce(Protocol):
    """Makes the messages of a fact; `stored_ms`: the moment at which it is stored, ms since 1970."""

    def __call__(self, fact: object, stored_ms: int | None = None, /) -> Sequence[Outgoing]: ...


def nobody(_fact: object, _stored_ms: int | None = None, /) -> Sequence[Outgoing]:
    """For a daemon without a feed: nothing is announced."""
    return ()
