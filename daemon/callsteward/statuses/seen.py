"""Operators' phones and pauses as Asterisk has them, and the status that follows. Pure.

Calls come on top: an operator with a call is ringing, talking or on hold, whatever is said here.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import TYPE_CHECKING, NamedTuple

from callsteward.record.facts import OperatorStatus
from callsteward.statuses.devices import pause_device

if TYPE_CHECKING:
    from callsteward.statuses.devices import Devices, Membership

# ast_devstate_str, main/devicestate.c. Asterisk says of a phone that is not registered, or does not answer
# its OPTIONS, that it is unavailable; INVALID is a phone that it does not have.
_LOST = "UNAVAILABLE"
_NOTHING_KNOWN = frozenset({"UNKNOWN", "INVALID"})
# app_queue.c: QUEUE_PAUSED_DEVSTATE, QUEUE_UNPAUSED_DEVSTATE. Any other: there was no such member yet.
_PAUSED, _UNPAUSED = "INUSE", "NOT_INUSE"


class Told(NamedTuple):
    """A device's state and since when it has it, ms since 1970, as far as is known."""

    state: str
    at_ms: int


class AtRest(NamedTuple):
    """An operator at rest. `since_ms` is None where nothing was said.

    `paused_queues`: the queues in which they are paused; None while no queue is known to have them.
    """

    status: OperatorStatus
    since_ms: int | None
    paused_queues: tuple[str, ...] | None = None
    paused_since_ms: int | None = None


class Seen:
    """The devices' states, as told by events and as read."""

    def __init__(self, devices: Devices) -> None:
        self.devices = devices
        self._states: dict[str, Told] = {}
        # Members that a queue has rung since their last change.
        self._rung: set[str] = set()
        # How many events each device had: an answer to a question asked before the last one is old.
        self._events: dict[str, int] = {}

    def of(self, devices: Devices) -> Seen:
        """The same for other devices; what is known of those among them stays."""
        seen = Seen(devices)
        there = set(devices.names)
        seen._states = {device: told for device, told in self._states.items() if device in there}
        seen._events = {device: count for device, count in self._events.items() if device in there}
        return seen

    def clear(self) -> None:
        """Nothing is known any more: the connection is lost."""
        self._states.clear()
        self._rung.clear()

    def hear(self, device: str, state: str, at_ms: int) -> bool:
        """An event; returns whether it was news."""
        if device not in self.devices.members and device not in self.devices.phones:
            return False
        self._events[device] = self._events.get(device, 0) + 1
        return self._take(device, state, at_ms)

    def asking(self, device: str) -> int:
        """To be given to `answer`: tells whether an event came in between."""
        return self._events.get(device, 0)

    def answer(self, device: str, asked: int, state: str, at_ms: int) -> bool:
        """The state that Asterisk answered; returns whether it was news."""
        return self.asking(device) == asked and self._take(device, state, at_ms)

    def _take(self, device: str, state: str, at_ms: int) -> bool:
        before = self._states.get(device)
        if before is not None and before.state == state:
            return False
        self._states[device] = Told(state, at_ms)
        self._rung.discard(device)
        return True

    def rang(self, device: str) -> None:
        """A queue rang the member whose pause this device is: it is there, and it is not paused."""
        if device in self.devices.members:
            self._rung.add(device)

    def at_rest(self, operator: str) -> AtRest:
        """An operator who has no call."""
        phone = self._phone(operator)
        pauses = self._pauses(self.devices.of.get(operator, ()))
        since = min((told.at_ms for told in pauses.paused.values()), default=None)
        queues = tuple(pauses.paused) if pauses.known else None
        if phone is not None and phone.state == _LOST:
            return AtRest(OperatorStatus.UNREACHABLE, phone.at_ms, queues, since)
        # A phone that comes out of a call, or is there again, has a new state: then the status begins.
        begun = [] if phone is None else [phone.at_ms]
        if pauses.count_as_one and since is not None:
            return AtRest(OperatorStatus.PAUSED, max([*begun, since]), queues, since)
        nothing_known = phone is None or phone.state in _NOTHING_KNOWN
        status = OperatorStatus.UNKNOWN if nothing_known else OperatorStatus.FREE
        begun += [told.at_ms for told in pauses.known.values()]
        return AtRest(status, max(begun, default=None), queues, since)

    def paused_in(self, operator: str, queues: Container[str]) -> bool:
        """True if an operator counts as paused for these queues; for none of theirs: wherever they are."""
        all_of = self.devices.of.get(operator, ())
        among = self._pauses([membership for membership in all_of if membership.queue in queues])
        return (among if among.known else self._pauses(all_of)).count_as_one

    def members_of(self, queues: Container[str]) -> list[str]:
        """The operators whom Asterisk has, or had, as members of these queues."""
        there = [
            membership.operator
            for membership in self.devices.members.values()
            if membership.queue in queues and self._state(membership.device) in {_PAUSED, _UNPAUSED}
        ]
        return list(dict.fromkeys(there))

    def places(self, operator: str) -> list[tuple[str, str]]:
        """The queues, each with the member's name, that Asterisk has, or had, an operator in."""
        return [
            (membership.queue, membership.interface)
            for membership in self.devices.of.get(operator, ())
            if self._state(membership.device) in {_PAUSED, _UNPAUSED}
        ]

    def is_paused(self, queue: str, interface: str) -> bool:
        return self._state(pause_device(queue, interface)) == _PAUSED

    def reachable(self, operator: str) -> bool:
        """False if Asterisk says that the operator's phone is not there."""
        phone = self._phone(operator)
        return phone is None or phone.state != _LOST

    def _state(self, device: str) -> str:
        told = self._states.get(device)
        return "" if told is None else told.state

    def _phone(self, operator: str) -> Told | None:
        device = self.devices.phone_of.get(operator)
        return None if device is None else self._states.get(device)

    def _pauses(self, memberships: Iterable[Membership]) -> _Pauses:
        found = _Pauses({}, {}, set())
        for membership in memberships:
            told = self._states.get(membership.device)
            if told is None or told.state not in {_PAUSED, _UNPAUSED}:
                continue
            found.known[membership.queue] = told
            if told.state == _PAUSED:
                found.paused[membership.queue] = told
            elif membership.device in self._rung:
                found.rung.add(membership.queue)
        return found


class _Pauses(NamedTuple):
    """By queue. `rung`: queues that have rung the operator, who is not paused there.

    Asterisk says of a member who left a queue just what it says of one who is not paused there, and nothing
    of one whom a reload has taken out. So a pause counts for all queues, unless one rings all the same.
    """

    known: dict[str, Told]
    paused: dict[str, Told]
    rung: set[str]

    @property
    def count_as_one(self) -> bool:
        return bool(self.paused) and not self.rung
