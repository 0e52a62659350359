"""What a dialplan may ask, and the channel variables that answer it.

| script | sets |
|---|---|
| arrival | CALLSTEWARD_LAST_OPERATOR, CALLSTEWARD_CALLBACK, CALLSTEWARD_DNC, CALLSTEWARD_LANGUAGE |
| dnc | CALLSTEWARD_DNC, after ?action=add or remove was carried out; ?action=check changes nothing |

A variable is always set, to the empty string where there is nothing to say, so that a dialplan never reads
what an earlier call left in an inherited one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from callsteward.agi.lookups import Caller
from callsteward.agi.request import AgiError, Request
from callsteward.agi.server import Answer

LAST_OPERATOR = "CALLSTEWARD_LAST_OPERATOR"
CALLBACK = "CALLSTEWARD_CALLBACK"
DNC = "CALLSTEWARD_DNC"
LANGUAGE = "CALLSTEWARD_LANGUAGE"

_YES = "1"
_NO = "0"


class Questions:
    """Answers for one site.

    `read` makes E.164 of a caller id (None: no number), `caller` looks a number up, `listed`, `add` and
    `remove` are the do-not-call list, `language` is a line's by what was dialled.
    """

    def __init__(
        self,
        *,
        read: Callable[[str], str | None],
        caller: Callable[[str], Awaitable[Caller]],
        listed: Callable[[str], Awaitable[bool]],
        add: Callable[[str], Awaitable[object]],
        remove: Callable[[str], Awaitable[object]],
        language: Callable[[Request], str],
    ) -> None:
        self._read = read
        self._caller = caller
        self._listed = listed
        self._add = add
        self._remove = remove
        self._language = language

    def scripts(self) -> dict[str, Answer]:
        """By the name in the URL."""
        return {"arrival": self.arrival, "dnc": self.dnc}

    async def arrival(self, request: Request) -> Mapping[str, str]:
        """Who is this? The operator who had them last, whether a callback is open, may they be called."""
        number = self._number(request)
        known = Caller() if number is None else await self._caller(number)
        return {
            LAST_OPERATOR: known.last_operator or "",
            CALLBACK: known.callback or "",
            DNC: _YES if known.do_not_call else _NO,
            LANGUAGE: self._language(request),
        }

    async def dnc(self, request: Request) -> Mapping[str, str]:
        """Ask about the do-not-call list, or put the caller (?number=: somebody else) on it or off it."""
        number = self._number(request)
        if number is None:
            message = "no number: the caller's is withheld, and ?number= gave none"
            raise AgiError(message)
        action = request.params.get("action", "check")
        if action == "add":
            await self._add(number)
        elif action == "remove":
            await self._remove(number)
        elif action != "check":
            message = "action: check, add or remove"
            raise AgiError(message)
        return {DNC: _YES if await self._listed(number) else _NO}

    def _number(self, request: Request) -> str | None:
        given = request.params.get("number", request.caller)
        return None if given is None else self._read(given)
