"""The spans in which the daemon received events, and the states of operators' phones: stored as they happen.

Without them an interval without calls could mean a quiet night or a daemon that was down.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import structlog

from callsteward.ari import events as ari
from callsteward.ari.rest import Rest
from callsteward.exceptions import AriError
from callsteward.intervals.presence import Change
from callsteward.intervals.store import IntervalStore

log = structlog.get_logger(__name__)

# How far before a kill the daemon counts as having watched: the interval between two writes.
MARK_EVERY_MS = 30_000


class Observed:
    """Gets the link's state and events at once; `step` stores. `devices`: the operator of each device.

    `keeps_events`: Asterisk keeps events while the daemon is away (connect = "outbound").
    """

    def __init__(
        self, store: IntervalStore, rest: Rest, devices: Mapping[str, str], *, keeps_events: bool
    ) -> None:
        self._store = store
        self._rest = rest
        self._devices = devices
        self._keeps_events = keeps_events
        self._links: deque[tuple[bool, int]] = deque()
        self._heard: deque[tuple[str, Change]] = deque()
        self._states: dict[str, str | None] = {}
        self._span: int | None = None
        self._marked_ms = 0
        self._followed_since_ms: int | None = None
        self.linked_since_ms: int | None = None
        """Since when events have been received without a break, None while they are not."""

    def link(self, connected: bool, at_ms: int) -> None:
        """The link to Asterisk was made, or lost."""
        self.linked_since_ms = at_ms if connected else None
        self._links.append((connected, at_ms))

    def take_over(self, since_ms: int) -> None:
        """Another daemon of the site watched until now; this one has received each event since then."""
        self._followed_since_ms = since_ms

    def hear(self, event: ari.Event) -> None:
        """Take in an event; those about operators' phones are kept."""
        if not isinstance(event, ari.DeviceStateChanged):
            return
        operator = self._devices.get(event.device_state.name)
        at_ms = ari.epoch_ms(event.timestamp)
        if operator is not None and at_ms is not None:
            self._heard.append((operator, Change(at_ms, event.device_state.state)))

    async def load(self) -> None:
        """Continue from an earlier process's state. Raises StoreError."""
        self._states = await self._store.phone_states()

    async def step(self, now_ms: int) -> None:
        """Store the news. Raises StoreError; news that was not stored is stored the next time."""
        while self._links:
            connected, at_ms = self._links[0]
            if self._span is not None:
                await self._store.watch_until(self._span, at_ms)
                self._span = None
            if connected:
                kept_since_ms = await self._booted_ms() if self._keeps_events else self._followed_since_ms
                self._followed_since_ms = None
                span = await self._store.watch_from(at_ms, kept_since_ms=kept_since_ms)
                await self._look(at_ms)
                self._span = span
            self._links.popleft()
        changes: list[tuple[str, Change]] = []
        count = len(self._heard)
        states = dict(self._states)
        for operator, change in list(self._heard):
            if states.get(operator) != change.state:
                states[operator] = change.state
                changes.append((operator, change))
        await self._store.phone_changes(changes)
        self._states = states
        for _ in range(count):
            self._heard.popleft()
        if now_ms - self._marked_ms >= MARK_EVERY_MS:
            await self.mark(now_ms)

    async def mark(self, now_ms: int) -> None:
        """Store that events have been received until now, if they have. Raises StoreError."""
        if self._span is not None:
            await self._store.watch_until(self._span, now_ms)
            self._marked_ms = now_ms

    async def _booted_ms(self) -> int | None:
        """When Asterisk started: events from before are not kept. None if it does not say."""
        try:
            return ari.epoch_ms((await self._rest.info()).started_at)
        except AriError as error:
            log.warning(
                "cannot ask when Asterisk was started: the time away counts as not observed",
                action="asterisk_started",
                error=str(error),
            )
            return None

    async def _look(self, at_ms: int) -> None:
        """Read the phones' present states: their changes while nobody listened are not known."""
        found: list[tuple[str, Change]] = []
        refused = 0
        for device, operator in self._devices.items():
            state: str | None = None
            try:
                state = await self._rest.device_state(device)
            except AriError as error:
                refused += 1
                if refused == 1:
                    log.warning(
                        "cannot read the states of operators' phones: staffed_s and"
                        " available_s are not known",
                        action="phone_state",
                        device=device,
                        error=str(error),
                    )
            if operator not in self._states or self._states[operator] != state:
                found.append((operator, Change(at_ms, state)))
        await self._store.phone_changes(found)
        self._states.update((operator, change.state) for operator, change in found)
