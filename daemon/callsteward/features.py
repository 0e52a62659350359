"""The features of callsteward. This is the only file that names them all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from callsteward.callback import messages as callback
from callsteward.commands import messages as commands
from callsteward.feed import calls
from callsteward.feed.tell import Channel, Tell, Tells
from callsteward.intervals import message as intervals
from callsteward.rating import messages as rating
from callsteward.store.outbox import Announce, nobody

if TYPE_CHECKING:
    from callsteward.config import Config
    from callsteward.feed.resend import Source

_TELLS: tuple[Any, ...] = (*calls.TELLS, *callback.TELLS, *rating.TELLS, *intervals.TELLS)


def channels() -> dict[str, Channel]:
    """The topics of all messages, for the contract."""
    return {
        **calls.CHANNELS,
        **intervals.CHANNELS,
        **callback.CHANNELS,
        **rating.CHANNELS,
        **commands.CHANNELS,
    }


def tells(config: Config) -> Tells:
    """The table of all messages of a site."""
    return Tells(config, _TELLS)


def announce(config: Config) -> Announce:
    """Makes the messages that go into the outbox; none with `mqtt.enabled = false`."""
    return tells(config).outgoing if config.mqtt.enabled else nobody


def durable_kinds() -> list[str]:
    """The kinds of messages that must arrive."""
    return [tell.durable for tell in _TELLS if isinstance(tell, Tell) and tell.durable]


def sources() -> Mapping[str, Source]:
    """Where each kind of message that must arrive comes from again."""
    from callsteward.callback.history import AGAIN as CALLBACKS
    from callsteward.feed.resend import Source, records
    from callsteward.intervals.history import AGAIN as INTERVALS
    from callsteward.rating.history import AGAIN as RATINGS

    return {"record": Source(records), **CALLBACKS, **RATINGS, **INTERVALS}
