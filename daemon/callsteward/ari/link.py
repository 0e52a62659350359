"""The parts that both ways of being connected share: subscribing, the Snapshot, draining the socket."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Protocol

from callsteward.ari.events import Snapshot, timestamp
from callsteward.ari.rest import Rest
from callsteward.config import Config

# The first two are two thirds of all events, and callsteward needs none of the four. The filter matches type
# names only, is set for one application, and is gone after a client's reconnect. Asterisk 16.28 has it too.
UNNEEDED_EVENTS = ("ChannelVarset", "ChannelDialplan", "ChannelCallerId", "ChannelConnectedLine")

# A ping every 5 s, its pong due within 2.5 s: a half-open socket is noticed within 10 s.
HEARTBEAT_S = 5.0
# A live link has brought every event older than this, since a dead one is given up sooner.
CERTAIN_AFTER_S = 2 * HEARTBEAT_S

# A list of 10,000 channels is one message in outbound mode.
MAX_MESSAGE_BYTES = 64 * 1024 * 1024

# Asterisk's clock comes with its answers, over HTTP to the second only. If ours is as good, ours is used.
SAME_CLOCK_MS = 2_000

# Called with True once subscribed, with False and the reason when the link is lost.
OnChange = Callable[[bool, str], None]


class Link(Protocol):
    """A standing connection that fills a FrameQueue."""

    closed_gracefully: bool
    """After the end: whether every event that Asterisk sent has come, and it keeps the later ones."""

    async def run(self) -> None:
        """Keep connected until cancelled; after a cancellation all frames that arrived are in the queue."""
        ...


def sources(config: Config) -> list[str]:
    """The observer's subscriptions: all channels and bridges, and the configured operators' devices.

    Not subscribeAll: it includes every device state and can deadlock Asterisk on a disconnect
    (asterisk#2170).
    """
    return ["channel:", "bridge:", *(f"deviceState:{name}" for name in devices(config))]


def devices(config: Config) -> dict[str, str]:
    """The phones of the configured operators, such as PJSIP/101, each with its operator's name."""
    return {device(config, name): name for name in config.operators}


def device(config: Config, operator: str) -> str:
    """An operator's phone, as Asterisk names its device.

    Its driver is the one whose pattern in [endpoints] matches the name, else PJSIP.
    """
    if "/" in operator:
        return operator
    for pattern in config.endpoints.operators:
        technology, slash, _ = pattern.partition("/")
        if slash and technology.isalnum() and fnmatchcase(f"{technology}/{operator}", pattern):
            return f"{technology}/{operator}"
    return f"PJSIP/{operator}"


async def subscribe(rest: Rest, app: str, wanted: Sequence[str]) -> None:
    """Filter first, so that the flood of unneeded events never starts. Raises AriError."""
    await rest.set_event_filter(app, UNNEEDED_EVENTS)
    await rest.subscribe(app, wanted)


async def snapshot(rest: Rest, gap_from: str, lost_ms: int | None = None) -> Snapshot:
    """The present lists, by Asterisk's clock; `lost_ms` is by ours. Raises AriError."""
    # Asked only if a gap raises the question of a restart.
    booted = (await rest.info()).started_at if gap_from else ""
    channels = await rest.channels()
    bridges = await rest.bridges()
    now = time.time_ns() // 1_000_000
    ahead = rest.ahead_ms or 0
    if abs(ahead) <= SAME_CLOCK_MS:
        ahead = 0
    now += ahead
    return Snapshot(
        timestamp=timestamp(now),
        channels=channels,
        bridges=bridges,
        gap_from=gap_from,
        booted=booted,
        lost="" if lost_ms is None else timestamp(lost_ms + ahead),
    )
