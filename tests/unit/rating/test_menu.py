"""The menu of the rating: each way through it, and no order of events that leaves a client in silence."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from callsteward.rating.menu import (
    Act,
    CommentOver,
    Digit,
    End,
    Gone,
    Happened,
    Hush,
    Keep,
    Leave,
    Menu,
    Play,
    PromptOver,
    Record,
    TimeOver,
    Wait,
)

GREETING = Play(("greeting", "ask"), 1)


def played(menu: Menu, *happened: Happened) -> list[Act]:
    acts = menu.begin()
    for item in happened:
        acts += menu.step(item)
    return acts


def test_a_digit_after_the_prompt_is_the_score() -> None:
    assert played(Menu(), PromptOver(1), Digit("4")) == [
        GREETING,
        Wait(1),
        Keep(score=4),
        Leave(End.ANSWERED),
    ]


def test_a_digit_during_the_prompt_counts_and_stops_it() -> None:
    assert played(Menu(), Digit("5")) == [GREETING, Hush(1), Keep(score=5), Leave(End.ANSWERED)]


def test_silence_is_asked_about_once_more_and_then_the_client_is_let_go() -> None:
    acts = played(Menu(), PromptOver(1), TimeOver(1), PromptOver(2), TimeOver(2))
    assert acts == [GREETING, Wait(1), Play(("again", "ask"), 2), Wait(2), Leave(End.SILENCE)]


def test_a_wrong_digit_is_asked_about_once_more() -> None:
    acts = played(Menu(), Digit("9"), Digit("3"))
    assert acts == [GREETING, Hush(1), Play(("wrong", "ask"), 2), Hush(2), Keep(score=3), Leave(End.ANSWERED)]


def test_two_wrong_digits_are_no_score() -> None:
    acts = played(Menu(), PromptOver(1), Digit("0"), PromptOver(2), Digit("*"))
    assert acts[-1] == Leave(End.WRONG_DIGITS)
    assert not any(isinstance(act, Keep) for act in acts)


def test_silence_and_then_a_wrong_digit_are_one_question_more_in_all() -> None:
    acts = played(Menu(), PromptOver(1), TimeOver(1), Digit("7"))
    assert acts[-2:] == [Hush(2), Leave(End.WRONG_DIGITS)]


def test_a_client_who_hangs_up_at_any_moment_is_followed_nowhere() -> None:
    moments: tuple[tuple[Happened, ...], ...] = ((), (PromptOver(1),), (PromptOver(1), TimeOver(1)))
    for before in moments:
        menu = Menu()
        assert played(menu, *before, Gone())[-1] == Leave(End.HUNG_UP, stays=False)
        assert menu.step(Digit("5")) == []


def test_who_answered_and_then_hung_up_has_answered() -> None:
    acts = played(Menu(question=True), Digit("2"), Gone())
    assert acts[-1] == Leave(End.ANSWERED, stays=False)


def test_a_menu_that_asterisk_ended_was_interrupted() -> None:
    assert played(Menu(), Gone(interrupted=True))[-1] == Leave(End.INTERRUPTED, stays=False)


def test_the_second_question_follows_the_score() -> None:
    acts = played(Menu(question=True), Digit("5"), PromptOver(2), Digit("2"))
    assert acts[2:] == [Keep(score=5), Play(("question",), 2), Wait(2), Keep(question=2), Leave(End.ANSWERED)]


def test_the_second_question_is_asked_once() -> None:
    for answer in (Digit("8"), TimeOver(2)):
        acts = played(Menu(question=True), Digit("5"), PromptOver(2), answer)
        assert acts[-1] == Leave(End.ANSWERED)
        assert sum(isinstance(act, Keep) for act in acts) == 1


def test_a_comment_is_recorded_after_its_prompt() -> None:
    acts = played(Menu(comment=True), Digit("1"), PromptOver(2), CommentOver(7.5))
    assert acts[2:] == [
        Keep(score=1),
        Play(("comment",), 2),
        Record(),
        Keep(comment_s=7.5),
        Leave(End.ANSWERED),
    ]


def test_a_comment_that_ends_with_hanging_up_is_kept() -> None:
    acts = played(Menu(comment=True), Digit("1"), PromptOver(2), Gone(), CommentOver(4.0))
    assert acts[-3:] == [Wait(2), Keep(comment_s=4.0), Leave(End.ANSWERED)]
    # If no event about the recording's end comes, the menu ends all the same.
    acts = played(Menu(comment=True), Digit("1"), PromptOver(2), Gone(), TimeOver(2))
    assert acts[-1] == Leave(End.ANSWERED)


def test_a_comment_that_failed_is_not_kept() -> None:
    acts = played(Menu(comment=True), Digit("1"), PromptOver(2), CommentOver(None))
    assert acts[-2:] == [Record(), Leave(End.ANSWERED)]


def test_a_key_during_the_prompt_of_the_comment_skips_it() -> None:
    acts = played(Menu(question=True, comment=True), Digit("4"), Digit("1"), Digit("#"))
    assert acts[-2:] == [Hush(3), Leave(End.ANSWERED)]
    assert Record() not in acts


def test_keys_during_the_comment_change_nothing() -> None:
    acts = played(Menu(comment=True), Digit("4"), PromptOver(2), Digit("1"), CommentOver(3.0))
    assert [act for act in acts if isinstance(act, Keep)] == [Keep(score=4), Keep(comment_s=3.0)]


def test_a_recording_outside_the_comment_changes_nothing() -> None:
    assert played(Menu(comment=True), CommentOver(3.0)) == [GREETING]


def test_a_prompt_that_cannot_be_played_ends_the_menu_rather_than_leave_silence() -> None:
    assert played(Menu(), PromptOver(1, failed=True))[-1] == Leave(End.PROMPT_FAILED)
    acts = played(Menu(question=True), Digit("3"), PromptOver(2, failed=True))
    assert acts[-1] == Leave(End.ANSWERED)


def test_late_events_change_nothing() -> None:
    # The end of a prompt that a digit stopped, and a time-out that came with the digit.
    acts = played(Menu(question=True), Digit("3"), PromptOver(1), TimeOver(1), PromptOver(1, failed=True))
    assert acts == [GREETING, Hush(1), Keep(score=3), Play(("question",), 2)]


def test_a_called_client_hears_what_the_call_is_about() -> None:
    assert Menu(called=True).begin() == [Play(("survey", "greeting", "ask"), 1)]


HAPPENED: st.SearchStrategy[Happened] = st.one_of(
    st.builds(Digit, st.sampled_from("0123456789*#ABCD")),
    st.builds(PromptOver, st.integers(0, 6), st.booleans()),
    st.builds(TimeOver, st.integers(0, 6)),
    st.builds(CommentOver, st.none() | st.floats(0, 100)),
    st.builds(Gone, st.booleans()),
)


@given(st.lists(HAPPENED, max_size=30), st.booleans(), st.booleans())
def test_whatever_happens_there_is_always_something_the_client_waits_for(
    happened: list[Happened], question: bool, comment: bool
) -> None:
    menu = Menu(question=question, comment=comment)
    acts = played(menu, *happened)
    leaves = [act for act in acts if isinstance(act, Leave)]
    assert len(leaves) <= 1
    assert menu.over == bool(leaves)
    if leaves:
        assert acts[-1] is leaves[0]
        assert (leaves[0].why is End.ANSWERED) == (menu.score is not None)
    else:
        # A prompt plays, a key is waited for, or a comment is recorded.
        assert isinstance(acts[-1], Play | Wait | Record)
    scores = [act.score for act in acts if isinstance(act, Keep) and act.score is not None]
    assert scores == ([] if menu.score is None else [menu.score])
    assert all(1 <= score <= 5 for score in scores)
    # The client is asked for the score at most twice.
    assert sum(isinstance(act, Play) and "ask" in act.prompts for act in acts) <= 2
