"""A client who after a talk waits for an operator once more, and in vain."""

from __future__ import annotations

import pytest

from callsteward.config import RatingSettings
from callsteward.config.profile import Profile
from callsteward.record.call import CallRecord, Decision, Outcome, RuleResult
from tests.unit.calls.stream import Phone, Stream, config, rule


def talked() -> tuple[Stream, Phone, Phone]:
    """Ten seconds in the queue `support` and with 101."""
    stream = Stream()
    client = stream.incoming()
    stream.enter(client, "support")
    operator = stream.dial(client, "101")
    stream.ring(operator)
    stream.answer(operator, after=2)
    stream.bridge(client, operator)
    stream.speak(operator, 4)
    stream.speak(client, 4)
    return stream, client, operator


def operator_leaves(stream: Stream, client: Phone, operator: Phone) -> None:
    """Queue option c: the operator hangs up, the client goes on in the dialplan."""
    stream.request(operator)
    room = operator.room
    assert room is not None
    stream.leaves(operator)
    stream.leaves(client)
    stream.close(room)
    stream.destroy(operator)


def lost(record: CallRecord) -> tuple[float | None, RuleResult]:
    return record.left_waiting_s, rule(record, "no_contact_lost").result


IN_VAIN = RuleResult.BROKEN
SERVED = RuleResult.MET


def test_a_client_transferred_to_a_queue_who_gives_up_is_lost() -> None:
    stream, client, operator = talked()
    stream.blind(operator, client, "602")
    client.app = ("Queue", "sales,t")
    stream.wait(7)
    stream.bye(client)
    record = stream.record()
    assert lost(record) == (7, IN_VAIN)
    assert (record.outcome, record.callback.decision) == (Outcome.COMPLETED, Decision.NOT_DUE)


def test_a_client_transferred_to_an_unanswered_phone_is_lost() -> None:
    stream, client, operator = talked()
    stream.blind(operator, client, "102")
    stream.wait(0.5)
    colleague = stream.dial(client, "102")
    stream.ring(colleague)
    stream.wait(15)
    stream.ends_dial(colleague, "NOANSWER", 19)
    stream.request(client, 16, soft=True)
    stream.destroy(client)
    assert lost(stream.record()) == (15.5, IN_VAIN)


def test_a_client_in_a_second_queue_after_the_operator_hung_up_is_left_waiting() -> None:
    stream, client, operator = talked()
    operator_leaves(stream, client, operator)
    client.app = ("Queue", "sales,t")
    stream.wait(3)
    phone = stream.dial(client, "102")
    stream.ring(phone)
    stream.wait(3)
    stream.ends_dial(phone, "CANCEL")
    stream.bye(client)
    assert lost(stream.record()) == (6, IN_VAIN)


def test_a_second_queue_counts_even_if_no_phone_rings() -> None:
    stream, client, operator = talked()
    operator_leaves(stream, client, operator)
    client.app = ("Queue", "sales,t")
    stream.wait(6)
    stream.bye(client)
    assert lost(stream.record()) == (6, IN_VAIN)


def test_a_blonde_transfer_to_a_ringing_phone_counts_as_left_waiting() -> None:
    stream, client, operator = talked()
    stream.hold(operator)
    second = stream.dials("101", "102")
    colleague = stream.dial(second, "102")
    stream.ring(colleague)
    stream.wait(2)
    room = operator.room
    assert room is not None
    stream.leaves(operator)
    stream.leaves(client)
    stream.close(room)
    stream.attended(operator, second, client, None)
    stream.destroy(operator)
    stream.wait(5)
    stream.ends_dial(colleague, "NOANSWER", 19)
    stream.destroy(second)
    stream.bye(client)
    assert lost(stream.record()) == (5, IN_VAIN)


def test_a_client_connected_again_is_not_left_waiting() -> None:
    stream, client, operator = talked()
    stream.blind(operator, client, "602")
    client.app = ("Queue", "sales,t")
    stream.wait(3)
    colleague = stream.dial(client, "102")
    stream.ring(colleague)
    stream.answer(colleague, after=2)
    stream.bridge(client, colleague)
    stream.speak(colleague, 4)
    stream.bye(client)
    record = stream.record()
    assert lost(record) == (None, SERVED)
    assert record.operator == "102"


def test_a_transfer_that_comes_back_to_its_giver_is_served() -> None:
    stream, client, operator = talked()
    stream.blind(operator, client, "102")
    colleague = stream.dial(client, "102")
    stream.ring(colleague)
    stream.wait(5)
    stream.ends_dial(colleague, "NOANSWER", 19)
    again = stream.dial(client, "101")
    stream.ring(again)
    stream.answer(again, after=1)
    stream.bridge(client, again)
    stream.wait(5)
    stream.bye(client)
    assert lost(stream.record()) == (None, SERVED)


@pytest.mark.parametrize("app", ["Playback", "VoiceMail", "Wait", "Read"])
def test_an_announcement_after_the_talk_is_no_wait(app: str) -> None:
    stream, client, operator = talked()
    operator_leaves(stream, client, operator)
    client.app, client.exten = (app, "thank-you"), "goodbye"
    stream.wait(6)
    stream.bye(client)
    assert lost(stream.record()) == (None, SERVED)


def test_a_client_who_hangs_up_in_the_talk_has_not_waited() -> None:
    """The channel is in Queue() still, where it has been all the time."""
    stream, client, _ = talked()
    stream.bye(client)
    assert lost(stream.record()) == (None, SERVED)


def test_an_operator_who_hangs_up_leaves_nobody_waiting() -> None:
    stream, _, operator = talked()
    stream.bye(operator)
    record = stream.records()[0]
    assert lost(record) == (None, SERVED)


def test_a_client_who_hangs_up_on_hold_while_a_colleague_is_rung_has_not_been_left_waiting() -> None:
    stream, client, operator = talked()
    stream.hold(operator)
    second = stream.dials("101", "102")
    colleague = stream.dial(second, "102")
    stream.ring(colleague)
    stream.wait(2)
    stream.bye(client)
    stream.wait(2)
    stream.ends_dial(colleague, "CANCEL")
    stream.destroy(second)
    assert lost(stream.records()[0]) == (None, SERVED)


def test_the_rating_is_no_wait() -> None:
    settings = config(rating=RatingSettings(enabled=True), profiles={"standard": Profile(rating="stay")})
    stream, client, operator = talked()
    stream.hands_over(operator, client)
    stream.wait(6)
    stream.bye(client)
    assert lost(stream.record(settings)) == (None, SERVED)


def test_behind_a_local_channel_too() -> None:
    """Dial(Local/700@second/n) whose other half runs Queue(): the client's own channel stays in Dial."""
    stream, client, operator = talked()
    operator_leaves(stream, client, operator)
    client.app = ("Dial", "Local/700@second/n")
    near, far = stream.local(client, "700", "second")
    far.app = ("Queue", "sales,t")
    stream.up(far)
    stream.wait(6)
    for half in (near, far):
        stream.destroy(half)
    stream.bye(client)
    assert lost(stream.record()) == (6, IN_VAIN)


def test_an_unanswered_call_is_lost_as_before() -> None:
    stream = Stream()
    client = stream.incoming()
    stream.enter(client, "support")
    stream.wait(20)
    stream.bye(client)
    assert lost(stream.record()) == (None, IN_VAIN)
