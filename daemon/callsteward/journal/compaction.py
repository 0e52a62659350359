"""Compacting a journal while calls are on: the choice of the frames that a re-run still needs. No IO.

Channels that were ever connected (by a dial, a bridge, a Local channel, a transfer) are one thread of frames,
just as the tracker makes one call of them. A thread whose channels have all ended is removed as a whole; any
other thread stays, whole and in order. So a re-run of the remaining frames gives exactly the records that a
re-run of all frames would: the result of a thread's frames depends on the thread and on time only, and marks
keep the time. A mark for each run of removed frames says how far time had passed, and where the tracker's
clock stood after them, which decides for an event without a timestamp of its own and for a stream's end.

Some marks carry what the removed frames said. Before compacting, the daemon writes a mark with the call that
each operator left last, for a code dialled after the call; the last such mark stays. Of the marks with the
endpoints that are heard the first and the last one stay, and a mark replaces a removed frame that was the
first talk event of its endpoint. Every mark stays that says that Asterisk's clock was set (earlier frames are
on the old clock) or that the connection broke off (the calls that were on are in doubt).

A thread can long outlive its calls (an agent's phone that is always on the line). If the remaining frames
exceed the limit, the longest threads lose their oldest frames: after a crash their calls are taken up midway
and their records say that they were not completely observed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

import msgspec

from callsteward.ari import events as ari
from callsteward.ari.marks import ADVANCED, advanced, compacted, heard, said, seen, snapshot_frame, told
from callsteward.ari.stamp import stamp
from callsteward.calls.voices import DEAF_AFTER
from callsteward.exceptions import MalformedEventError
from callsteward.journal.threads import About, Threads

# For this long after its channel's end a late event, or a callback's last event, still matters.
GRACE_MS = 60_000
# The same number of ended channels as the tracker remembers.
REMEMBERED = 10_000

# This many digits can be a number (`record/number.py`).
_NUMBER = re.compile("[0-9]{7}")

Frames = Callable[[], Iterable[bytes]]
"""The journal's frames from the beginning, as often as asked."""


# The effect of a frame on the tracker's time: limits run out before it, and its stamp becomes the time,
# always or only if tags or ratings are in use.
_PASSES, _SETS, _MAY_SET = 1, 2, 4


def _decoded(frame: bytes) -> ari.Event | None:
    try:
        return ari.decode(frame)
    except MalformedEventError:
        return None


def _telling(event: ari.Event | None) -> int:
    """The effect of an event on the tracker's time."""
    if event is None:
        return 0
    if isinstance(event, ari.Left | ari.Heard | ari.ClockSet):
        return 0
    if isinstance(event, ari.Snapshot):
        return _SETS  # no limit runs out before it: it may find their calls gone
    if isinstance(event, ari.DeviceStateChanged):
        return _PASSES
    if isinstance(event, ari.ChannelUserevent | ari.TagCommanded):
        return _PASSES | _MAY_SET
    return _PASSES | _SETS


def compact(frames: Frames, *, limit_bytes: int) -> Iterator[bytes]:
    """The frames that a re-run still needs, with marks for the others; about `limit_bytes` at most.

    It needs all frames, and every record that they lead to must be stored: finished calls are removed.
    """
    threads = Threads()
    abouts: list[About | None] = []
    sizes: list[int] = []
    telling = bytearray()
    last_left = -1
    in_place: set[int] = set()
    listened = _Listened()
    for place, frame in enumerate(frames()):
        event = _decoded(frame)
        listened.add(place, event)
        if isinstance(event, ari.Left):
            last_left = place
        elif isinstance(event, ari.ClockSet | ari.Interrupted):
            in_place.add(place)
        telling.append(_telling(event))
        abouts.append(None if event is None else threads.follow(event))
        sizes.append(len(frame) + 1)
    kept = _kept_roots(threads)
    skip = _cut(threads, kept, abouts, sizes, limit_bytes)
    yield compacted(_gone(threads, kept))
    before = False
    run = _Run()
    for place, (about, tells, frame) in enumerate(zip(abouts, telling, frames(), strict=True)):
        if place == last_left or place in in_place or place in listened.whole:
            # Written at this place: the frames that stay before it may be about an earlier call, or time, or
            # be in doubt.
            yield from run.marks()
            run = _Run()
            yield frame
            continue
        wanted: bytes | None = None
        if about is None:
            snapshot = _decoded(frame)
            if isinstance(snapshot, ari.Snapshot):
                wanted = _filtered(snapshot, threads, kept, before=before)
        elif _belongs(about, threads, kept):
            root = None if about[1] else threads.root(about[0])
            if root is not None and skip.get(root, 0) > 0:
                skip[root] -= len(frame) + 1
            else:
                wanted = frame
        if wanted is None:
            run.add(frame, tells)
            if place in listened.first:
                yield from run.marks()
                run = _Run()
                yield heard([ari.Listened(item, heard=True) for item in listened.first[place]], whole=False)
            continue
        yield from run.marks()
        run = _Run()
        before = True
        yield wanted
    yield from run.marks()


