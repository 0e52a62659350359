import pytest

from callsteward.calls.outcome import callback, connected, unanswered
from callsteward.record.call import AttemptResult as Result
from callsteward.record.call import CallbackDecision, Confidence, Decision, Direction, Hangup, Outcome, Party

IN, OUT, INTERNAL = Direction.INBOUND, Direction.OUTBOUND, Direction.INTERNAL


def hangup(first: Party, cause: int | None = 16, *evidence: str) -> Hangup:
    confidence = Confidence.UNKNOWN if first is Party.UNKNOWN and not evidence else Confidence.CERTAIN
    return Hangup(first, cause, None, evidence, confidence)


@pytest.mark.parametrize(
    ("first", "cause", "attempts", "wait_s", "outcome"),
    [
        (Party.CLIENT, 127, [], 5.0, Outcome.ABANDONED),
        (Party.CLIENT, 127, [], 4.999, Outcome.SHORT_ABANDONED),
        (Party.CLIENT, 127, [], None, Outcome.ABANDONED),
        (Party.CLIENT, None, [Result.BUSY], 60.0, Outcome.ABANDONED),
        (Party.NETWORK, 44, [], 60.0, Outcome.ABANDONED),
        (Party.NETWORK, 44, [], 1.0, Outcome.SHORT_ABANDONED),
        (Party.PBX, 17, [Result.BUSY], 1.0, Outcome.BUSY),
        (Party.PBX, 17, [Result.BUSY, Result.REJECTED], 1.0, Outcome.BUSY),
        (Party.PBX, 17, [Result.BUSY, Result.NO_ANSWER], 1.0, Outcome.NO_ANSWER),
        (Party.PBX, 20, [Result.UNAVAILABLE, Result.FAILED], 1.0, Outcome.FAILED),
        (Party.PBX, 20, [Result.UNAVAILABLE, Result.CANCELLED], 1.0, Outcome.NO_ANSWER),
        (Party.PBX, 3, [], 1.0, Outcome.FAILED),
        (Party.PBX, 16, [], 1.0, Outcome.NO_ANSWER),
        (Party.PBX, None, [], 1.0, Outcome.NO_ANSWER),
        (Party.PBX, 19, [Result.NO_ANSWER], 20.0, Outcome.NO_ANSWER),
        (Party.OPERATOR, 16, [], 20.0, Outcome.NO_ANSWER),
        (Party.UNKNOWN, None, [], None, Outcome.ABANDONED),
        (Party.UNKNOWN, None, [Result.CANCELLED], None, Outcome.ABANDONED),
    ],
)
def test_a_call_nobody_answered(
    first: Party, cause: int | None, attempts: list[Result], wait_s: float | None, outcome: Outcome
):
    assert unanswered(IN, hangup(first, cause), attempts, None, wait_s, 5.0) is outcome


@pytest.mark.parametrize(
    ("last_try", "outcome"),
    [
        (Outcome.BUSY, Outcome.BUSY),
        (Outcome.FAILED, Outcome.FAILED),
        (Outcome.NO_ANSWER, Outcome.NO_ANSWER),
        (None, Outcome.NO_ANSWER),
    ],
)
def test_a_client_we_called_did_not_answer(last_try: Outcome | None, outcome: Outcome):
    assert unanswered(OUT, hangup(Party.OPERATOR), [], last_try, 20.0, 5.0) is outcome


@pytest.mark.parametrize(
    ("first", "wait_s", "outcome"),
    [
        (Party.CLIENT, 20.0, Outcome.ABANDONED),
        (Party.CLIENT, 4.9, Outcome.SHORT_ABANDONED),
        (Party.NETWORK, 20.0, Outcome.ABANDONED),
        (Party.PBX, 20.0, Outcome.NO_ANSWER),
        (Party.OPERATOR, 20.0, Outcome.NO_ANSWER),
    ],
)
def test_a_client_we_called_took_the_call_and_no_operator_was_there(
    first: Party, wait_s: float, outcome: Outcome
):
    assert unanswered(OUT, hangup(first), [], None, wait_s, 5.0, client_up=True) is outcome


SHUT_DOWN = "hang-up request on PJSIP/101-1 (soft 4): Asterisk shut down"


