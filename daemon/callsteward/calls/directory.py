"""Whose channel is this, and which line did the client call: names from the configuration, cached."""

from __future__ import annotations

import re
from enum import Enum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from callsteward.config import Config


class Kind(Enum):
    """What stands behind a channel."""

    OPERATOR = "operator"
    TRUNK = "trunk"
    RELAY = "relay"  # a half of a Local channel: nobody is at it
    MACHINE = "machine"  # announcers, recorders, snoops: Asterisk talking to itself


# Channel technologies at whose end no person can be (Asterisk: main/bridge_channel.c, res_stasis_*,
# app_confbridge, core_unreal, main/channel.c for the two masquerade leftovers).
_MACHINES: Final = frozenset(
    {
        "Announcer",
        "AsyncGoto",
        "CBAnn",
        "CBRec",
        "Message",
        "MulticastRTP",
        "Recorder",
        "Snoop",
        "Surrogate",
        "UnicastRTP",
        "WebSocket",
        "AudioSocket",
    }
)
_PHONE_BY_NAME: Final = re.compile(r"[0-9]{2,6}\Z")


class Endpoint:
    """A technology and endpoint such as PJSIP/101, and what it is."""

    __slots__ = ("is_machine", "is_operator", "is_relay", "is_trunk", "kind", "name", "person")

    def __init__(self, name: str, kind: Kind) -> None:
        self.name = name
        self.kind = kind
        # Asked several times for every event: a flag is read in a tenth of what an enum's member costs.
        self.is_operator = kind is Kind.OPERATOR
        self.is_trunk = kind is Kind.TRUNK
        self.is_relay = kind is Kind.RELAY
        self.is_machine = kind is Kind.MACHINE
        self.person = self.is_operator or self.is_trunk


class Directory:
    """Endpoints and lines as the configuration names them."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._endpoints: dict[str, Endpoint] = {}
        self._queues = {queue: line.name for line in config.lines for queue in line.queues}
        self._contexts = {context: line.name for line in config.lines for context in line.contexts}
        self._dids = [(did, line.name) for line in config.lines for did in line.dids]

    def endpoint(self, channel_name: str) -> Endpoint:
        """The endpoint of a channel named like `PJSIP/101-0000001c` or `Local/101@agents-00000000;1`."""
        # Keyed by the endpoint, never by the channel: there are few of the one and no end of the other.
        # A Local channel's name holds what was dialled and so has no end either.
        if channel_name.startswith("Local/"):
            return _RELAY
        key = channel_name.rpartition("-")[0] or channel_name
        found = self._endpoints.get(key)
        if found is None:
            found = self._endpoints[key] = Endpoint(key.partition("/")[2] or key, self._kind(key))
        return found

    def _kind(self, key: str) -> Kind:
        technology, _, name = key.partition("/")
        if technology in _MACHINES:
            return Kind.MACHINE
        if any(fnmatchcase(key, pattern) for pattern in self._config.endpoints.trunks):
            return Kind.TRUNK
        if any(fnmatchcase(key, pattern) for pattern in self._config.endpoints.operators):
            return Kind.OPERATOR
        return Kind.OPERATOR if _PHONE_BY_NAME.match(name) else Kind.TRUNK

    def line_of_queue(self, queue: str) -> str | None:
        return self._queues.get(queue)

    def line_of_number(self, exten: str, context: str) -> str | None:
        """The line a dialled number or the context it came in by belongs to."""
        for pattern, line in self._dids:
            if fnmatchcase(exten, pattern):
                return line
        return self._contexts.get(context)

    def grade(self, operator: str | None) -> str:
        known = self._config.operators.get(operator or "")
        return known.grade if known is not None else ""


_RELAY: Final = Endpoint("Local", Kind.RELAY)