def _endpoint_of(channel_name: str) -> str:
    """`PJSIP/101` of `PJSIP/101-0000001c`; empty for a Local channel, which nobody uses.

    An ISDN channel's name has the caller's number after the span (`DAHDI/i1/79030000001-3`): the number is
    left out.
    """
    if channel_name.startswith("Local/"):
        return ""
    endpoint = channel_name.rpartition("-")[0] or channel_name
    span, _, number = endpoint.rpartition("/")
    return span if "/" in span and _NUMBER.search(number) else endpoint


class _Listened:
    """Where each endpoint was heard first, and the complete marks, of which two are needed."""

    def __init__(self) -> None:
        self.first: dict[int, list[str]] = {}
        self.whole: set[int] = set()
        self._head = self._last = -1
        self._known: set[str] = set()

    def add(self, place: int, event: ari.Event | None) -> None:
        if isinstance(event, ari.ChannelTalkingStarted | ari.ChannelTalkingFinished):
            new = [_endpoint_of(event.channel.name)]
        elif isinstance(event, ari.Heard):
            new = [item.endpoint for item in event.endpoints if item.heard and item.quiet < DEAF_AFTER]
            if event.whole:
                self._head = place if self._head < 0 else self._head
                self._last = place
                self.whole = {self._head, self._last}
        else:
            return
        new = [item for item in new if item and item not in self._known]
        if new:
            self._known.update(new)
            self.first[place] = new


class _Run:
    """A run of removed frames: how far time passed in them, and when events were received last.

    Also where they left the tracker's clock, with and without the events that it reads only for tags and
    ratings: a re-run may have those in use or not.
    """

    def __init__(self) -> None:
        self._passed: int | None = None
        self._told: int | None = None
        self._said: int | None = None
        self._heard: int | None = None

    def add(self, frame: bytes, tells: int) -> None:
        kind, moment = stamp(frame)
        ms = ari.epoch_ms(moment)
        if ms is None:
            return
        if kind == ADVANCED or tells & _PASSES:
            self._passed = ms if self._passed is None else max(self._passed, ms)
        if tells & _SETS:
            self._told, self._said = ms, None
        elif tells & _MAY_SET:
            self._said = ms
        if kind != ADVANCED:
            self._heard = ms

    def marks(self) -> Iterator[bytes]:
        # A mark does not repeat what another one says.
        if self._passed is not None and self._passed != self._told:
            yield advanced(self._passed)
        last = None
        if self._told is not None:
            last = self._told
            yield told(last)
        if self._said is not None:
            last = self._said
            yield said(last)
        if self._heard is not None and self._heard != last:
            yield seen(self._heard)


def _kept_roots(threads: Threads) -> set[str]:
    kept = {threads.root(channel_id) for channel_id in threads.alive}
    young = threads.newest_ms - GRACE_MS
    kept |= {threads.root(channel_id) for channel_id, ms in threads.last_ms.items() if ms > young}
    return kept


def _gone(threads: Threads, kept: set[str]) -> dict[str, int]:
    """Ended channels that the remaining frames do not name, and when each ended."""
    ids = [item for item in threads.gone if item in threads.gone_before or threads.root(item) not in kept]
    return {item: threads.gone[item] for item in ids[-REMEMBERED:]}


def _belongs(about: About, threads: Threads, kept: set[str]) -> bool:
    name, is_bridge = about
    if not is_bridge:
        return threads.root(name) in kept
    bridge = threads.bridges[name]
    return bridge.alive or any(threads.root(channel_id) in kept for channel_id in bridge.ever)


def _filtered(event: ari.Snapshot, threads: Threads, kept: set[str], *, before: bool) -> bytes | None:
    """A Snapshot reduced to the channels whose frames stay; None if nothing in it concerns those."""
    channels = tuple(item for item in event.channels if threads.root(item.id) in kept)
    if not channels and not before:
        return None
    bridges = tuple(
        ari.Bridge(
            id=bridge.id,
            technology=bridge.technology,
            bridge_type=bridge.bridge_type,
            bridge_class=bridge.bridge_class,
            channels=tuple(item for item in bridge.channels if threads.root(item) in kept),
            creationtime=bridge.creationtime,
        )
        for bridge in event.bridges
        if _belongs((bridge.id, True), threads, kept)
    )
    return snapshot_frame(
        # Everything else in it stays.
        msgspec.structs.replace(event, channels=channels, bridges=bridges)
    )


def _cut(
    threads: Threads,
    kept: set[str],
    abouts: list[About | None],
    sizes: list[int],
    limit_bytes: int,
) -> dict[str, int]:
    """How many bytes of its oldest frames each thread must lose, so that all together fit the limit."""
    lengths: dict[str, int] = {}
    for about, size in zip(abouts, sizes, strict=True):
        if about is not None and not about[1] and (root := threads.root(about[0])) in kept:
            lengths[root] = lengths.get(root, 0) + size
    over = sum(lengths.values()) - limit_bytes
    if over <= 0:
        return {}
    # The same share for each thread that needs more than that.
    left, share = limit_bytes, 0
    for count, length in enumerate(sorted(lengths.values())):
        share = left // (len(lengths) - count)
        if length > share:
            break
        left -= length
    return {root: length - share for root, length in lengths.items() if length > share}
