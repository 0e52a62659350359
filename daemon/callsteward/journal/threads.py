"""The threads of a journal: which of its channels were ever connected, and which still exist. No IO.

Channels that the tracker makes one call of are one thread here; a thread may hold several calls.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from callsteward.ari import events as ari
from callsteward.calls.tagging import EVENT as TAG

About: TypeAlias = tuple[str, bool]
"""The id of the channel that an event is about; with True, the id of the bridge."""

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


def _phone(name: str) -> str:
    """`101` of `PJSIP/101-0000001c`, empty for a Local channel: an operator, as the tracker names them."""
    return "" if name.startswith("Local/") else name.rpartition("-")[0].partition("/")[2]


class _Bridge:
    """A bridge, the channels in it, and all that ever were in it."""

    __slots__ = ("alive", "ever", "holding", "members")

    def __init__(self, *, holding: bool) -> None:
        self.holding = holding
        self.alive = True
        self.members: dict[str, None] = {}
        self.ever: set[str] = set()


class Threads:
    """One pass over the frames: which channels belong together, and which still exist."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}
        self._halves: dict[str, str] = {}
        # Existing channels, each with its phone: the part of the name that all channels of a phone share.
        self.alive: dict[str, str] = {}
        self._last_of: dict[str, str] = {}
        # When each channel ended, ms since 1970.
        self.gone: dict[str, int] = {}
        # Channels that no frame names any more.
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
        """A channel that an event names: it exists from now on, unless it is known to have ended.

        A program may use an id again, for a channel created after the one with that id ended.
        """
        if channel.id in self.alive:
            return
        gone_ms = self.gone.get(channel.id)
        if gone_ms is not None:
            if not created or not ari.made_after(channel, gone_ms):
                return
            del self.gone[channel.id]
            self.gone_before.discard(channel.id)
        if not created and "<ZOMBIE>" in channel.name:
            return
        self.alive[channel.id] = _phone(channel.name)
        base, semicolon, half = channel.name.rpartition(";")
        if semicolon and half in {"1", "2"}:
            other = self._halves.setdefault(base, channel.id)
            if other in self.alive:
                self._join((channel.id, other))
            self._halves[base] = channel.id
        self._link(channel)

    def _link(self, channel: ari.Channel) -> None:
        """A channel belongs to the call whose first channel Asterisk names in its linkedid."""
        linked = channel.channelvars.linkedid if channel.channelvars is not None else None
        if linked and linked in self.alive:
            self._join((channel.id, linked))

    def _died(self, channel_id: str, ms: int) -> None:
        phone = self.alive.pop(channel_id, "")
        if phone:
            self._last_of[phone] = channel_id
        self.gone.pop(channel_id, None)
        self.gone[channel_id] = ms

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

    def follow(self, event: ari.Event) -> About | None:
        """Take in one event.

        Returns the channel or (with True) bridge it is about, None if it is not needed.
        """
        about: About | None = None
        ms = ari.epoch_ms(event.timestamp)
        if isinstance(event, _single):
            self._met(event.channel, created=isinstance(event, ari.ChannelCreated))
            about = event.channel.id, False
        elif isinstance(event, ari.ChannelDestroyed):
            self._died(event.channel.id, self.newest_ms if ms is None else ms)
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

    def _follow_rare(self, event: ari.Event) -> About | None:
        named: list[ari.Channel | None] = []
        more: list[ari.Channel | None] = []
        if isinstance(event, ari.Dial):
            named = [event.peer, event.caller, event.forwarded]
            if event.caller is None:
                self._link(event.peer)
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
            self.gone = {item: ms + event.by_ms for item, ms in self.gone.items()}
            return None
        elif isinstance(event, ari.Compacted):
            self.gone.update(event.ended())
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
        """The channels of the call that a code dialled on a phone means: its present or its last one."""
        phone = _phone(channel.name)
        if not phone:
            return []
        ids = [channel_id for channel_id, its in self.alive.items() if its == phone]
        return [*ids, self._last_of[phone]] if phone in self._last_of else ids

    def _reconcile(self, event: ari.Snapshot) -> None:
        present = {channel.id for channel in event.channels}
        for channel_id in sorted(self.alive.keys() - present):
            self._died(channel_id, self.newest_ms)
        for channel in event.channels:
            self._met(channel)
        for bridge_id in self.bridges.keys() - {bridge.id for bridge in event.bridges}:
            self.bridges[bridge_id].alive = False
            self.bridges[bridge_id].members.clear()
        for bridge in event.bridges:
            self._bridge(bridge).members.clear()
            self._together(bridge)
