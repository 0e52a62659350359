"""The devices of Asterisk that say something of an operator: the phone, and a pause in each queue. Pure.

A member's pause in a queue is a device of its own, `Queue:support_pause_PJSIP/101`. It can be subscribed to
before such a member exists. Which queues and members there are comes from the configuration; a member that a
queue was seen to ring is added.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from callsteward.ari.link import devices as phones
from callsteward.calls.directory import Directory

if TYPE_CHECKING:
    from callsteward.config import Config

# Members that are known from calls alone: a queue may ring any number outside.
FOUND: Final = 500
_EXTENSION: Final = re.compile(r"[0-9]{2,6}\Z")
# As in a configured queue's name: a comma would part two names in a request.
_PLAIN: Final = re.compile(r"[^\s,]{1,100}\Z")


def pause_device(queue: str, interface: str) -> str:
    """The device that is in use while a member of a queue is paused there."""
    return f"Queue:{queue}_pause_{interface}"


class Membership(NamedTuple):
    """An operator's place in a queue. `interface`: the member's name there, as `queue show` has it."""

    queue: str
    interface: str
    operator: str

    @property
    def device(self) -> str:
        return pause_device(self.queue, self.interface)


class Devices:
    """The devices of a site."""

    def __init__(self, config: Config) -> None:
        self._directory = Directory(config)
        self._configured = frozenset(config.operators)
        self.phones: dict[str, str] = phones(config)
        """Operators by their phones' devices."""
        self.phone_of: dict[str, str] = {operator: device for device, operator in self.phones.items()}
        self.members: dict[str, Membership] = {}
        """Memberships by their devices; an operator need not be in each of these queues."""
        self.of: dict[str, list[Membership]] = {name: [] for name in config.operators}
        """Memberships by operator."""
        self.found: list[tuple[str, str]] = []
        queues = dict.fromkeys(queue for line in config.lines for queue in line.queues)
        for queue in (*queues, *config.statuses.queues):
            for phone, operator in self.phones.items():
                for form in config.statuses.members:
                    interface = form.replace("{phone}", phone).replace("{operator}", operator)
                    if _PLAIN.match(interface):
                        self._add(Membership(queue, interface, operator))

    @property
    def operators(self) -> list[str]:
        """The configured ones, and those whom a queue rang."""
        return list(self.of)

    @property
    def names(self) -> list[str]:
        return [*self.phones, *self.members]

    def rang(self, queue: str, interface: str) -> bool:
        """A queue rang a member; returns whether that is news."""
        if len(self.found) >= FOUND or not _PLAIN.match(queue) or not _PLAIN.match(interface):
            return False
        operator = self.whose(interface)
        if operator is None:
            return False
        membership = Membership(queue, interface, operator)
        if membership.device in self.members:
            return False
        self.found.append((queue, interface))
        if operator not in self.of and not interface.startswith("Local/"):
            self.phones[interface] = operator
            self.phone_of.setdefault(operator, interface)
        self._add(membership)
        return True

    def _add(self, membership: Membership) -> None:
        if membership.device not in self.members:
            self.members[membership.device] = membership
            self.of.setdefault(membership.operator, []).append(membership)

    def whose(self, interface: str) -> str | None:
        """The operator behind a queue's member, None if it is nobody known."""
        known = self.phones.get(interface)
        if known is not None:
            return known
        name = interface.partition("/")[2].partition("@")[0]
        if name in self._configured or _EXTENSION.match(name):
            return name
        digits = name.removeprefix("+")
        return self._directory.operator_at(f"+{digits}") if digits.isdigit() else None
