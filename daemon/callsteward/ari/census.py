"""Which channels are alive, from the events alone: to hold against Asterisk's own list."""

from __future__ import annotations

from collections.abc import Iterable

from callsteward.ari.events import ChannelCreated, ChannelDestroyed, Event, Snapshot


class Census:
    """Ids of living channels as the events told them."""

    __slots__ = ("alive",)

    def __init__(self) -> None:
        self.alive: set[str] = set()

    def observe(self, event: Event) -> None:
        match event:
            case ChannelCreated():
                self.alive.add(event.channel.id)
            case ChannelDestroyed():
                self.alive.discard(event.channel.id)
            case Snapshot():
                self.alive = {channel.id for channel in event.channels}
            case _:
                pass

    def disagreement(self, listed: Iterable[str]) -> frozenset[str]:
        """Channels that only one of the two knows."""
        return frozenset(self.alive.symmetric_difference(listed))
