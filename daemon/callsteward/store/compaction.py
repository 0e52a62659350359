"""Compacting a journal while calls are on: which of its frames a re-run still needs. No IO.

Channels that ever had to do with each other (a dial, a bridge, a Local channel, a transfer) are one
thread of frames, as the tracker makes one call of them. A thread whose channels have all ended goes, whole;
any other stays, whole and in order. So a re-run of what is left comes to the very records that a re-run
of everything would: what a thread's frames lead to depends on the thread alone and on time, and time is
kept by marks in place of each run of frames that went: how far it had passed, and where the tracker's
clock stood after them, which is what an event without a timestamp of its own and a stream's end go by. Whom
an operator left last, for a code dialled after the call, is no longer told by what is left: the
daemon writes it into the journal before it compacts it, and the last such mark stays. So does each that
says that Asterisk's clock was set (what stands before it is told in the old time) or that the connection
broke off (the calls that were on are in doubt).

A thread can outlive its calls for long (an agent's phone that is always on the line). Where all that is
left is over the limit, the longest threads lose their oldest frames: after a crash their calls are taken
up midway and say that they were not seen whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import msgspec

from callsteward.ari import events as ari
from callsteward.ari.marks import ADVANCED, advanced, compacted, said, seen, snapshot_frame, told
from callsteward.calls.tagging import EVENT as TAG
from callsteward.exceptions import MalformedEventError

# A late event, or a callback's last word, is still of use so long after its channel's end.
GRACE_MS = 60_000
# As many ended channels as the tracker remembers.
REMEMBERED = 10_000

Frames = Callable[[], Iterable[bytes]]
"""The journal's frames from the beginning, as often as asked."""


class _Head(msgspec.Struct):
    type: str = ""
    timestamp: str = ""


_heads = msgspec.json.Decoder(_Head)
_single = (
    ari.ChannelCreated,
    ari.ChannelStateChange,
    ari.ChannelHangupRequest,
    ari.ChannelHold,
    ari.ChannelUnhold,
    ari.ChannelTalkingStarted,
    ari.ChannelTalkingFinished,
)
_bridged = (ari.ChannelEnteredBridge, ari.ChannelLeftBridge)
# What a frame does to the tracker's time: limits run out before it; its stamp is the time from then on,
# always or where tags or ratings are in use.
_PASSES, _SETS, _MAY_SET = 1, 2, 4


def _phone(name: str) -> str:
    """`101` of `PJSIP/101-0000001c`, nothing of a Local channel: an operator, as the tracker knows them."""
    return "" if name.startswith("Local/") else name.rpartition("-")[0].partition("/")[2]


class _Bridge:
    """A bridge, and who is and who ever was in it."""

    __slots__ = ("alive", "ever", "holding", "members")

    def __init__(self, *, holding: bool) -> None:
        self.holding = holding
        self.alive = True
        self.members: dict[str, None] = {}
        self.ever: set[str] = set()


