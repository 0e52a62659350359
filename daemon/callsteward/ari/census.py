"""Where each living channel is according to the events, for comparison with Asterisk's own lists."""

from __future__ import annotations

from collections.abc import Iterable

from callsteward.ari.events import (
    Bridge,
    Channel,
    ChannelCreated,
    ChannelDestroyed,
    ChannelEnteredBridge,
    ChannelLeftBridge,
    ChannelStateChange,
    Event,
    Snapshot,
)


class Census:
    """Living channels as the events describe them: each one's state, and the bridge it is in."""

    __slots__ = ("alive", "inside")

    def __init__(self) -> None:
        self.alive: dict[str, str] = {}
        """Channel states by channel id."""
        self.inside: dict[str, str] = {}
        """Bridge ids by the ids of the channels in them."""

    def observe(self, event: Event) -> None:
        match event:
            case ChannelCreated():
                self.alive[event.channel.id] = event.channel.state
            case ChannelStateChange():
                if event.channel.id in self.alive:
                    self.alive[event.channel.id] = event.channel.state
            case ChannelEnteredBridge():
                if event.channel is not None:
                    self.inside[event.channel.id] = event.bridge.id
            case ChannelLeftBridge():
                if self.inside.get(event.channel.id) == event.bridge.id:
                    del self.inside[event.channel.id]
            case ChannelDestroyed():
                self.alive.pop(event.channel.id, None)
                self.inside.pop(event.channel.id, None)
            case Snapshot():
                self.alive = {channel.id: channel.state for channel in event.channels}
                self.inside = _inside(event.bridges)
            case _:
                pass

    def disagreement(
        self, channels: Iterable[Channel], bridges: Iterable[Bridge] | None = None
    ) -> frozenset[str]:
        """Channels that only one of the two knows; with `bridges` also those in another state or bridge."""
        listed = {channel.id: channel.state for channel in channels}
        unknown = listed.keys() ^ self.alive.keys()
        if bridges is None:
            return frozenset(unknown)
        placed = _inside(bridges)
        return frozenset(unknown).union(
            channel_id
            for channel_id, state in listed.items()
            if self.alive.get(channel_id) != state or self.inside.get(channel_id) != placed.get(channel_id)
        )


def _inside(bridges: Iterable[Bridge]) -> dict[str, str]:
    return {channel_id: bridge.id for bridge in bridges for channel_id in bridge.channels}
