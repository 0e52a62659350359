"""Which call a tag means, and what it makes of the record."""

from collections.abc import Sequence

import pytest

from callsteward.ari import events
from callsteward.calls.directory import Endpoint, EndpointKind
from callsteward.calls.model import Call, Leg
from callsteward.calls.tracker import Tracker
from callsteward.config import Tags
from callsteward.record.call import CallbackDecision, Decision, Outcome, Party, RuleResult
from callsteward.record.facts import CallEnded, CallTagged, Fact
from callsteward.record.tag import Source, Tag
from tests.unit.calls.stream import CLIENT, Phone, Stream, config, ended, rule

ON = config(tags=Tags(enabled=True, wrap_up_s=60))
RELAY = Endpoint("Local", EndpointKind.RELAY, "Local", bare=False)
DUE = CallbackDecision(Decision.DUE, "tagged_dropped")


def keys(
    stream: Stream, phone: Phone, tag: str, *, after: bool = False, value: str = "", **more: str
) -> None:
    """A UserEvent of dialplan/callsteward-tags.conf on a phone's channel."""
    said = {"tag": tag, "value": value, **({"after": "1"} if after else {}), **more}
    stream.emit(
        "ChannelUserevent", eventname="callsteward-tag", userevent=said, channel=stream._channel(phone)
    )


def code(stream: Stream, tag: str, operator: str = "101", **more: str) -> None:
    """The operator dials a code: a call of its own that reaches nobody."""
    phone = stream.dials(operator, "*61")
    stream.up(phone)
    keys(stream, phone, tag, after=True, **more)
    stream.wait(0.5)
    stream.destroy(phone)


def command(stream: Stream, call_id: str, tag: str, value: str = "") -> None:
    stream.emit(
        "CallstewardTag", call_id=call_id, tag=tag, value=value, by="crm", source="mqtt", command="c1"
    )


def talked(stream: Stream, **incoming: str) -> tuple[Phone, Phone]:
    """A call past its greeting."""
    client, operator = stream.talk(**incoming)
    stream.speak(operator, 4)
    stream.speak(client, 2)
    return client, operator


def over(stream: Stream, client: Phone) -> None:
    stream.bye(client)
    stream.wait(1)


def tagged(facts: Sequence[Fact]) -> list[CallTagged]:
    return [fact for fact in facts if isinstance(fact, CallTagged)]


def test_dropped_in_the_talk_makes_a_plain_end_a_drop():
    stream = Stream()
    client, operator = talked(stream)
    keys(stream, operator, "dropped")
    over(stream, client)
    facts = stream.facts(ON)
    (said,) = tagged(facts)
    assert (said.call_id, said.tag, said.by, said.source) == (client.id, Tag.DROPPED, "101", Source.PHONE)
    assert (said.ended, said.refused, said.client_number) == (False, "", CLIENT)
    (record,) = ended(facts)
    assert record.hangup.first is Party.CLIENT
    assert record.outcome is Outcome.MID_DIALOGUE_DROP
    assert record.callback == DUE
    assert record.hangup.evidence[-1] == "tag dropped by 101 (phone)"
    assert facts.index(said) < next(i for i, fact in enumerate(facts) if isinstance(fact, CallEnded))


def test_the_tag_dropped_overrides_the_operators_own_bye():
    stream = Stream()
    _, operator = talked(stream)
    keys(stream, operator, "dropped")
    over(stream, operator)
    record = stream.record(ON)
    assert (record.hangup.first, record.outcome) == (Party.OPERATOR, Outcome.MID_DIALOGUE_DROP)


def test_before_the_greeting_is_over_it_stays_an_early_drop():
    stream = Stream()
    client, operator = stream.talk()
    stream.speak(operator, 1)
    keys(stream, operator, "dropped")
    over(stream, client)
    record = stream.record(ON)
    assert record.outcome is Outcome.EARLY_DROP
    assert record.callback == CallbackDecision(Decision.NOT_DUE, "early_drop")


def test_a_repeated_tag_is_in_the_record_once():
    stream = Stream()
    client, operator = talked(stream)
    keys(stream, operator, "dropped")
    keys(stream, operator, "dropped")
    over(stream, client)
    record = stream.record(ON)
    assert [item for item in record.hangup.evidence if "tag" in item] == ["tag dropped by 101 (phone)"]


def test_while_tags_are_off_keys_are_ignored():
    stream = Stream()
    client, operator = talked(stream)
    keys(stream, operator, "dropped")
    command(stream, client.id, "dropped")
    over(stream, client)
    facts = stream.facts(config())
    assert tagged(facts) == []
    assert ended(facts)[0].outcome is Outcome.COMPLETED


def test_a_clients_channel_is_refused():
    stream = Stream()
    client, _ = talked(stream)
    keys(stream, client, "dropped")
    over(stream, client)
    facts = stream.facts(ON)
    assert [said.refused for said in tagged(facts)] == ["not_an_operator"]
    assert ended(facts)[0].outcome is Outcome.COMPLETED


@pytest.mark.parametrize("name", ["", "drop", "dropped;id", "\x00", "ticket"])
def test_keys_that_are_no_tag_are_refused(name):
    stream = Stream()
    client, operator = talked(stream)
    keys(stream, operator, name)
    over(stream, client)
    facts = stream.facts(ON)
    assert [(said.tag, said.refused) for said in tagged(facts)] == [(None, "not_a_tag")]
    assert ended(facts)[0].outcome is Outcome.COMPLETED


