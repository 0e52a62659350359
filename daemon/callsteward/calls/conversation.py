"""Speech and holds of a call that is over, and which of the speech could be heard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from callsteward.calls import timeline
from callsteward.record.call import Speech
from callsteward.record.moments import seconds

if TYPE_CHECKING:
    from callsteward.calls.model import Call


def _spans(speech: timeline.Spoken | None) -> timeline.Spans:
    return [] if speech is None else timeline.union(speech.spans())


class Conversation:
    """Speech and holds of a call as spans without overlaps, and which sides could be heard."""

    __slots__ = (
        "all_heard",
        "client",
        "client_heard",
        "deaf_from_ms",
        "deaf_ms",
        "held",
        "operator",
        "operator_heard",
        "operator_ms",
        "overlap_ms",
        "silences",
        "talk_ms",
        "talks",
    )

    def __init__(self, call: Call, silence_ms: int) -> None:
        self.talks = timeline.union(call.talks)
        self.held = timeline.union([(start, end) for _, start, end, _ in call.holds]) if call.holds else []
        live = timeline.difference(self.talks, self.held) if self.held else self.talks
        self.talk_ms = timeline.total(live)
        self.operator = timeline.intersection(_spans(call.operator_speech), live)
        self.operator_ms = timeline.total(self.operator)
        self.client = timeline.intersection(_spans(call.client_speech), live)
        # A side counts as heard only if everybody on it can be heard: an unheard one may have said anything.
        self.operator_heard = self.client_heard = bool(self.talks)
        self.deaf_from_ms: int | None = None
        # How long the operator's side talked with somebody on it who could not be heard.
        self.deaf_ms = 0
        for part in call.parts:
            if not part.voice.audible:
                self._leave_out_unheard(call, live)
                break
        self.all_heard = self.operator_heard and self.client_heard
        self.silences: list[tuple[int, int]] = []
        self.overlap_ms = 0
        if self.all_heard:
            seen = live
            if call.unobserved:
                gaps = [(start or 0, end) for start, end in call.unobserved if end is not None]
                seen = timeline.difference(live, timeline.union(gaps))
            # The operator's speech leaves few pauses that are long enough; the client's speech is cut out of
            # those.
            pauses = timeline.silences(seen, self.operator, silence_ms)
            self.silences = timeline.silences(pauses, self.client, silence_ms)
            self.overlap_ms = timeline.total(timeline.intersection(self.operator, self.client))

    def _leave_out_unheard(self, call: Call, live: timeline.Spans) -> None:
        unheard: list[tuple[int, int]] = []
        end_ms = self.talks[-1][1] if self.talks else 0
        for part in call.parts:
            until_ms = end_ms if part.until_ms is None else part.until_ms
            # If one operator arrives as another leaves, they may overlap for an instant: that is no talk.
            if part.voice.audible or (until_ms == part.since_ms and self.talk_ms):
                continue
            if part.client:
                self.client_heard = False
            else:
                self.operator_heard = False
                unheard.append((part.since_ms, until_ms))
        if unheard:
            self.deaf_from_ms = min(unheard)[0]
            self.deaf_ms = timeline.total(timeline.intersection(timeline.union(unheard), live))

    def speech(self, interruption_ms: int, answered_ms: int | None) -> Speech | None:
        """Every figure of speech that could be heard; None if nothing could."""
        if not self.talks:
            return None
        operator, client = self.operator, self.client
        # The first word is known only if everybody who may have spoken before it could be heard.
        word = None
        if operator and answered_ms is not None:
            first_ms = operator[0][0]
            if self.deaf_from_ms is None or first_ms <= self.deaf_from_ms:
                word = first_ms - answered_ms
        if self.all_heard:
            overlap_ms = self.overlap_ms
            return Speech(
                self.operator_ms / 1000,
                timeline.total(client) / 1000,
                overlap_ms / 1000,
                timeline.interruptions(operator, client, interruption_ms) if overlap_ms else 0,
                timeline.interruptions(client, operator, interruption_ms) if overlap_ms else 0,
                seconds(word),
            )
        if not self.operator_heard and not self.client_heard and word is None:
            return None
        return Speech(
            self.operator_ms / 1000 if self.operator_heard else None,
            timeline.total(client) / 1000 if self.client_heard else None,
            None,
            None,
            None,
            seconds(word),
        )

    def greeting_heard(self, until_ms: int) -> bool:
        """True if everybody on the operator's side could be heard up to that moment."""
        return bool(self.talks) and (self.deaf_from_ms is None or self.deaf_from_ms >= until_ms)

    def greeted(self, greeting_ms: float, unheard_ms: int = 0) -> bool:
        """True if the operator had spoken the greeting or, if unheard, had had the time to.

        `unheard_ms`: additional time in which the operator may have spoken.
        """
        return self.operator_ms + self.deaf_ms + unheard_ms >= greeting_ms
