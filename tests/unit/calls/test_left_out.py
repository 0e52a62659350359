"""An hour in a ring-all queue: record and live call have a bound, and no sum loses anything."""

from __future__ import annotations

import functools

import msgspec
import pytest

from callsteward.calls.tracker import Tracker
from callsteward.intervals import scope
from callsteward.intervals.measures import MEASURES
from callsteward.record.call import AttemptResult, AttemptsLeftOut, CallRecord, Outcome, RuleResult, encode
from tests.unit.calls.stream import Phone, Stream, at, config, ended, rule

MISSED = AttemptResult.NO_ANSWER
CANCELLED = AttemptResult.CANCELLED


class Queue:
    """A client in a queue. Each round is followed at once: a recording of an hour is long to put together."""

    def __init__(self) -> None:
        self.stream = Stream()
        self.tracker = Tracker(config())
        self.client = self.stream.incoming()
        self.stream.enter(self.client, "support")

    def rings(
        self,
        *operators: str,
        seconds: float,
        status: str = "NOANSWER",
        cause: int = 19,
        caller: Phone | None = None,
    ) -> None:
        """Each phone of the queue rings at once, and none is answered."""
        stream = self.stream
        phones = [stream.dial(caller or self.client, operator) for operator in operators]
        for phone in phones:
            stream.ring(phone)
        stream.wait(seconds)
        for phone in phones:
            stream.ends_dial(phone, status, cause)
        self.play()

    def play(self) -> list[CallRecord]:
        return ended(self.stream.play(self.tracker))

    def bye(self) -> CallRecord:
        self.stream.bye(self.client)
        (record,) = self.play()
        return record


def hour(rounds: int = 240) -> Queue:
    """Ring-all of ten operators for 15 s at a time, in the third round for 18 s."""
    queue = Queue()
    for number in range(rounds):
        queue.rings(*(str(101 + each) for each in range(10)), seconds=18 if number == 2 else 15)
    return queue


@functools.cache
def record_of_an_hour() -> CallRecord:
    return hour().bye()


def test_an_hour_of_ring_all_makes_a_small_record_that_says_what_it_leaves_out() -> None:
    record = record_of_an_hour()
    assert record.outcome is Outcome.ABANDONED
    assert record.wait_s == 240 * 15 + 3
    assert len(record.attempts) == 40
    assert [item.operator for item in record.attempts[:20]] == [
        str(101 + number % 10) for number in range(20)
    ]
    assert {item.at for item in record.attempts[:10]} == {at(0)}
    assert {item.at for item in record.attempts[-10:]} == {at(239 * 15 + 3)}
    assert record.attempts_left_out[0] == AttemptsLeftOut("101", MISSED, 236, 236 * 15.0 + 3)
    assert [item.operator for item in record.attempts_left_out] == [str(101 + number) for number in range(10)]
    assert record.rang() == 2400
    assert record.rang("110") == 240
    assert record.rang("110", {MISSED}) == 240
    assert record.rang("110", {CANCELLED}) == 0
    assert len(encode(record)) < 8_000


def test_the_longest_ring_may_be_one_that_was_left_out() -> None:
    record = record_of_an_hour()
    # Of the attempts the record has none rang for 18 s.
    assert max(item.ring_s or 0 for item in record.attempts) == 15
    check = rule(record, "answer_within")
    assert (check.result, check.value) == (RuleResult.BROKEN, 18)


def test_no_more_is_kept_while_the_call_is_on() -> None:
    (call,) = hour(rounds=600).tracker._roster.calls()
    assert len(call.attempts) <= 80
    assert call.left_out is not None
    assert sum(attempts for attempts, _ in call.left_out.rows.values()) + len(call.attempts) == 6000


def test_forty_attempts_are_all_there() -> None:
    record = hour(rounds=4).bye()
    assert len(record.attempts) == 40
    assert record.attempts_left_out == ()