class _Threads:
    """One pass over the frames: which channels belong together, and which are still there."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}
        self._halves: dict[str, str] = {}
        # Channels that are there, each with its phone: the part of its name that all of a phone's share.
        self.alive: dict[str, str] = {}
        self._last_of: dict[str, str] = {}
        self.gone: dict[str, None] = {}
        # Those that no frame tells of any more.
        self.gone_before: set[str] = set()
        self.bridges: dict[str, _Bridge] = {}
        self.last_ms: dict[str, int] = {}
        self.newest_ms = 0

    def root(self, channel_id: str) -> str:
        parent = self._parent
        while (above := parent.setdefault(channel_id, channel_id)) != channel_id:
            parent[channel_id] = parent.setdefault(above, above)
            channel_id = parent[channel_id]
        return channel_id

    def _join(self, ids: Iterable[str]) -> None:
        first: str | None = None
        for channel_id in ids:
            root = self.root(channel_id)
            if first is None:
                first = root
            elif root != first:
                self._parent[root] = first

    def _met(self, channel: ari.Channel, *, created: bool = False) -> None:
        """A channel an event names: there from now on, unless it is known to be gone."""
        if channel.id in self.alive or channel.id in self.gone:
            return
        if not created and "<ZOMBIE>" in channel.name:
            return
        self.alive[channel.id] = _phone(channel.name)
        base, semicolon, half = channel.name.rpartition(";")
        if semicolon and half in {"1", "2"}:
            other = self._halves.setdefault(base, channel.id)
            if other in self.alive:
                self._join((channel.id, other))
            self._halves[base] = channel.id
        linked = channel.channelvars.linkedid if channel.channelvars is not None else None
        if not created and linked and linked in self.alive:
            self._join((channel.id, linked))

    def _died(self, channel_id: str) -> None:
        phone = self.alive.pop(channel_id, "")
        if phone:
            self._last_of[phone] = channel_id
        self.gone.pop(channel_id, None)
        self.gone[channel_id] = None

    def _bridge(self, bridge: ari.Bridge) -> _Bridge:
        known = self.bridges.get(bridge.id)
        if known is None or not known.alive:
            holding = bridge.bridge_type == "holding" or bridge.technology == "holding_bridge"
            ever = known.ever if known is not None else set()
            known = self.bridges[bridge.id] = _Bridge(holding=holding)
            known.ever = ever
        known.ever.update(bridge.channels)
        return known

    def _together(self, bridge: ari.Bridge, *more: str) -> None:
        """Those in a bridge hear each other; in a holding bridge nobody does."""
        known = self._bridge(bridge)
        inside = [*more, *known.members, *(item for item in bridge.channels if item in self.alive)]
        known.ever.update(inside)
        known.members.update(dict.fromkeys(inside))
        if not known.holding:
            self._join(inside)

    def follow(self, event: ari.Event) -> tuple[str, bool] | None:
        """Take in one event. Returns the channel or (with True) bridge it is about, None if it is no use."""
        about: tuple[str, bool] | None = None
        ms = ari.epoch_ms(event.timestamp)
        if isinstance(event, _single):
            self._met(event.channel, created=isinstance(event, ari.ChannelCreated))
            about = event.channel.id, False
        elif isinstance(event, ari.ChannelDestroyed):
            self._died(event.channel.id)
            about = event.channel.id, False
        elif isinstance(event, _bridged):
            if event.channel is None:
                return None
            channel_id = event.channel.id
            self._met(event.channel)
            self._together(event.bridge, channel_id)
            if isinstance(event, ari.ChannelLeftBridge):
                self.bridges[event.bridge.id].members.pop(channel_id, None)
            about = channel_id, False
        elif isinstance(event, ari.BridgeCreated):
            self._together(event.bridge)
            about = event.bridge.id, True
        elif isinstance(event, ari.BridgeDestroyed):
            bridge = self._bridge(event.bridge)
            bridge.alive = False
            bridge.members.clear()
            about = event.bridge.id, True
        elif isinstance(event, ari.BridgeMerged):
            source = self._bridge(event.bridge_from)
            self._together(event.bridge, *source.members)
            if event.bridge.id != event.bridge_from.id:
                source.members.clear()
            about = event.bridge.id, True
        else:
            about = self._follow_rare(event)
        if ms is not None:
            self.newest_ms = max(self.newest_ms, ms)
            if about is not None and not about[1]:
                self.last_ms[about[0]] = ms
        return about

    def _follow_rare(self, event: ari.Event) -> tuple[str, bool] | None:
        named: list[ari.Channel | None] = []
        more: list[ari.Channel | None] = []
        if isinstance(event, ari.Dial):
            named = [event.peer, event.caller, event.forwarded]
        elif isinstance(event, ari.BridgeBlindTransfer):
            named, more = [event.channel], [event.transferee]
        elif isinstance(event, ari.BridgeAttendedTransfer):
            named = [event.transferer_first_leg, event.transferer_second_leg]
            more = [event.transfer_target, event.transferee]
        elif isinstance(event, ari.ChannelUserevent):
            named = [event.channel]
        elif isinstance(event, ari.Shed):
            return event.channel_id, False
        elif isinstance(event, ari.TagCommanded):
            # A call has the id of its first channel.
            return (event.call_id, False) if event.call_id in self._parent else None
        elif isinstance(event, ari.Snapshot):
            self._reconcile(event)
            return None
        elif isinstance(event, ari.ClockSet):
            self.newest_ms += event.by_ms
            self.last_ms = {item: ms + event.by_ms for item, ms in self.last_ms.items()}
            return None
        elif isinstance(event, ari.Compacted):
            self.gone.update(dict.fromkeys(event.gone))
            self.gone_before.update(event.gone)
            return None
        ids = []
        for channel in named:
            if channel is not None:
                self._met(channel)
                ids.append(channel.id)
        ids += [item.id for item in more if item is not None and item.id in self._parent]
        if isinstance(event, ari.ChannelUserevent) and event.eventname == TAG and event.channel is not None:
            ids += self._of_phone(event.channel)
        self._join(ids)
        return (ids[0], False) if ids else None

    def _of_phone(self, channel: ari.Channel) -> list[str]:
        """Whose call a code dialled on a phone means: one it is in with another line, or was in last."""
        phone = _phone(channel.name)
        if not phone:
            return []
        ids = [channel_id for channel_id, its in self.alive.items() if its == phone]
        return [*ids, self._last_of[phone]] if phone in self._last_of else ids

    def _reconcile(self, event: ari.Snapshot) -> None:
        present = {channel.id for channel in event.channels}
        for channel_id in sorted(self.alive.keys() - present):
            self._died(channel_id)
        for channel in event.channels:
            self._met(channel)
        for bridge_id in self.bridges.keys() - {bridge.id for bridge in event.bridges}:
            self.bridges[bridge_id].alive = False
            self.bridges[bridge_id].members.clear()
        for bridge in event.bridges:
            self._bridge(bridge).members.clear()
            self._together(bridge)


def _decoded(frame: bytes) -> ari.Event | None:
    try:
        return ari.decode(frame)
    except MalformedEventError:
        return None


def _telling(event: ari.Event | None) -> int:
    """What an event does to the tracker's time."""
    if event is None:
        return 0
    if isinstance(event, ari.Left | ari.ClockSet):
        return 0
    if isinstance(event, ari.Snapshot):
        return _SETS  # no limit runs out before it: it may find their calls gone
    if isinstance(event, ari.DeviceStateChanged):
        return _PASSES
    if isinstance(event, ari.ChannelUserevent | ari.TagCommanded):
        return _PASSES | _MAY_SET
    return _PASSES | _SETS


