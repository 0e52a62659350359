"""The questions that a dialplan may ask, and the channel variables with the answers.

| script | sets |
|---|---|
| arrival | CALLSTEWARD_LAST_OPERATOR, CALLSTEWARD_OPEN_CALLBACK, CALLSTEWARD_DNC, CALLSTEWARD_LANGUAGE |
| dnc | CALLSTEWARD_DNC, after ?action=add or remove was carried out; ?action=check changes nothing |
| tag | CALLSTEWARD_TAG: `done`, or why not; ?tag=complaint&value=…&call=ID (the channel's own call) |
| rating-eligible | CALLSTEWARD_ELIGIBLE: `ask`, or the rule against it; ?line=NAME (by the number dialled) |

A variable is always set, to the empty string where there is nothing to say, so that a dialplan never reads
what an earlier call left in an inherited one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from callsteward.agi.lookups import Caller
from callsteward.agi.request import AgiError, AgiRequest
from callsteward.agi.server import AnswerQuestion

LAST_OPERATOR = "CALLSTEWARD_LAST_OPERATOR"
CALLBACK = "CALLSTEWARD_OPEN_CALLBACK"
DNC = "CALLSTEWARD_DNC"
TAG = "CALLSTEWARD_TAG"
RATING = "CALLSTEWARD_ELIGIBLE"
LANGUAGE = "CALLSTEWARD_LANGUAGE"

_YES = "1"
_NO = "0"


ASK = "ask"

Tagger = Callable[[str, str, str], Awaitable[str]]
"""Gives a call (by its id) a tag with a value; returns `done`, or the reason against it."""

Eligible = Callable[[AgiRequest], Awaitable[str | None]]
"""The rule against asking the caller for a rating, None if they would be asked."""


class Questions:
    """Answers for one site.

    `read` makes E.164 of a caller id (None: no number), `caller` looks a number up, `listed`, `add` and
    `remove` are the do-not-call list, `language` is that of a line, by the dialled number. `delivered` is the
    caller id as the channel's trunk writes it.
    """

    def __init__(
        self,
        *,
        read: Callable[[str], str | None],
        caller: Callable[[str], Awaitable[Caller]],
        listed: Callable[[str], Awaitable[bool]],
        add: Callable[[str], Awaitable[object]],
        remove: Callable[[str], Awaitable[object]],
        language: Callable[[AgiRequest], str],
        tag: Tagger | None = None,
        rating: Eligible | None = None,
        delivered: Callable[[AgiRequest], str | None] = lambda request: request.caller,
    ) -> None:
        self._read = read
        self._caller = caller
        self._listed = listed
        self._add = add
        self._remove = remove
        self._language = language
        self._tag = tag
        self._rating = rating
        self._delivered = delivered

    def scripts(self) -> dict[str, AnswerQuestion]:
        """The answers by the name in the URL."""
        return {
            "arrival": self.arrival,
            "dnc": self.dnc,
            "tag": self.tag,
            "rating-eligible": self.rating_eligible,
        }

    async def arrival(self, request: AgiRequest) -> Mapping[str, str]:
        """The caller: who had them last, whether a callback is open, whether they may be called."""
        number = self._number(request)
        known = Caller() if number is None else await self._caller(number)
        return {
            LAST_OPERATOR: known.last_operator or "",
            CALLBACK: known.callback or "",
            DNC: _YES if known.do_not_call else _NO,
            LANGUAGE: self._language(request),
        }

    async def dnc(self, request: AgiRequest) -> Mapping[str, str]:
        """Ask about the do-not-call list, or put the caller (?number=: somebody else) on it or off it."""
        number = self._number(request)
        if number is None:
            message = "no number: the caller's is withheld or ambiguous, and so is ?number="
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

    async def tag(self, request: AgiRequest) -> Mapping[str, str]:
        """Tag a call: the channel's own, or the call that ?call= names."""
        if self._tag is None:
            message = "tags are switched off: set enabled = true under [tags]"
            raise AgiError(message)
        params = request.params
        call_id = params.get("call", request.channel_id)
        return {TAG: await self._tag(call_id, params.get("tag", ""), params.get("value", ""))}

    async def rating_eligible(self, request: AgiRequest) -> Mapping[str, str]:
        """Answer if this client would be asked for a rating now, or the rule against it.

        The menu decides again when the client comes there.
        """
        if self._rating is None:
            message = "ratings are switched off: set enabled = true under [rating]"
            raise AgiError(message)
        return {RATING: await self._rating(request) or ASK}

    def _number(self, request: AgiRequest) -> str | None:
        given = request.params.get("number")
        if given is None:
            given = self._delivered(request)
        return None if given is None else self._read(given)
