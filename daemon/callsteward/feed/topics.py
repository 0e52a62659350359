"""Names of topics: `<root>/<site>/…`.

A name that came from the configuration or off the wire becomes exactly one level, whatever is in it.
"""

from __future__ import annotations

from urllib.parse import quote

# quote() lets letters, digits and `_.-~` through; `+ # /`, NUL, blanks and everything that is not ASCII
# become %XX, and so does `%` itself: two names never share a level.
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
        """The topic on which `callsteward check` proves that it may publish."""
        return f"{self._base}/check"

    def line_now(self, line: str) -> str:
        return f"{self._base}/lines/{level(line)}/now"

    def operator_now(self, operator: str) -> str:
        return f"{self._base}/operators/{level(operator)}/now"

    def daemon_alert(self, rule: str) -> str:
        """Beside the lines: no line's level begins with a dollar sign."""
        return f"{self._base}/alerts/$daemon/{level(rule)}"

    def of(self, *levels: str) -> str:
        """The topic with these levels below the site, whatever is in them."""
        return "/".join((self._base, *map(level, levels)))

    def below(self, path: str) -> str:
        """A filter, or the beginning of topics, below the site: `commands/+`."""
        return f"{self._base}/{path}"