@pytest.mark.parametrize("greeted", [False, True])
@pytest.mark.parametrize(
    ("first", "evidence", "early", "later"),
    [
        (Party.CLIENT, (), Outcome.EARLY_DROP, Outcome.COMPLETED),
        (Party.NETWORK, (), Outcome.EARLY_DROP, Outcome.MID_DIALOGUE_DROP),
        (Party.PBX, (SHUT_DOWN,), Outcome.EARLY_DROP, Outcome.MID_DIALOGUE_DROP),
        (Party.PBX, ("the dialplan's time limit",), Outcome.COMPLETED, Outcome.COMPLETED),
        (Party.OPERATOR, (), Outcome.COMPLETED, Outcome.COMPLETED),
        (Party.UNKNOWN, (), Outcome.COMPLETED, Outcome.COMPLETED),
    ],
)
def test_a_call_somebody_answered(
    first: Party, evidence: tuple[str, ...], early: Outcome, later: Outcome, greeted: bool
):
    ended = connected(IN, hangup(first, 16, *evidence), greeted=greeted, heuristic_drop=False)
    assert ended is (later if greeted else early)


def test_a_speech_heuristic_makes_a_plain_hang_up_by_the_client_a_drop():
    for first, outcome in (
        (Party.CLIENT, Outcome.MID_DIALOGUE_DROP),
        (Party.OPERATOR, Outcome.COMPLETED),
        (Party.PBX, Outcome.COMPLETED),
    ):
        assert connected(IN, hangup(first), greeted=True, heuristic_drop=True) is outcome


def test_a_talk_among_colleagues_is_never_a_drop():
    assert connected(INTERNAL, hangup(Party.NETWORK), greeted=True, heuristic_drop=True) is Outcome.COMPLETED


@pytest.mark.parametrize(
    ("outcome", "first", "reason"),
    [
        (Outcome.ABANDONED, Party.CLIENT, "not_answered"),
        (Outcome.SHORT_ABANDONED, Party.CLIENT, "not_answered"),
        (Outcome.BUSY, Party.PBX, "not_answered"),
        (Outcome.NO_ANSWER, Party.PBX, "not_answered"),
        (Outcome.FAILED, Party.PBX, "not_answered"),
        (Outcome.EARLY_DROP, Party.CLIENT, "early_drop"),
        (Outcome.COMPLETED, Party.CLIENT, "client_hung_up"),
        (Outcome.COMPLETED, Party.OPERATOR, "operator_hung_up"),
        (Outcome.COMPLETED, Party.PBX, "pbx_ended"),
        (Outcome.COMPLETED, Party.UNKNOWN, "end_not_observed"),
    ],
)
def test_no_callback_is_due_and_the_reason_is_given(outcome: Outcome, first: Party, reason: str):
    assert callback(IN, outcome, hangup(first)) == CallbackDecision(Decision.NOT_DUE, reason)


def test_a_third_partys_hang_up_is_no_ground_for_a_callback():
    third = hangup(Party.UNKNOWN, 16, "a third party")
    assert callback(IN, Outcome.COMPLETED, third) == CallbackDecision(Decision.NOT_DUE, "third_party_hung_up")


@pytest.mark.parametrize("direction", [IN, OUT])
def test_a_connection_that_broke_in_the_dialogue_makes_one_callback_due(direction: Direction):
    decision = callback(direction, Outcome.MID_DIALOGUE_DROP, hangup(Party.NETWORK, 44))
    assert decision == CallbackDecision(Decision.DUE, "mid_dialogue_drop")


@pytest.mark.parametrize("direction", [Direction.CALLBACK, Direction.RATING])
def test_a_callback_that_breaks_is_not_called_back_again(direction: Direction):
    decision = callback(direction, Outcome.MID_DIALOGUE_DROP, hangup(Party.NETWORK, 44))
    assert decision == CallbackDecision(Decision.SUPPRESSED, f"was_{direction.value}")


def test_colleagues_are_not_called_back():
    decision = callback(INTERNAL, Outcome.COMPLETED, hangup(Party.NETWORK, 44))
    assert decision == CallbackDecision(Decision.NOT_DUE, "internal")
