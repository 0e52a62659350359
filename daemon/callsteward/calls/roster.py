"""The channels and bridges that Asterisk has now, as far as its events say.

A channel first seen in the middle of its life is taken in as it is; one that is gone is remembered, so that a
late event does not bring it back. Asterisk never uses an id twice, but a program that chooses ids may: a
channel created after the one with the same id was gone is a new one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from callsteward.ari import events as ari
from callsteward.calls import attempts, left_waiting, linking, mobile, origin, talk
from callsteward.calls.desk import Desk
from callsteward.calls.model import Call, Leg, TrackedBridge

_REMEMBERED: Final = 10_000


class Roster:
    """Legs by channel id, bridges by id, and who is in which bridge."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.legs: dict[str, Leg] = {}
        self.bridges: dict[str, TrackedBridge] = {}
        self._halves: dict[str, Leg] = {}
        # When each channel was gone.
        self._gone: OrderedDict[str, int] = OrderedDict()

    def calls(self) -> list[Call]:
        """The calls that are on, oldest first."""
        return list(dict.fromkeys(leg.call for leg in self.legs.values()))

    def clear(self) -> None:
        self.legs.clear()
        self.bridges.clear()
        self._halves.clear()

    def leg(self, channel: ari.Channel, ms: int) -> Leg | None:
        """The leg of a channel; one never seen before is joined midway. None once it is gone."""
        channel_id = channel.id
        leg = self.legs.get(channel_id)
        if leg is None:
            return self._join(channel_id, channel, ms)
        if not leg.up:
            if not leg.origin_told:
                origin.look(self._desk, leg, channel, ms)
            if channel.state == "Up":
                attempts.answered(self._desk, leg, ms)
        call = leg.call
        is_client = call.client is leg
        if not is_client and not leg.endpoint.is_relay:
            return leg
        position = channel.dialplan
        queues = position.app_name == "Queue"
        # For every event of a client: the line is looked up again if the place has changed.
        if not call.line_from_queue and (
            (queues and position.app_data != call.queue)
            or not call.placed
            or position.exten != call.exten
            or position.context != call.context
            or not call.client_number
        ):
            if is_client:
                linking.find_line(self._desk, call, channel)
            else:
                linking.find_line_behind(self._desk, call, channel)
        leg.position = position if queues else None
        if call.talks and not call.contact:
            left_waiting.look(call, leg, ms)
        return leg

    def _join(self, channel_id: str, channel: ari.Channel, ms: int) -> Leg | None:
        """Join a channel that existed before the stream began."""
        if channel_id in self._gone or "<ZOMBIE>" in channel.name:
            return None
        leg = self.add(channel_id, channel, ms)
        leg.joined_ms = ms
        leg.call.unobserved = (*leg.call.unobserved, (leg.created_ms, ms))
        origin.made(leg, channel)
        leg.up = channel.state == "Up"  # nobody saw since when
        if leg.dialled:
            mobile.recognise(self._desk, leg, channel.caller.number)
        linking.join_linked(self._desk, leg, channel, self.legs)
        if leg.origin_told:
            linking.cast(self._desk, leg.call, leg.created_ms, channel)
        return leg

    def add(self, channel_id: str, channel: ari.Channel, ms: int, stamp: str = "") -> Leg:
        """A new leg, with its moment and stamp: most channels are reported when they are created."""
        creationtime = channel.creationtime
        created = ari.epoch_ms(creationtime) if creationtime and creationtime != stamp else None
        # Asterisk's name for it may hold a client's number: that name goes no further than this.
        endpoint, name = self._desk.directory.named(channel.name)
        leg = self.legs[channel_id] = Leg(channel_id, name, endpoint, ms if created is None else created)
        if channel_id in self._gone:
            del self._gone[channel_id]
            if not linking.is_ours(channel_id):
                # Records are told apart by their call's id.
                leg.call.id = f"{channel_id}@{leg.created_ms}"
        if endpoint.is_relay:
            self._pair(leg)
        return leg

    def _pair(self, leg: Leg) -> None:
        base, _, half = leg.name.rpartition(";")
        other = self._halves.pop(base, None)
        if other is None or other.id not in self.legs or other.name.rpartition(";")[2] == half:
            self._halves[base] = leg
            return
        leg.half, other.half = other, leg
        linking.merge(self._desk, other.call, leg.call)

    def remember(self, channel_id: str, ms: int) -> None:
        """Remember that a channel is gone."""
        self._gone[channel_id] = ms
        if len(self._gone) > _REMEMBERED:
            self._gone.popitem(last=False)

    def is_late(self, channel: ari.Channel) -> bool:
        """True if the event is the creation of a channel that is gone already: a late or repeated event."""
        gone_ms = self._gone.get(channel.id)
        return gone_ms is not None and not ari.made_after(channel, gone_ms)

    def move(self, by_ms: int) -> None:
        """The clock was set: move the moments at which channels were gone."""
        for channel_id in self._gone:
            self._gone[channel_id] += by_ms

    def forget(self, leg: Leg) -> None:
        """Forget a channel; its bridge and its call know already."""
        del self.legs[leg.id]
        leg.dialled_by = None
        if leg.half is not None:
            leg.half.half = None
            leg.half = None
        elif leg.endpoint.is_relay:
            self._halves.pop(leg.name.rpartition(";")[0], None)

    def bridge(self, bridge: ari.Bridge) -> TrackedBridge:
        bridge_id = bridge.id
        known = self.bridges.get(bridge_id)
        if known is None:
            known = self.bridges[bridge_id] = TrackedBridge(
                bridge_id, holding=bridge.bridge_type == "holding" or bridge.technology == "holding_bridge"
            )
            # A stream that begins midway: these were inside already.
            for channel_id in bridge.channels:
                leg = self.legs.get(channel_id)
                if leg is not None and leg.bridge is None:
                    leg.bridge = known
                    leg.placed = True
                    known.legs.append(leg)
        return known

    def connect(self, bridge: TrackedBridge, ms: int) -> None:
        """Those in a bridge hear each other: their calls are merged, or at least learn of each other."""
        if not bridge.holding:
            first = bridge.legs[0]
            for leg in bridge.legs:
                if leg.call is not first.call:
                    linking.merge(self._desk, first.call, leg.call)
        self.regroup(bridge.legs, ms)

    def regroup(self, legs: list[Leg], ms: int) -> None:
        """Regroup every conversation that a change at these legs can affect."""
        only = _only_call(legs)
        if only is not None:
            talk.regroup(self._desk, only, ms)
            return
        calls: dict[Call, None] = {}
        for leg in legs:
            calls[leg.call] = None
            for call in leg.contacts:
                calls[call] = None
            if leg.half is not None:
                calls[leg.half.call] = None
        for call in calls:
            talk.regroup(self._desk, call, ms)

    def detach(self, leg: Leg, ms: int) -> None:
        bridge = leg.bridge
        if bridge is None:
            return
        touched = [leg, *bridge.legs]
        leg.bridge = None
        leg.entered = False
        leg.left_bridge = bridge.id
        if leg in bridge.legs:
            bridge.legs.remove(leg)
        self.regroup(touched, ms)

    def enter(self, leg: Leg, entered: ari.Bridge, ms: int) -> None:
        """A leg came into a bridge."""
        bridge = self.bridge(entered)
        if leg.bridge is not bridge:
            self.detach(leg, ms)
            leg.bridge = bridge
            leg.entered = True
            leg.hung_up_ms = None  # a leg that was swapped: whoever comes into a bridge is there
        leg.placed = False
        if leg not in bridge.legs:
            bridge.legs.append(leg)
        self.connect(bridge, ms)

    def leave(self, leg: Leg, left: ari.Bridge, ms: int) -> None:
        """A leg left a bridge. The bridge may be destroyed already and must not come back."""
        if leg.bridge is not None and leg.bridge.id == left.id:
            self.detach(leg, ms)
        elif leg.joined_ms is not None and leg.bridge is None:
            # It was in there before the stream began, with those who are still inside.
            bridge = self.bridge(left)
            leg.call.was_bridged = True
            leg.bridge = bridge
            leg.placed = True
            bridge.legs.append(leg)
            self.connect(bridge, max(item.joined_ms or 0 for item in bridge.legs))
            self.detach(leg, ms)

    def destroy(self, bridge_id: str, ms: int) -> None:
        """A bridge is gone, and everybody in it has left it."""
        bridge = self.bridges.get(bridge_id)
        if bridge is not None:
            del self.bridges[bridge_id]
            talking = [leg.call for leg in bridge.legs if leg.call.contact]
            for leg in list(bridge.legs):
                self.detach(leg, ms)
            for call in talking:
                if call.parted is not None:
                    call.parted.by = None  # nobody saw in which order they left

    def merge(self, into_bridge: ari.Bridge, from_bridge: ari.Bridge, ms: int) -> None:
        """Everybody in one bridge is in another one now."""
        into, gone = self.bridge(into_bridge), self.bridge(from_bridge)
        if into is gone:
            return
        into.merged = gone.merged = True
        for leg in list(gone.legs):
            self.detach(leg, ms)
            leg.bridge = into
            into.legs.append(leg)
        if into.legs:
            self.connect(into, ms)

    def place(
        self,
        channels: Sequence[ari.Channel],
        bridges: Sequence[ari.Bridge],
        ms: int,
        seen_ms: int,
    ) -> None:
        """Put everybody where Asterisk's own lists have them; whoever left a bridge left it unobserved."""
        inside = {channel_id: bridge.id for bridge in bridges for channel_id in bridge.channels}
        for bridge_id in set(self.bridges) - {bridge.id for bridge in bridges}:
            self.destroy(bridge_id, seen_ms)
        # Asterisk lists them in any order: the first channel of a call must come before those made for it.
        for channel in sorted(channels, key=_age):
            listed = self.leg(channel, ms)
            if (
                listed is not None
                and listed.bridge is not None
                and inside.get(channel.id) != listed.bridge.id
            ):
                self.detach(listed, seen_ms)
        for bridge in bridges:
            known = self.bridge(bridge)
            for channel_id in bridge.channels:
                member = self.legs.get(channel_id)
                if member is not None and member.bridge is None:
                    member.bridge = known
                    member.placed = True
                    known.legs.append(member)
            if known.legs:
                self.connect(known, ms)


def _age(channel: ari.Channel) -> tuple[str, str]:
    """Oldest first; of those created in one millisecond a Local channel first, its `;1` before its `;2`."""
    return channel.creationtime, channel.name


def _only_call(legs: list[Leg]) -> Call | None:
    """The only call that all these legs serve, if there is just one: the usual talk of two."""
    call = legs[0].call
    for leg in legs:
        if leg.call is not call or leg.half is not None:
            return None
        for other in leg.contacts:
            if other is not call:
                return None
    return call
