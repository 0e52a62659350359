"""Whose a channel is, and which line a client called: the configuration's answers, cached."""

from __future__ import annotations

import re
from enum import Enum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from callsteward.record.number import Numbers
from callsteward.record.numbering import NumberFormat

if TYPE_CHECKING:
    from callsteward.config import Config


class EndpointKind(Enum):
    """The role of the device or trunk behind a channel."""

    OPERATOR = "operator"
    TRUNK = "trunk"
    RELAY = "relay"  # one half of a Local channel: nobody is at it
    MACHINE = "machine"  # announcers, recorders, snoops: Asterisk talking to itself


# Channel technologies that never have a person behind them (Asterisk: main/bridge_channel.c, res_stasis_*,
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
# Drivers append a serial number to the endpoint: a short one, or eight digits with leading zeros.
_PADDED: Final = 8
_NO_SERIAL: Final = re.compile(r"[0-9]{9}|\A[1-9][0-9]{6}|\A[0-9]{7}\Z")
# Endpoints kept in memory. A site has fewer, but an ISDN line has a new name for each caller.
_KEPT: Final = 4096


class Endpoint:
    """A technology and endpoint such as PJSIP/101, and what it is.

    `name` and `shown` (with the technology) may be published: a number in them is masked. `bare` says that
    there was no number, so the names of its channels may be published unchanged. `numbers`: how this trunk
    writes its callers' numbers; None if that is not configured.
    """

    __slots__ = (
        "bare",
        "is_machine",
        "is_operator",
        "is_relay",
        "is_trunk",
        "kind",
        "name",
        "numbers",
        "person",
        "shown",
    )

    def __init__(
        self, name: str, kind: EndpointKind, shown: str, bare: bool, numbers: NumberFormat | None = None
    ) -> None:
        self.name = name
        self.kind = kind
        self.shown = shown
        self.bare = bare
        self.numbers = numbers
        # Read several times for every event: a flag costs a tenth of an enum's member.
        self.is_operator = kind is EndpointKind.OPERATOR
        self.is_trunk = kind is EndpointKind.TRUNK
        self.is_relay = kind is EndpointKind.RELAY
        self.is_machine = kind is EndpointKind.MACHINE
        self.person = self.is_operator or self.is_trunk


