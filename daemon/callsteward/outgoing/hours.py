"""May a client be called now? Calling hours in the client's own time zone. Pure.

docs/standard.md, `calling_hours`: 09:00 to 20:00 where the client is; a callback within 15 minutes of the
drop is exempt. A number names its zones (`phonenumbers`: one for a Moscow landline, 16 for a Russian mobile),
so the rule is "allowed in every zone the number can be in", or the line's own zone by configuration. A zone
of the client's own, from the imported list, wins over both.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import phonenumbers
from phonenumbers import timezone

if TYPE_CHECKING:
    from callsteward.config import CallbackSettings, Config


def candidate_zones(number: str) -> tuple[ZoneInfo, ...]:
    """The zones in which an E.164 number may be; none if they are not known."""
    try:
        names = timezone.time_zones_for_number(phonenumbers.parse(number, None))
    except phonenumbers.NumberParseException:
        return ()
    zones = []
    for name in names:
        if name == timezone.UNKNOWN_TIMEZONE:
            continue
        try:
            zones.append(ZoneInfo(name))
        except (ZoneInfoNotFoundError, ValueError):
            # This machine's tables do not have the zone: whether it is night there is not known.
            return ()
    return tuple(zones)


def open_in_every(zones: Iterable[ZoneInfo], settings: CallbackSettings, at_ms: int) -> bool:
    """True if it is within the hours in each of the zones."""
    # A change of clocks needs no care: a moment is turned into wall time, never wall time into a moment.
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    return all(settings.hours_from <= moment.astimezone(zone).time() < settings.hours_to for zone in zones)


class Hours:
    """The calling hours of a site's configuration."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._settings = config.callback

    def zones(self, number: str, line: str, own: ZoneInfo | None = None) -> tuple[ZoneInfo, ...]:
        """The zones that must all be open for a call to the number; at least one. `own`: the client's."""
        if own is not None:
            return (own,)
        of_line = (ZoneInfo(self._config.line(line).timezone or self._config.site.timezone),)
        if self._settings.zones == "line":
            return of_line
        return candidate_zones(number) or of_line

    def exempt(self, *, dropped_ms: int, at_ms: int) -> bool:
        """True soon after the drop, while the hours do not count."""
        return at_ms - dropped_ms <= self._settings.exempt_s * 1000

    def allow(
        self, number: str, line: str, *, dropped_ms: int, at_ms: int, own: ZoneInfo | None = None
    ) -> bool:
        """True if a callback may be dialled at a moment (ms since 1970)."""
        return self.exempt(dropped_ms=dropped_ms, at_ms=at_ms) or self.open(
            number, line, at_ms=at_ms, own=own
        )

    def open(self, number: str, line: str, *, at_ms: int, own: ZoneInfo | None = None) -> bool:
        """True if it is within the hours at a moment in every zone in which the client may be."""
        return open_in_every(self.zones(number, line, own), self._settings, at_ms)