def test_one_more_leaves_one_out() -> None:
    queue = hour(rounds=4)
    queue.rings("120", seconds=2, status="BUSY", cause=17)
    record = queue.bye()
    assert len(record.attempts) == 40
    # The 21st of them: in the third round, which rang for 18 s.
    assert record.attempts_left_out == (AttemptsLeftOut("101", MISSED, 1, 18.0),)
    assert record.attempts[-1].result is AttemptResult.BUSY


def test_a_result_that_comes_late_is_the_one_that_counts() -> None:
    """A declined call is CHANUNAVAIL to Dial(); that it was declined, the end of the channel says."""
    stream = Stream()
    client = stream.incoming()
    stream.enter(client, "support")
    phones = [stream.dial(client, str(1000 + number)) for number in range(150)]
    for phone in phones:
        stream.ring(phone)
        stream.dial_event(phone, "CHANUNAVAIL")
    for phone in phones:
        stream.destroy(phone, 21)
    stream.bye(client)
    record = stream.record()
    assert record.rang(None, {AttemptResult.REJECTED}) == 150
    # A hundred operators have rows of their own.
    assert len(record.attempts_left_out) == 101
    assert record.attempts_left_out[0] == AttemptsLeftOut(None, AttemptResult.REJECTED, 10, 0.0)


@pytest.mark.parametrize(
    ("status", "cause", "outcome"), [("BUSY", 17, Outcome.BUSY), ("CONGESTION", 34, Outcome.FAILED)]
)
def test_the_outcome_is_that_of_all_attempts(status: str, cause: int, outcome: Outcome) -> None:
    def calls(middle: str, middle_cause: int) -> CallRecord:
        queue = Queue()
        for number in range(100):
            told, why = (middle, middle_cause) if number == 50 else (status, cause)
            queue.rings("101", seconds=1, status=told, cause=why)
        queue.stream.request(queue.client, 16, soft=True)
        queue.stream.destroy(queue.client, 16)
        (record,) = queue.play()
        return record

    assert calls(status, cause).outcome is outcome
    # One of those that the record leaves out rang in vain.
    assert calls("NOANSWER", 19).outcome is Outcome.NO_ANSWER


def test_two_calls_that_become_one_keep_the_sums_of_both() -> None:
    queue = hour(rounds=20)
    stream, client = queue.stream, queue.client
    operator = stream.dial(client, "120")
    stream.ring(operator)
    stream.answer(operator, after=1)
    stream.bridge(client, operator)
    stream.speak(operator, 4)
    stream.hold(operator)
    # A colleague is sought for a long time, and the client then given to them.
    second = stream.dials("120", "600")
    for _ in range(100):
        queue.rings("130", seconds=3, caller=second)
    colleague = stream.dial(second, "131")
    stream.ring(colleague)
    stream.answer(colleague, after=1)
    stream.bridge(second, colleague)
    stream.attended(operator, second, client, colleague)
    record = queue.bye()
    assert record.rang() == 200 + 1 + 100 + 1
    assert record.rang("130", {MISSED}) == 100
    assert record.operator == "131"


def test_intervals_count_what_a_record_leaves_out() -> None:
    record = record_of_an_hour()
    contact = scope.Contact(record)
    measures = {measure.name: measure for measure in MEASURES}
    assert measures["rings"].adds(contact, "105") == 240
    assert measures["rings_missed"].adds(contact, "105") == 240
    assert scope.operators_of(record) == {str(101 + number) for number in range(10)}


def test_operators_who_are_only_among_those_left_out_are_not_forgotten() -> None:
    queue = Queue()
    for number in range(100):
        queue.rings("150" if number == 50 else "101", seconds=1)
    record = queue.bye()
    assert "150" not in {item.operator for item in record.attempts}
    assert "150" in scope.operators_of(record)
    assert scope.Group.OFFERED in scope.of_operator(scope.Contact(record), "150")


def test_a_record_of_before_is_read_as_ever() -> None:
    for record in (hour(rounds=1).bye(), record_of_an_hour()):
        assert msgspec.json.decode(encode(record), type=CallRecord) == record
    before = encode(hour(rounds=1).bye()).replace(b'"attempts_left_out":[],', b"")
    assert msgspec.json.decode(before, type=CallRecord).attempts_left_out == ()