def test_events_of_other_names_and_without_a_channel_are_passed_over():
    stream = Stream()
    client, operator = talked(stream)
    stream.emit("ChannelUserevent", eventname="other", userevent={"tag": "dropped"}, channel=None)
    stream.emit("ChannelUserevent", eventname="callsteward-tag", userevent={"tag": "dropped"}, channel=None)
    gone = stream.dials("101", "*61")
    stream.destroy(gone)
    keys(stream, gone, "dropped")
    over(stream, client)
    assert tagged(stream.facts(ON)) == []
    assert operator.gone


def test_a_code_after_the_call_means_the_call_the_operator_left_last():
    stream = Stream()
    client, _ = talked(stream)
    over(stream, client)
    stream.wait(30)
    code(stream, "dropped")
    facts = stream.facts(ON)
    (said,) = tagged(facts)
    assert (said.call_id, said.line, said.ended, said.refused) == (client.id, "default", True, "")
    assert (said.source, said.channel[:10]) == (Source.WRAP_UP, "PJSIP/101-")
    # The code's own channel is no call.
    assert len(ended(facts)) == 1


@pytest.mark.parametrize(("after_s", "refused"), [(58.0, ""), (61.5, "wrap_up_over")])
def test_the_wrap_up_has_an_end(after_s, refused):
    stream = Stream()
    client, _ = talked(stream)
    over(stream, client)
    stream.wait(after_s - 1)
    code(stream, "dropped")
    (said,) = tagged(stream.facts(ON))
    assert (said.refused, said.call_id) == (refused, client.id)


def test_for_an_operator_without_a_call_the_shell_decides():
    stream = Stream()
    code(stream, "dropped", operator="109")
    (said,) = tagged(stream.facts(ON))
    assert (said.call_id, said.by, said.ended, said.refused) == ("", "109", True, "")


def test_a_colleagues_call_is_not_ones_own():
    stream = Stream()
    client, _ = talked(stream)
    over(stream, client)
    code(stream, "dropped", operator="102")
    (said,) = tagged(stream.facts(ON))
    assert said.call_id == ""


def test_a_code_dialled_on_a_second_line_means_the_call_that_is_on():
    stream = Stream()
    client, operator = talked(stream)
    stream.hold(operator)
    code(stream, "ticket", value="1042")
    stream.unhold(operator)
    stream.wait(1)
    over(stream, client)
    facts = stream.facts(ON)
    (said,) = tagged(facts)
    assert (said.call_id, said.ended, said.value) == (client.id, False, "1042")


def test_the_last_of_two_calls_is_meant():
    stream = Stream()
    first, _ = talked(stream)
    over(stream, first)
    second, _ = talked(stream, number="79000000001")
    over(stream, second)
    code(stream, "complaint")
    (said,) = tagged(stream.facts(ON))
    assert said.call_id == second.id


def test_a_command_tags_a_call_in_progress_and_reports_one_that_is_over():
    stream = Stream()
    client, _ = talked(stream)
    command(stream, client.id, "dropped")
    command(stream, "no.such", "dropped")
    over(stream, client)
    command(stream, client.id, "complaint")
    facts = stream.facts(ON)
    assert [(said.call_id, said.ended, said.by, said.command) for said in tagged(facts)] == [
        (client.id, False, "crm", "c1"),
        ("no.such", True, "crm", "c1"),
        (client.id, True, "crm", "c1"),
    ]
    assert ended(facts)[0].callback == DUE


def test_a_ticket_before_the_end_satisfies_the_transfer_rule():
    stream = Stream()
    client, operator = talked(stream)
    keys(stream, operator, "registered")
    command(stream, client.id, "ticket", "INC-7")
    over(stream, client)
    record = stream.record(ON)
    assert rule(record, "transfer_with_ticket").result is RuleResult.NOT_APPLICABLE
    assert rule(record, "registered_within").result is RuleResult.MET
    assert rule(record, "registered_within").value == 0.0


def test_a_stream_cut_anywhere_with_tags_in_it_breaks_nothing():
    stream = Stream()
    client, operator = talked(stream)
    keys(stream, operator, "dropped")
    command(stream, client.id, "ticket", "1")
    over(stream, client)
    code(stream, "dnc")
    frames = stream.frames()
    for start in range(len(frames)):
        tracker = Tracker(ON)
        for frame in frames[start:]:
            event = events.decode(frame)
            assert event is not None
            tracker.handle(event)
        tracker.finish()


def test_operators_who_left_long_ago_are_forgotten_if_names_are_endless() -> None:
    tracker = Tracker(ON)
    desk = tracker._desk
    for second in range(3000):
        desk.leave(f"10.0.{second >> 8}.{second & 255}", Call(Leg("1.1", "x", RELAY, 0)), second * 1000)
    assert len(desk.left) <= 1000
    assert {f"10.0.{second >> 8}.{second & 255}" for second in range(2941, 3000)} <= desk.left.keys()


def test_many_who_left_just_now_are_bounded_too() -> None:
    desk = Tracker(ON)._desk
    for serial in range(3000):
        desk.leave(str(serial), Call(Leg("1.1", "x", RELAY, 0)), serial)
    assert list(desk.left) == [str(serial) for serial in range(2000, 3000)]