class Directory:
    """Endpoints and lines as the configuration names them."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._numbers = Numbers(config.site.region, None)
        self._endpoints: dict[str, Endpoint] = {}
        self._formats = [(name, form.as_format()) for name, form in config.endpoints.numbers.items()]
        self._queues = {queue: line.name for line in config.lines for queue in line.queues}
        self._contexts = {context: line.name for line in config.lines for context in line.contexts}
        self._dids = [(did, line.name) for line in config.lines for did in line.dids]
        numbers = [(number, name) for name, who in config.operators.items() for number in who.numbers]
        self._mobiles = dict(numbers)
        self._mobile_patterns = [item for item in numbers if not item[0].removeprefix("+").isdigit()]
        self.has_mobiles = bool(numbers)
        # Operators named in the configuration may have a number as their name.
        self._named = {*config.operators, *(name for line in config.lines for name in line.operators)}

    def endpoint(self, channel_name: str) -> Endpoint:
        """The endpoint of a channel named like `PJSIP/101-0000001c` or `Local/101@agents-00000000;1`.

        An ISDN channel (`DAHDI/i1/79031234567-3`) has its caller's number in its name: there the span,
        `DAHDI/i1`, is the endpoint.
        """
        return self._behind(channel_name, channel_name.rfind("-"))

    def named(self, channel_name: str) -> tuple[Endpoint, str]:
        """A channel's endpoint, and its name in the form that may be published: `DAHDI/i1/+7903***4567-3`."""
        dash = channel_name.rfind("-")
        endpoint = self._behind(channel_name, dash)
        return endpoint, self._shown(channel_name, dash, endpoint)

    def shown(self, channel_name: str) -> str:
        """A channel's name in the form that may be published."""
        return self.named(channel_name)[1]

    def _behind(self, channel_name: str, dash: int) -> Endpoint:
        """The endpoint of a channel; `dash` is the position of the dash before its serial number."""
        # Keyed by endpoint, never by channel: there are few endpoints and any number of channels.
        # A Local channel's name holds the dialled number, so these have no bound either.
        if channel_name.startswith("Local/"):
            return _RELAY
        key = channel_name[:dash] if dash > 0 else channel_name
        found = self._endpoints.get(key)
        if found is None:
            if len(self._endpoints) >= _KEPT:
                self._endpoints.clear()
            found = self._endpoints[key] = self._endpoint(key)
        return found

    def _shown(self, channel_name: str, dash: int, endpoint: Endpoint) -> str:
        if dash < 0:
            return self._numbers.hidden(channel_name)
        digits = len(channel_name) - dash - 1
        if digits == _PADDED + 2 and channel_name[-2] == ";":
            digits = _PADDED  # one half of a Local channel
        padded = digits == _PADDED and channel_name[dash + 1] == "0"
        if padded and endpoint.bare:
            return channel_name  # most channels: a serial number with leading zeros is not a phone number
        serial = channel_name[dash + 1 :]
        if not padded:
            if _NO_SERIAL.search(serial):
                serial = self._numbers.hidden(serial)
            elif endpoint.bare:
                return channel_name
        return f"{self._numbers.hidden(channel_name[:dash])}-{serial}"

    def _endpoint(self, key: str) -> Endpoint:
        technology, slash, name = key.partition("/")
        if not slash:
            name = key
        span, between, number = name.rpartition("/")
        hidden = self._numbers.hidden(name)
        if between and span and self._numbers.hidden(number) != number:
            span_key = f"{technology}/{span}"
            kind = self._kind(key, span_key)
            hidden = self._numbers.hidden(span)
        else:
            span_key = key
            kind = self._kind(key, key)
            if kind is EndpointKind.OPERATOR and name in self._named:
                hidden = name
        shown = f"{self._numbers.hidden(technology)}/{hidden}" if slash else hidden
        form = self._format(key, span_key) if kind is EndpointKind.TRUNK else None
        return Endpoint(hidden, kind, shown, self._numbers.hidden(key) == key, form)

    def _format(self, key: str, span: str) -> NumberFormat | None:
        """The number format of a trunk, by the first pattern that it matches."""
        for pattern, form in self._formats:
            if _matches((pattern,), key, span):
                return form
        return None

    def _kind(self, key: str, span: str) -> EndpointKind:
        """The kind of an endpoint, by a pattern for its whole name or its span; `DAHDI/*` matches both."""
        technology, _, name = key.partition("/")
        if technology in _MACHINES:
            return EndpointKind.MACHINE
        if _matches(self._config.endpoints.trunks, key, span):
            return EndpointKind.TRUNK
        if _matches(self._config.endpoints.operators, key, span):
            return EndpointKind.OPERATOR
        return EndpointKind.OPERATOR if _PHONE_BY_NAME.match(name) else EndpointKind.TRUNK

    def line_of_queue(self, queue: str) -> str | None:
        return self._queues.get(queue)

    def line_of_number(self, exten: str, context: str) -> str | None:
        """The line of a dialled number, else of the context in which the call arrived."""
        for pattern, line in self._dids:
            if fnmatchcase(exten, pattern):
                return line
        return self._contexts.get(context)

    def operator_at(self, number: str) -> str | None:
        """The operator whose outside phone has this E.164 number; None if it is no operator's."""
        found = self._mobiles.get(number)
        if found is None:
            for pattern, operator in self._mobile_patterns:
                if fnmatchcase(number, pattern):
                    return operator
        return found

    def grade(self, operator: str | None) -> str:
        known = self._config.operators.get(operator or "")
        return known.grade if known is not None else ""


def _matches(patterns: tuple[str, ...], key: str, span: str) -> bool:
    return any(fnmatchcase(key, pattern) or fnmatchcase(span, pattern) for pattern in patterns)


_RELAY: Final = Endpoint("Local", EndpointKind.RELAY, "Local", bare=False)
