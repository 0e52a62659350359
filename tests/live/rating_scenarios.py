"""Clients who are asked for a rating, with real phones and real RFC 4733 digits.

``over`` is the moment the client's call ended.
"""

from __future__ import annotations

from tests.lab.phones import Line, Phone
from tests.lab.remote_phone import RemotePhone
from tests.lab.stage import Scenarios, Stage, main
from tests.lab.truth import tell
from tests.live.scenario_parts import dialogue

SCENARIOS = Scenarios[Stage]()
scenario = SCENARIOS.add
STAY, DIRECT, CALL = 30, 31, 10


def _handed_over(stage: Stage) -> tuple[Phone, Line]:
    operator, client, line = dialogue(stage, STAY, pause_s=0.3)
    operator.line.bye()
    stage.until_over(operator)
    return client, line


def _until_over(stage: Stage, line: Line, limit_s: float = 25) -> None:
    stage.exchange.until(lambda: line.over, limit_s, "the client's call to end")
    tell("over", who="client")


@scenario
def stay(stage: Stage) -> None:
    """The operator hangs up, the client hears the prompts out and presses 4."""
    client, line = _handed_over(stage)
    line.hear_out()
    client.line.press("4")
    _until_over(stage, line)


@scenario
def code(stage: Stage) -> None:
    """The operator presses the hand-over code instead of hanging up."""
    operator, client, line = dialogue(stage, STAY, pause_s=0.3)
    operator.line.press("*9")
    stage.until_over(operator)
    line.until_heard()
    client.line.press("5")
    _until_over(stage, line)


@scenario
def transfer(stage: Stage) -> None:
    """The operator transfers the client to the rating."""
    operator, client, line = dialogue(stage, DIRECT, pause_s=0.3)
    operator.line.transfer(stage.lane.did(39))
    stage.until_over(operator)
    line.until_heard()
    client.line.press("3")
    _until_over(stage, line)


@scenario
def dialled(stage: Stage) -> None:
    """A line without a queue: Dial with g."""
    operator, client, line = dialogue(stage, DIRECT, pause_s=0.3)
    operator.line.bye()
    stage.until_over(operator)
    line.until_heard()
    client.line.press("5")
    _until_over(stage, line)


@scenario
def barge_in(stage: Stage) -> None:
    """A low score in the middle of the greeting."""
    client, line = _handed_over(stage)
    line.until_heard()
    stage.wait(0.5)
    client.line.press("1")
    _until_over(stage, line)


@scenario
def wrong_digit(stage: Stage) -> None:
    """7, then the question once more, then 5."""
    client, line = _handed_over(stage)
    line.until_heard()
    client.line.press("7")
    line.until_heard()
    client.line.press("5")
    _until_over(stage, line)


@scenario
def two_wrong_digits(stage: Stage) -> None:
    client, line = _handed_over(stage)
    line.until_heard()
    client.line.press("0")
    line.until_heard()
    client.line.press("9")
    _until_over(stage, line)


@scenario
def reprompt(stage: Stage) -> None:
    """Silence, the question once more, then 2."""
    client, line = _handed_over(stage)
    line.hear_out()
    line.until_heard()
    client.line.press("2")
    _until_over(stage, line)


@scenario
def silence(stage: Stage) -> None:
    """Not a key, to the end."""
    _, line = _handed_over(stage)
    _until_over(stage, line, limit_s=40)


@scenario
def hang_up_in_prompt(stage: Stage) -> None:
    client, line = _handed_over(stage)
    line.until_heard()
    stage.wait(0.7)
    client.line.bye()
    _until_over(stage, line)


@scenario
def press_and_hang_up(stage: Stage) -> None:
    """The key and the BYE in one breath."""
    client, line = _handed_over(stage)
    line.until_heard()
    stage.wait(0.7)
    client.line.press("4")
    client.line.bye()
    _until_over(stage, line)


@scenario
def no_dialogue(stage: Stage) -> None:
    """The operator leaves at once: nothing to rate."""
    operator = stage.operator(1, answer_after_s=0.5)
    client = stage.client()
    line = client.dial(stage.lane.did(STAY))
    stage.until_up(line)
    stage.until_talking(operator)
    stage.wait(0.4)
    operator.line.bye()
    _until_over(stage, line)