def compact(frames: Frames, *, limit_bytes: int) -> Iterator[bytes]:
    """The frames that a re-run still needs, with marks for those it does not; about `limit_bytes` at most.

    Give it all frames, and call it where every record they lead to is stored: calls that are over go.
    """
    threads = _Threads()
    abouts: list[tuple[str, bool] | None] = []
    sizes: list[int] = []
    telling = bytearray()
    last_left = -1
    in_place: set[int] = set()
    for place, frame in enumerate(frames()):
        event = _decoded(frame)
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
        if place == last_left or place in in_place:
            # Told in its place: what stays of before it may tell of an earlier call, or time, or be in doubt.
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
            continue
        yield from run.marks()
        run = _Run()
        before = True
        yield wanted
    yield from run.marks()


class _Run:
    """Frames in a row that go: how far time had passed in them, and when Asterisk was heard last.

    Besides, where they left the tracker's clock, and where the events did that it reads only for tags
    and ratings: a re-run may have those in use or not.
    """

    def __init__(self) -> None:
        self._passed: int | None = None
        self._told: int | None = None
        self._said: int | None = None
        self._heard: int | None = None

    def add(self, frame: bytes, tells: int) -> None:
        head = _head(frame)
        ms = ari.epoch_ms(head.timestamp)
        if ms is None:
            return
        if head.type == ADVANCED or tells & _PASSES:
            self._passed = ms if self._passed is None else max(self._passed, ms)
        if tells & _SETS:
            self._told, self._said = ms, None
        elif tells & _MAY_SET:
            self._said = ms
        if head.type != ADVANCED:
            self._heard = ms

    def marks(self) -> Iterator[bytes]:
        # What a mark says already, none says again.
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


def _head(frame: bytes) -> _Head:
    try:
        return _heads.decode(frame)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return _Head()


def _kept_roots(threads: _Threads) -> set[str]:
    kept = {threads.root(channel_id) for channel_id in threads.alive}
    young = threads.newest_ms - GRACE_MS
    kept |= {threads.root(channel_id) for channel_id, ms in threads.last_ms.items() if ms > young}
    return kept


def _gone(threads: _Threads, kept: set[str]) -> tuple[str, ...]:
    """Ended channels that the frames left do not tell of."""
    ids = [item for item in threads.gone if item in threads.gone_before or threads.root(item) not in kept]
    return tuple(ids[-REMEMBERED:])


def _belongs(about: tuple[str, bool], threads: _Threads, kept: set[str]) -> bool:
    name, is_bridge = about
    if not is_bridge:
        return threads.root(name) in kept
    bridge = threads.bridges[name]
    return bridge.alive or any(threads.root(channel_id) in kept for channel_id in bridge.ever)


def _filtered(event: ari.Snapshot, threads: _Threads, kept: set[str], *, before: bool) -> bytes | None:
    """A Snapshot of the channels whose frames stay; None where it has nothing to say to those."""
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
        # Whatever else it says stays.
        msgspec.structs.replace(event, channels=channels, bridges=bridges)
    )


def _cut(
    threads: _Threads,
    kept: set[str],
    abouts: list[tuple[str, bool] | None],
    sizes: list[int],
    limit_bytes: int,
) -> dict[str, int]:
    """How many bytes of its oldest frames each thread must lose, so that the whole fits the limit."""
    lengths: dict[str, int] = {}
    for about, size in zip(abouts, sizes, strict=True):
        if about is not None and not about[1] and (root := threads.root(about[0])) in kept:
            lengths[root] = lengths.get(root, 0) + size
    over = sum(lengths.values()) - limit_bytes
    if over <= 0:
        return {}
    # The same share for each that needs more than it.
    left, share = limit_bytes, 0
    for count, length in enumerate(sorted(lengths.values())):
        share = left // (len(lengths) - count)
        if length > share:
            break
        left -= length
    return {root: length - share for root, length in lengths.items() if length > share}
