"""Which endpoints Asterisk's talk detector hears: kept per endpoint, since a silent call proves nothing.

An endpoint (`PJSIP/101`, a trunk) counts as heard once any talk event of it was seen, on any call: from then
on its silence means that nobody spoke. If the detector is switched off later, its talks are silent one after
the other: after `DEAF_AFTER` such talks in a row it counts as not heard, until an event comes again. With
`talk_detect = "on"` every endpoint counts as heard.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from callsteward.ari.events import Listened
from callsteward.calls import timeline

if TYPE_CHECKING:
    from callsteward.calls.directory import Endpoint
    from callsteward.calls.model import Call, Leg

DEAF_AFTER: Final = 5
"""Talks in a row without a word after which an endpoint counts as not heard: with its detector on, no
operator or trunk has that many."""
TALK_MS: Final = 10_000
"""The shortest talk, holds taken out, that says something about whether an endpoint is heard."""
KEPT: Final = 2_000
"""The most endpoints kept. Channels can be named by whoever calls; the one longest out of use goes first."""


class Voice:
    """One endpoint: whether it can be heard, and the evidence for that."""

    __slots__ = ("audible", "endpoint", "events", "heard", "quiet", "taken")

    def __init__(self, endpoint: str, *, audible: bool) -> None:
        self.endpoint = endpoint
        self.audible = audible
        # Whether a talk event of it was ever seen.
        self.heard = False
        # Talks in a row without one; no more than DEAF_AFTER are counted.
        self.quiet = 0
        self.events = 0
        # Whether the store knows of it.
        self.taken = False


class Participation:
    """One person's part in a call's conversation, on the client's side or the operator's."""

    __slots__ = ("client", "events", "leg", "since_ms", "until_ms", "voice")

    def __init__(self, leg: Leg, voice: Voice, since_ms: int) -> None:
        # Set while the part lasts: the reference to a leg that is gone is dropped.
        self.leg: Leg | None = leg
        self.voice = voice
        # The number of its talk events at the beginning of the part.
        self.events = voice.events
        self.since_ms = since_ms
        self.until_ms: int | None = None
        # The side.
        self.client = False

    def close(self, ms: int) -> None:
        self.leg = None
        self.until_ms = max(ms, self.since_ms)


class Voices:
    """The voices of all known endpoints."""

    __slots__ = ("_armed", "_changed", "_known")

    def __init__(self, *, armed: bool) -> None:
        self._armed = armed
        self._known: OrderedDict[str, Voice] = OrderedDict()
        # Changes that the store has not taken yet; None for an endpoint that is no longer kept.
        self._changed: dict[str, Voice | None] = {}

    def of(self, endpoint: Endpoint) -> Voice:
        """The voice behind a channel that takes part in a talk, or speaks. Nobody is at a Local channel."""
        return self._of(endpoint.shown if endpoint.person else "")

    def _of(self, endpoint: str) -> Voice:
        known = self._known
        voice = known.get(endpoint)
        if voice is not None:
            known.move_to_end(endpoint)
            return voice
        voice = Voice(endpoint, audible=self._armed)
        if endpoint:
            known[endpoint] = voice
            if len(known) > KEPT:
                oldest, unused = known.popitem(last=False)
                self._changed.pop(oldest, None)
                if unused.taken:
                    self._changed[oldest] = None
        return voice

    def event(self, voice: Voice) -> None:
        """A talk event of this endpoint."""
        voice.events += 1
        if voice.quiet or not voice.heard:
            self._heard(voice)

    def _heard(self, voice: Voice) -> None:
        """A talk event of this endpoint, the first one or the first after talks without a word."""
        voice.heard = voice.audible = True
        voice.quiet = 0
        if voice.endpoint:
            self._changed[voice.endpoint] = voice

    def call_over(self, call: Call) -> None:
        """Count a finished call for everybody who took part in a talk long enough to be heard, heard or not.

        Only for a call that was observed completely.
        """
        if call.unobserved:
            return
        for part in call.parts:
            if part.voice.events == part.events:
                self._look_at(call)
                return

    def _look_at(self, call: Call) -> None:
        looked_at: set[int] = set()
        for part in call.parts:
            voice = part.voice
            # If somebody has several parts, the first one says it for all: its count of events is the lowest.
            if id(voice) not in looked_at:
                looked_at.add(id(voice))
                if voice.events == part.events and voice.quiet < DEAF_AFTER and voice.endpoint:
                    self._silent(call, voice)

    def _silent(self, call: Call, voice: Voice) -> None:
        spans = timeline.union(
            [(part.since_ms, part.until_ms or 0) for part in call.parts if part.voice is voice]
        )
        held = timeline.union([(start, end) for _, start, end, _ in call.holds])
        if timeline.total(timeline.difference(spans, held)) >= TALK_MS:
            voice.quiet += 1
            self._changed[voice.endpoint] = voice
            if voice.quiet >= DEAF_AFTER and not self._armed:
                voice.audible = False

    def all(self) -> tuple[Listened, ...]:
        """Everything that is known, the endpoint longest out of use first."""
        known = self._known.values()
        return tuple(
            Listened(item.endpoint, item.heard, item.quiet) for item in known if item.heard or item.quiet
        )

    def learn(self, listened: Iterable[Listened]) -> None:
        """Take over earlier knowledge, in place of what is known."""
        for voice in self._known.values():
            voice.heard, voice.quiet, voice.audible = False, 0, self._armed
        for item in listened:
            voice = self._of(item.endpoint)
            voice.taken = True
            voice.heard, voice.quiet = item.heard, item.quiet
            voice.audible = self._armed or (item.heard and item.quiet < DEAF_AFTER)

    @property
    def changed(self) -> bool:
        return bool(self._changed)

    def changes(self) -> list[tuple[str, Listened | None]]:
        """Changes since the last time, by endpoint; None: nothing is known of this one any more."""
        changed, self._changed = self._changed, {}
        for voice in changed.values():
            if voice is not None:
                voice.taken = True
        return [
            (endpoint, None if voice is None else Listened(endpoint, voice.heard, voice.quiet))
            for endpoint, voice in changed.items()
        ]
