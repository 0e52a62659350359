"""Names of topics: `<root>/<site>/…`.

A name that came from the configuration or off the wire becomes exactly one level, whatever is in it.
"""

from __future__ import annotations

from urllib.parse import quote

from callsteward.intervals.grid import topic_name
from callsteward.intervals.row import Kind

# quote() lets letters, digits and `_.-~` through; `+ # /`, NUL, blanks and whatever is not ASCII become
# %XX, and so does `%` itself: two names never share a level.
_EMPTY = "%"


def level(name: str) -> str:
    """One level of a topic for any name. An empty one becomes `%`, which no other name does."""
    return quote(name, safe="", errors="replace") or _EMPTY


class Topics:
    """The topics of one site."""

    def __init__(self, root: str, site: str) -> None:
        # The root may have several levels; empty ones (a slash too many) would only be a trap.
        levels = [part for part in root.split("/") if part]
        self._base = "/".join(map(level, [*levels, site]))

    @property
    def everything(self) -> str:
        """The filter that matches all topics of the site."""
        return f"{self._base}/#"

    def below_the_site(self, topic: str) -> str:
        """One of these topics without what stands before it: `calls/support/ended`."""
        return topic.removeprefix(f"{self._base}/")

    @property
    def status(self) -> str:
        return f"{self._base}/status"

    @property
    def check(self) -> str:
        """Where `callsteward check` proves that it may publish."""
        return f"{self._base}/check"

    def line_now(self, line: str) -> str:
        return f"{self._base}/lines/{level(line)}/now"

    def operator_now(self, operator: str) -> str:
        return f"{self._base}/operators/{level(operator)}/now"

    def line_interval(self, line: str, start_ms: int) -> str:
        return f"{self._base}/lines/{level(line)}/intervals/{topic_name(start_ms)}"

    def operator_interval(self, operator: str, start_ms: int) -> str:
        return f"{self._base}/operators/{level(operator)}/intervals/{topic_name(start_ms)}"

    def interval(self, kind: Kind, name: str, start_ms: int) -> str:
        return (self.line_interval if kind is Kind.LINE else self.operator_interval)(name, start_ms)

    def call_ended(self, line: str) -> str:
        return f"{self._base}/calls/{level(line)}/ended"

    def call_events(self, line: str) -> str:
        return f"{self._base}/calls/{level(line)}/events"

    def alert(self, line: str, rule: str) -> str:
        return f"{self._base}/alerts/{level(line)}/{level(rule)}"

    def daemon_alert(self, rule: str) -> str:
        """Beside the lines: no line's level begins with a dollar sign."""
        return f"{self._base}/alerts/$daemon/{level(rule)}"

    def complaint(self, line: str) -> str:
        return self.alert(line, "complaint_escalated")

    @property
    def commands(self) -> str:
        """The filter that matches every command; the last level is the command's name."""
        return f"{self._base}/commands/+"

    def reply(self, command_id: str) -> str:
        return f"{self._base}/replies/{level(command_id)}"

    @property
    def replies(self) -> str:
        """What every topic for a reply begins with, also one a client asks for."""
        return f"{self._base}/replies/"

    def callbacks(self, line: str) -> str:
        return f"{self._base}/callbacks/{level(line)}"

    def ratings(self, line: str) -> str:
        return f"{self._base}/ratings/{level(line)}"
