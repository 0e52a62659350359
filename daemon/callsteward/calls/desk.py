"""The state that all parts of the tracker share: the standard, the deadlines, the facts so far."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from callsteward.calls.deadlines import Deadline, Deadlines
from callsteward.calls.deliveries import Deliveries
from callsteward.calls.voices import Voices
from callsteward.record.call import Direction
from callsteward.record.facts import Alert, CallHappened, Fact, Happening
from callsteward.standard.rules import Rules

if TYPE_CHECKING:
    from callsteward.calls.directory import Directory
    from callsteward.calls.model import Call, Leg
    from callsteward.config import Config
    from callsteward.config.profile import Profile
    from callsteward.record.number import Numbers

_STARTED: Final = Happening.STARTED
_ANSWERED: Final = Happening.ANSWERED
_OUTBOUND: Final = Direction.OUTBOUND
_INTERNAL: Final = Direction.INTERNAL
# Operators whose last call is remembered. Beyond this many, those whose wrap-up time is over are forgotten.
_LEFT: Final = 1000


def _told_number(call: Call, event: Happening) -> str:
    """The client's number, for facts that matter to a callback."""
    if call.direction is _INTERNAL:
        return ""
    # The operator of a callback answers before anybody talks to the client.
    talks = event is _ANSWERED and call.answered_ms is not None
    return call.client_number if event is _STARTED or talks else ""


class Limits:
    """A line's profile as plain numbers, for every call. In ms where they are compared as such."""

    __slots__ = (
        "_hold_limit_by_grade_s",
        "_hold_limit_s",
        "abnormal_causes",
        "asks_after_talk",
        "drop_on_bye",
        "greeting_ms",
        "greeting_within_ms",
        "interruption_ms",
        "ring_ms",
        "rules",
        "short_abandon_s",
        "silence_ms",
        "talk_ms",
    )

    def __init__(self, profile: Profile) -> None:
        self.rules = Rules(profile)
        self.abnormal_causes = profile.abnormal_causes
        self.drop_on_bye = profile.drop_on_bye
        self.short_abandon_s = profile.short_abandon_s
        self._hold_limit_s = profile.hold_limit_s
        self._hold_limit_by_grade_s = profile.hold_limit_by_grade_s
        # Whether operators hand their clients over to the rating.
        self.asks_after_talk = profile.rating in {"stay", "transfer"}
        self.ring_ms = int(profile.answer_limit_s * 1000) if profile.ring_alert else None
        self.silence_ms = int(profile.silence_limit_s * 1000)
        self.talk_ms = int(profile.talk_limit_s * 1000)
        self.greeting_ms = profile.greeting_s * 1000
        self.greeting_within_ms = int(profile.greeting_within_s * 1000)
        self.interruption_ms = int(profile.interruption_min_s * 1000)

    def hold_s(self, grade: str) -> float:
        """The hold limit for operators of a grade, in seconds."""
        return self._hold_limit_by_grade_s.get(grade, self._hold_limit_s)


class OperatorLeft(NamedTuple):
    """An operator has left a call's conversation."""

    call_id: str
    line: str
    at_ms: int


class Desk:
    """Shared by all parts of one tracker."""

    def __init__(self, config: Config, directory: Directory, numbers: Numbers) -> None:
        self.site = config.site.name
        self.default_line = config.default_line
        self.directory = directory
        self.numbers = numbers
        self.deadlines: Deadlines[Leg | Call] = Deadlines()
        self.facts: list[Fact] = []
        self.voices = Voices(armed=config.asterisk.talk_detect == "on")
        self.deliveries = Deliveries()
        self.deaf = config.asterisk.talk_detect == "off"
        self.silence_ms = config.asterisk.silence_ms
        self.tags = config.tags.enabled
        self.wrap_up_ms = int(config.tags.wrap_up_s * 1000)
        # By operator: the call whose conversation they left last. A code dialled after a call tags this one.
        self.left: dict[str, OperatorLeft] = {}
        self._config = config
        self._limits: dict[str, Limits] = {}

    def reconfigure(self, config: Config, directory: Directory) -> None:
        self.default_line = config.default_line
        self.directory = directory
        self._config = config
        self._limits.clear()

    def limits(self, line: str) -> Limits:
        found = self._limits.get(line)
        if found is None:
            found = self._limits[line] = Limits(self._config.profile(line))
        return found

    def asks_after_talk(self, line: str) -> bool:
        """True if operators of the line hand their clients over to the rating."""
        return self._config.rating.enabled and self.limits(line).asks_after_talk

    def hold_limit_s(self, line: str, operator: str | None) -> float:
        return self.limits(line).hold_s(self.directory.grade(operator))

    def say(
        self,
        call: Call,
        event: Happening,
        at_ms: int,
        *,
        operator: str | None = None,
        by: str | None = None,
        to: str | None = None,
        duration_ms: int | None = None,
    ) -> None:
        """Add a fact about a call. Facts of a call without a client are dropped."""
        if call.client is None and not call.client_gone:
            return
        self.facts.append(
            CallHappened(
                call_id=call.id,
                line=call.line,
                event=event,
                at_ms=at_ms,
                operator=operator,
                client_masked=self.numbers.masked(call.client_number) if event is _STARTED else None,
                by=by,
                to=to,
                duration_s=None if duration_ms is None else duration_ms / 1000,
                client_number=_told_number(call, event),
                outbound=call.direction is _OUTBOUND,
            )
        )

    def leave(self, operator: str, call: Call, ms: int) -> None:
        """Remember which call an operator left last."""
        left = self.left
        left.pop(operator, None)
        if len(left) >= _LEFT:
            since = ms - self.wrap_up_ms
            self.left = left = {name: item for name, item in left.items() if item.at_ms >= since}
            if len(left) >= _LEFT:
                del left[next(iter(left))]
        left[operator] = OperatorLeft(call.id, call.line, ms)

    def drop(self, deadline: Deadline[Leg | Call] | None) -> None:
        if deadline is not None:
            self.deadlines.cancel(deadline)

    def disarm(self, call: Call) -> None:
        """Stop all limits of this call."""
        if call.silence is not None:
            self.deadlines.cancel(call.silence)
        if call.talk_limit is not None:
            self.deadlines.cancel(call.talk_limit)
        if call.linger is not None:
            self.deadlines.cancel(call.linger)
        call.silence = call.talk_limit = call.linger = None

    def alert(self, call: Call, deadline: Deadline[Leg | Call], operator: str | None) -> None:
        """Alert that a limit was crossed, at the deadline's own moment.

        Calls among colleagues have no limits.
        """
        if call.direction is _INTERNAL:
            return
        self.facts.append(
            Alert(
                call_id=call.id,
                line=call.line,
                rule=deadline.limit.value,
                at_ms=deadline.at_ms,
                operator=operator,
                limit_s=(deadline.at_ms - deadline.since_ms) / 1000,
                since_ms=deadline.since_ms,
            )
        )
