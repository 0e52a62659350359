"""The menu of the rating as a state machine: events go in, acts come out. Pure.

A greeting and "press 1 to 5"; the digit may come at any moment. After silence or a wrong digit the client is
asked once more, and only once in the whole menu. A second question and a spoken comment follow if the line
has them. The dialplan says farewell: whatever ends the menu, the client goes on there.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

LOWEST, HIGHEST = 1, 5
_YES_NO = frozenset("12")
_SCORES = frozenset("12345")


class End(StrEnum):
    """Why the menu ended."""

    ANSWERED = "answered"
    SILENCE = "silence"
    WRONG_DIGITS = "wrong_digits"
    HUNG_UP = "hung_up"
    PROMPT_FAILED = "prompt_failed"
    INTERRUPTED = "interrupted"


# --- what happened ------------------------------------------------------------------------------------


class Digit(msgspec.Struct, frozen=True):
    digit: str


class PromptOver(msgspec.Struct, frozen=True):
    """The prompt of this number ended. `failed`: it could not be played."""

    number: int
    failed: bool = False


class TimeOver(msgspec.Struct, frozen=True):
    """The time to answer prompt `number` ran out."""

    number: int


class CommentOver(msgspec.Struct, frozen=True):
    """The recording ended; `seconds` is None if nothing was recorded."""

    seconds: float | None = None


class Gone(msgspec.Struct, frozen=True):
    """The client hung up, or Asterisk took them out of the menu."""

    interrupted: bool = False


Happened = Digit | PromptOver | TimeOver | CommentOver | Gone


# --- what is to be done -------------------------------------------------------------------------------


class Play(msgspec.Struct, frozen=True):
    """Play prompts one after the other; together they are prompt `number`."""

    prompts: tuple[str, ...]
    number: int


class Hush(msgspec.Struct, frozen=True):
    """Stop prompt `number`."""

    number: int


class Wait(msgspec.Struct, frozen=True):
    """Wait for a key; TimeOver(number) comes if none is pressed."""

    number: int


class Record(msgspec.Struct, frozen=True):
    """Record the client's comment."""


class Keep(msgspec.Struct, frozen=True, kw_only=True):
    """Write the answer down, before the acts that follow."""

    score: int | None = None
    question: int | None = None
    comment_s: float | None = None


class Leave(msgspec.Struct, frozen=True):
    """The menu is over. `stays`: the client is still there and goes on in the dialplan."""

    why: End
    stays: bool = True


Act = Play | Hush | Wait | Record | Keep | Leave


class _Step(StrEnum):
    SCORE = "score"
    QUESTION = "question"
    COMMENT_PROMPT = "comment_prompt"
    COMMENT = "comment"
    OVER = "over"


class Menu:
    """One client in the menu. Call `begin` once, then `step` with each event."""

    def __init__(self, *, question: bool = False, comment: bool = False, called: bool = False) -> None:
        self._with_question = question
        self._with_comment = comment
        # A client who is called for the rating hears first what the call is about.
        self._greeting = ("survey", "greeting") if called else ("greeting",)
        self._step = _Step.SCORE
        self._number = 0
        self._playing = False
        self._asked_again = False
        self.score: int | None = None

    @property
    def over(self) -> bool:
        return self._step is _Step.OVER

    def begin(self) -> list[Act]:
        return [self._play(*self._greeting, "ask")]

    def step(self, happened: Happened) -> list[Act]:
        """The acts that follow from an event; none for an event that comes late or twice."""
        if self.over:
            return []
        match happened:
            case Digit(digit):
                return self._digit(digit)
            case PromptOver(number, failed):
                return self._prompt_over(failed=failed) if self._is_now(number) else []
            case TimeOver(number):
                return self._time_over() if number == self._number and not self._playing else []
            case CommentOver(seconds):
                return self._comment_over(seconds)
            case Gone() if self._step is _Step.COMMENT:
                # Most clients end their comment by hanging up: the end of the recording follows at once.
                return [Wait(self._number)]
            case Gone(interrupted):
                return self._leave(End.INTERRUPTED if interrupted else End.HUNG_UP, stays=False)

    def _is_now(self, number: int) -> bool:
        return self._playing and number == self._number

    def _digit(self, digit: str) -> list[Act]:
        if self._step is _Step.SCORE:
            if digit in _SCORES:
                self.score = int(digit)
                return [*self._hush(), Keep(score=self.score), *self._after_score()]
            return [*self._hush(), *self._again("wrong", End.WRONG_DIGITS)]
        if self._step is _Step.QUESTION:
            if digit in _YES_NO:
                return [*self._hush(), Keep(question=int(digit)), *self._after_question()]
            return [*self._hush(), *self._after_question()]
        if self._step is _Step.COMMENT_PROMPT:
            # A key during the prompt skips the comment.
            return [*self._hush(), *self._leave(End.ANSWERED)]
        return []

    def _prompt_over(self, *, failed: bool) -> list[Act]:
        self._playing = False
        if failed:
            # Without the prompt the client would wait in silence.
            return self._leave(End.ANSWERED if self.score is not None else End.PROMPT_FAILED)
        if self._step is _Step.COMMENT_PROMPT:
            self._step = _Step.COMMENT
            return [Record()]
        return [Wait(self._number)]

    def _time_over(self) -> list[Act]:
        if self._step is _Step.SCORE:
            return self._again("again", End.SILENCE)
        if self._step is _Step.COMMENT:
            return self._leave(End.ANSWERED)
        return self._after_question()

    def _comment_over(self, seconds: float | None) -> list[Act]:
        if self._step is not _Step.COMMENT:
            return []
        kept: list[Act] = [Keep(comment_s=seconds)] if seconds is not None else []
        return [*kept, *self._leave(End.ANSWERED)]

    def _again(self, prompt: str, why: End) -> list[Act]:
        if self._asked_again:
            return self._leave(why)
        self._asked_again = True
        return [self._play(prompt, "ask")]

    def _after_score(self) -> list[Act]:
        if not self._with_question:
            return self._after_question()
        self._step = _Step.QUESTION
        return [self._play("question")]

    def _after_question(self) -> list[Act]:
        if not self._with_comment:
            return self._leave(End.ANSWERED)
        self._step = _Step.COMMENT_PROMPT
        return [self._play("comment")]

    def _play(self, *prompts: str) -> Play:
        self._number += 1
        self._playing = True
        return Play(prompts, self._number)

    def _hush(self) -> list[Act]:
        if not self._playing:
            return []
        self._playing = False
        return [Hush(self._number)]

    def _leave(self, why: End, *, stays: bool = True) -> list[Act]:
        self._step = _Step.OVER
        self._playing = False
        # A client who hangs up after the score has answered.
        return [Leave(End.ANSWERED if self.score is not None else why, stays)]
