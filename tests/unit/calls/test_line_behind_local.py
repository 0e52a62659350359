"""The line of a client whom the dialplan puts through a Local channel: the other half is where they are."""

from __future__ import annotations

from callsteward.config import Config, Line
from callsteward.record.call import CallRecord, Outcome
from tests.unit.calls.stream import Phone, Stream, config

SITE = config(
    lines=(
        Line(name="support", queues=("600",), dids=("4950001",)),
        Line(name="sales", queues=("601",), dids=("700",), contexts=("ext-group",)),
    )
)


def put_through(exten: str, context: str, *, number: str = "9999") -> tuple[Stream, Phone, Phone]:
    """Dial(Local/EXTEN@CONTEXT/n) for a client; the half that goes on in the dialplan comes back."""
    stream = Stream()
    client = stream.incoming(exten=number)
    client.app = ("Dial", f"Local/{exten}@{context}/n")
    _near, far = stream.local(client, exten, context)
    return stream, client, far


def in_queue(far: Phone, queue: str, stream: Stream) -> None:
    far.app = ("Queue", f"{queue},t,,,300")
    stream.up(far)


def gives_up(stream: Stream, client: Phone, far: Phone, settings: Config = SITE) -> CallRecord:
    stream.wait(7)
    near = far.other_half
    assert near is not None
    stream.request(client)
    stream.destroy(client)
    stream.request(near)
    stream.destroy(near)
    stream.request(far, 16, soft=True)
    stream.destroy(far)
    return stream.record(settings)


def test_a_queue_entered_behind_a_local_channel_is_the_calls_line() -> None:
    stream, client, far = put_through("600", "from-internal")
    in_queue(far, "600", stream)
    operator = stream.dial(far, "101")
    stream.ring(operator)
    stream.wait(2)
    stream.ends_dial(operator, "NOANSWER", 19)
    record = gives_up(stream, client, far)
    assert (record.line, record.outcome, record.wait_s) == ("support", Outcome.ABANDONED, 9)


def test_no_phone_has_to_ring_for_the_line() -> None:
    stream, client, far = put_through("600", "from-internal")
    far.app = ("Queue", "600")
    assert gives_up(stream, client, far).line == "support"


def test_behind_two_local_channels_too() -> None:
    stream, client, far = put_through("500", "ivr")
    near, farther = stream.local(far, "601", "ext-queues")
    in_queue(farther, "601", stream)
    stream.wait(3)
    for half in (near, farther):
        stream.destroy(half)
    assert gives_up(stream, client, far).line == "sales"


def test_a_ring_group_behind_it_is_known_by_its_number_or_context() -> None:
    for exten, context in (("700", "from-internal"), ("601", "ext-group")):
        stream, client, far = put_through(exten, context)
        far.app = ("Dial", "PJSIP/101&PJSIP/102")
        operator = stream.dial(far, "101")
        stream.ring(operator)
        stream.wait(1)
        stream.ends_dial(operator, "CANCEL")
        assert gives_up(stream, client, far).line == "sales"


def test_the_number_that_the_client_dialled_goes_before_a_number_behind_it_and_a_queue_before_both() -> None:
    stream, client, far = put_through("700", "from-internal", number="4950001")
    assert gives_up(stream, client, far).line == "support"
    stream, client, far = put_through("601", "from-internal", number="4950001")
    in_queue(far, "601", stream)
    assert gives_up(stream, client, far).line == "sales"


def test_the_first_queue_counts_and_a_members_local_channel_changes_nothing() -> None:
    """FreePBX rings members as Local/201@from-queue/n, here by a number that is another line's."""
    stream = Stream()
    client = stream.incoming(exten="9999")
    stream.enter(client, "600")
    near, far = stream.local(client, "700", "from-queue")
    phone = stream.dial(far, "201")
    stream.ring(phone)
    stream.wait(4)
    stream.ends_dial(phone, "CANCEL")
    for half in (near, far):
        stream.destroy(half)
    stream.bye(client)
    assert stream.record(SITE).line == "support"


def test_an_operators_own_call_to_a_queue_is_no_clients_line() -> None:
    """Click-to-dial rings the operator through a Local channel: whom they call is no line."""
    stream = Stream()
    operator = stream.dials("101", "+79031234567")
    near, far = stream.local(operator, "700", "from-internal")
    stream.up(far, ("Answer", ""))
    far.app, far.exten = ("Dial", "PJSIP/79031234567@trunk"), "s"
    client = stream.dial(far, "trunk", number="79031234567")
    stream.ring(client)
    stream.wait(2)
    stream.ends_dial(client, "BUSY", 17)
    for half in (near, far):
        stream.destroy(half)
    stream.destroy(operator)
    record = stream.record(SITE)
    assert (record.direction.value, record.line) == ("outbound", "default")
