"""The daemon's `status`: whether it is there, whether it receives events, what it has lost."""

from __future__ import annotations

import time

from callsteward.feed.backlog import Backlog, MessageKind
from callsteward.feed.delivery import Delivery
from callsteward.feed.status_message import StatusMessage, status
from callsteward.health import Health

# Status is sent when anything in it changes, and at least this often: its numbers grow old.
STATUS_EVERY_S = 30.0


class Presence:
    """Makes the status message, and knows when the next one is due."""

    def __init__(
        self, *, site: str, started_ms: int, backlog: Backlog, delivery: Delivery | None = None
    ) -> None:
        self._site = site
        self._started_ms = started_ms
        self._backlog = backlog
        self._delivery = delivery
        self.asterisk: tuple[bool, str] = (False, "not connected yet")
        """Whether Asterisk is connected, and why not."""
        self.health = Health()
        """The daemon's own health."""
        self._sent: tuple[object, ...] = ()
        self._sent_s = 0.0

    def due(self) -> bool:
        """True if the status is to be sent: at once (a second) for news, else now and again."""
        age_s = time.monotonic() - self._sent_s
        return (self._sent != self._news() and age_s >= 1) or age_s >= STATUS_EVERY_S

    def will(self) -> StatusMessage:
        """The broker's message when the daemon vanishes. No time of death is known when it is made."""
        return status(site=self._site, started_ms=self._started_ms, state="offline", reason="connection_lost")

    def status(self, last_seq: int, *, stopped: bool = False) -> StatusMessage:
        """The status of this moment; it counts as sent."""
        connected, detail = self.asterisk
        self._sent = self._news()
        self._sent_s = time.monotonic()
        dropped, delivery = self._backlog.dropped, self._delivery
        return status(
            site=self._site,
            started_ms=self._started_ms,
            state="offline" if stopped else "online",
            reason="stopped" if stopped else "running",
            asterisk="connected" if connected else "disconnected",
            asterisk_detail=detail,
            last_seq=last_seq,
            queue_depth=self._backlog.depth,
            dropped=(dropped[MessageKind.RECORD], dropped[MessageKind.ALERT], dropped[MessageKind.EVENT]),
            outbox=None if delivery is None else delivery.level.value,
            outbox_depth=None if delivery is None else delivery.measure.messages,
            outbox_oldest_ms=None if delivery is None else delivery.measure.oldest_ms,
            health=self.health,
        )

    def _news(self) -> tuple[object, ...]:
        """Changes of these are worth a status at once: link, health, drops, an outbox that fills."""
        level = None if self._delivery is None else self._delivery.level
        return (self.asterisk, level, *self.health.news, *self._backlog.dropped.values())
