"""The message about the daemon itself; the envelope is explained in `feed.messages`."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from callsteward import __version__
from callsteward.feed.envelope import BLANK, Count, Envelope, Stamp, stamp
from callsteward.health import Health

_UNKNOWN_HEALTH: dict[str, Any] = dict.fromkeys(Health.__struct_fields__)


class StatusMessage(Envelope, frozen=True, kw_only=True):
    """`status`: whether the daemon is there, whether it receives events, and whether it has lost any.

    `reason` is stopped after a clean stop and connection_lost in the Will, which the broker publishes when
    the daemon vanishes: the Will is made when the connection is made, so fields that it cannot know are null.
    `outbox` is filling when the broker takes less than is made, and dropping while the oldest messages are
    given up; `outbox_depth` and `outbox_oldest_at` are from the last time it was measured (5 s). `parts` is
    waiting while the port of an optional part ([web], [agi]) is not available; everything else goes on.
    `standby` says whether the other daemon of the site could take over from `instance`, which acts. The
    fields from `frames_waiting` on are the daemon's own health (`health`); counts are since its start.
    """

    schema: Literal["callsteward.status/1"] = "callsteward.status/1"
    state: Literal["online", "offline"]
    reason: Literal["running", "stopped", "connection_lost"]
    version: str
    started_at: Stamp
    asterisk: Literal["connected", "disconnected"] | None
    asterisk_detail: str | None
    last_seq: Count | None
    queue_depth: Count | None
    dropped: Count | None
    dropped_records: Count | None
    dropped_alerts: Count | None
    dropped_events: Count | None
    outbox: Literal["normal", "filling", "dropping"] | None = None
    outbox_depth: Count | None = None
    outbox_oldest_at: Stamp | None = None
    frames_waiting: Count | None
    frames_shed: Count | None
    overflows: Count | None
    disconnects: Count | None
    refused: Count | None
    silences: Count | None
    malformed: Count | None
    tracker_errors: Count | None
    clock_steps: Count | None
    disk: Literal["working", "hangs", "refuses"] | None
    disk_detail: str | None
    config: Literal["current", "refused", "needs_restart"] | None
    config_detail: str | None
    parts: Literal["open", "waiting"] | None = None
    parts_detail: str | None = None
    role: Literal["alone", "acts", "stands_by"] | None = None
    instance: str | None = None
    standby: Literal["none", "ready", "not_ready", "absent"] | None = None
    standby_detail: str | None = None


def status(
    *,
    site: str,
    started_ms: int,
    state: Literal["online", "offline"],
    reason: Literal["running", "stopped", "connection_lost"],
    asterisk: Literal["connected", "disconnected"] | None = None,
    asterisk_detail: str | None = None,
    last_seq: int | None = None,
    queue_depth: int | None = None,
    dropped: tuple[int, int, int] | None = None,
    outbox: Literal["normal", "filling", "dropping"] | None = None,
    outbox_depth: int | None = None,
    outbox_oldest_ms: int | None = None,
    health: Health | None = None,
) -> StatusMessage:
    """The daemon's status. `dropped`: records, alerts, call events given up since it started."""
    records, alerts, events = dropped or (None, None, None)
    return StatusMessage(
        **BLANK,
        site=site,
        state=state,
        reason=reason,
        version=__version__,
        started_at=stamp(started_ms),
        asterisk=asterisk,
        asterisk_detail=None if asterisk_detail is None else _masked(asterisk_detail),
        last_seq=last_seq,
        queue_depth=queue_depth,
        dropped=sum(dropped) if dropped else None,
        dropped_records=records,
        dropped_alerts=alerts,
        dropped_events=events,
        outbox=outbox,
        outbox_depth=outbox_depth,
        outbox_oldest_at=None if outbox_oldest_ms is None else stamp(outbox_oldest_ms),
        **(_UNKNOWN_HEALTH if health is None else _said(health)),
    )


def _said(health: Health) -> dict[str, Any]:
    """The health's fields. Secrets are removed from its texts, which quote errors of the configuration."""
    fields = msgspec.structs.asdict(health)
    return {name: _masked(value) if isinstance(value, str) else value for name, value in fields.items()}


def _masked(text: str) -> str:
    # The command line reads the message types for its help, and has no use for the configuration then.
    from callsteward.config.secret_words import masked

    return masked(text)