@scenario
def client_bye(stage: Stage) -> None:
    """The client hangs up after the talk: they cannot be asked."""
    operator, client, line = dialogue(stage, STAY, pause_s=0.3)
    client.line.bye()
    _until_over(stage, line)
    # Whoever plays this goes when the show is over: that BYE must not overtake the client's.
    stage.until_over(operator)


@scenario
def all_questions(stage: Stage) -> None:
    """Score, second question, and a spoken comment ended by hanging up."""
    client, line = _handed_over(stage)
    line.until_heard()
    client.line.press("5")
    line.until_heard()
    client.line.press("1")
    # The prompt for the comment, and the tone behind it.
    line.hear_out()
    stage.say(line, 3.0, pause_s=0.2)
    line.bye()
    _until_over(stage, line)


@scenario
def operator_lost(stage: Stage) -> None:
    """The operator's network is lost: the client comes to the rating and is not asked."""
    client = stage.client()
    with RemotePhone.operator(stage.exchange, stage.lane.operator(1)) as lost:
        line = client.dial(stage.lane.did(DIRECT))
        stage.until_up(line)
        lost.talk()
        stage.wait(1.6)
        lost.hush()
        stage.say(client, 1.0)
        lost.vanish()
    _until_over(stage, line)


@scenario
def forever(stage: Stage) -> None:
    """The client stays in the menu until the test ends it."""
    _, line = _handed_over(stage)
    tell("in_menu", who="client")
    _until_over(stage, line, limit_s=60)


@scenario
def called(stage: Stage) -> None:
    """Called later for the rating; the client presses 5."""
    _, client, line = dialogue(stage, CALL, pause_s=0.3)
    client.line.bye()
    _until_over(stage, line)
    stage.exchange.until(lambda: len(client.calls) == 2, 40, "the client to be called for the rating")
    stage.until_talking(client)
    client.line.until_heard()
    client.line.press("5")
    _until_over(stage, client.calls[1])
    stage.wait(6.0)


@scenario
def called_and_not_answering(stage: Stage) -> None:
    _, client, line = dialogue(stage, CALL, pause_s=0.3)
    client.answer_after_s = None
    client.line.bye()
    _until_over(stage, line)
    stage.exchange.until(lambda: len(client.calls) == 2, 40, "the client to be called for the rating")
    _until_over(stage, client.calls[1])
    stage.wait(6.0)


@scenario
def talks_again(stage: Stage) -> None:
    """The rating is due while the client is on another call: it waits for its end."""
    operator, client, _ = dialogue(stage, CALL, pause_s=0.3)
    client.line.bye()
    stage.until_over(operator)
    # On a line that does not ask afterwards.
    second = client.dial(stage.lane.did(DIRECT))
    stage.until_up(second)
    stage.until_talking(operator)
    stage.wait(9.0)
    tell("hangs_up", who="client")
    second.bye()
    stage.until_over(operator)
    stage.exchange.until(lambda: len(client.calls) == 3, 40, "the client to be called for the rating")
    stage.until_talking(client)
    client.line.until_heard()
    client.line.press("4")
    _until_over(stage, client.calls[2])
    stage.wait(4.0)


@scenario
def waits_to_be_called(stage: Stage) -> None:
    """As `called`, with the daemon restarted meanwhile: they answer once the test says that it is there."""
    _, client, line = dialogue(stage, CALL, pause_s=0.3)
    client.answer_after_s = None
    client.line.bye()
    _until_over(stage, line)
    stage.until_cue(100)
    stage.exchange.until(lambda: len(client.calls) == 2, 60, "the client to be called for the rating")
    client.line.pick_up()
    stage.until_talking(client)
    client.line.until_heard()
    client.line.press("2")
    _until_over(stage, client.calls[1])
    stage.wait(8.0)


if __name__ == "__main__":
    raise SystemExit(main(SCENARIOS, __doc__))
