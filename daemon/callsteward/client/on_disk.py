"""The journal's share of a client's data: the events of calls in progress, with full numbers.

Only the daemon writes it. It empties it when no call is on, and takes finished calls out when it has grown.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import msgspec

from callsteward.ari import events
from callsteward.ari.marks import ADVANCED, NO_EVENTS
from callsteward.ari.stamp import stamp
from callsteward.calls.tracker import Tracker
from callsteward.config import Config
from callsteward.exceptions import MalformedEventError, StoreError
from callsteward.outgoing.guard import Guard
from callsteward.record.number import Numbers

# Behind a country code and a trunk prefix the last digits of a number are the same in every spelling.
_SAME = 9


class InJournal(msgspec.Struct, frozen=True, kw_only=True):
    """`events`: how many hold the client's number; `on_a_call`: whether a call of theirs is in progress."""

    file: str
    events: int = 0
    on_a_call: bool = False


def in_journal(path: Path, config: Config, numbers: Collection[str], refs: Collection[str]) -> InJournal:
    """The journal's events of the client with these E.164 numbers or references. Raises StoreError."""
    # A caller id as it was delivered may have separators between the digits.
    written = re.compile(b"|".join(map(_spelled, numbers))) if numbers else None
    count = 0

    def counted() -> Iterator[bytes]:
        nonlocal count
        for frame in _frames(path):
            count += written is not None and written.search(frame) is not None
            yield frame

    keyed = Numbers(config.site.region, config.privacy.key)
    on_now = _on_now(counted(), config)
    theirs = any(number in numbers or keyed.ref(number) in refs for number in on_now)
    return InJournal(file=str(path), events=count, on_a_call=theirs)


def _spelled(number: str) -> bytes:
    return rb"[ ().-]{0,2}".join(digit.encode() for digit in number[-_SAME:])


def _frames(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            # The daemon may be writing the last one.
            yield from (line[:-1] for line in file if line.endswith(b"\n"))
    except FileNotFoundError:
        return
    except OSError as error:
        message = f"cannot read the journal {path}: {error.strerror}"
        raise StoreError(message) from error


def _on_now(frames: Iterable[bytes], config: Config) -> set[str]:
    """The numbers of clients whose calls are in progress, followed as the daemon follows them."""
    tracker = Tracker(config)
    for frame in frames:
        kind, moment = stamp(frame)
        now_ms = events.epoch_ms(moment) if kind == ADVANCED else None
        if now_ms is not None:
            tracker.advance(now_ms)
        if kind in NO_EVENTS:
            continue
        try:
            event = events.decode(frame)
        except MalformedEventError:
            continue
        if event is not None:
            tracker.handle(event)
    guard = Guard(config)
    return {number for raw in tracker.client_numbers() if (number := guard.read(raw)) is not None}
