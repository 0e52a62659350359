from collections.abc import Callable

import jsonschema
import msgspec
import pytest

from callsteward.calls.facts import Alert, CallHappened, Happening, LineNow, OperatorNow, OperatorState
from callsteward.calls.record import CallRecord, encode
from callsteward.feed import messages, rating_messages
from callsteward.feed.messages import Message
from callsteward.feed.today import DayCounts
from tests.unit.feed.conftest import COMPLAINED, MOVED, RATED

AT_MS = 1_795_314_131_654
HOLD = CallHappened(
    call_id="1.1",
    line="support",
    event=Happening.HOLD,
    at_ms=AT_MS,
    operator="101",
    client_masked="+7903***4567",
    by="operator",
)
LATE = Alert(
    call_id="1.1",
    line="support",
    rule="hold_over_limit",
    at_ms=AT_MS,
    operator="101",
    limit_s=120.0,
    since_ms=AT_MS - 120_000,
)


def _each(record: CallRecord) -> list[Message]:
    on_hold = OperatorNow(
        operator="101", state=OperatorState.ON_HOLD, since_ms=AT_MS, hold_since_ms=AT_MS - 1
    )
    status = {"site": "main", "started_ms": AT_MS}
    line = LineNow(line="support", waiting=1, longest_wait_since_ms=AT_MS - 2500)
    counts = DayCounts(offered=3, answered=2, in_time=1)
    return [
        messages.status(**status, state="offline", reason="connection_lost"),  # type: ignore[arg-type]
        messages.status(
            **status,  # type: ignore[arg-type]
            state="online",
            reason="running",
            asterisk="connected",
            asterisk_detail="22.7.0",
            last_seq=7,
            queue_depth=0,
            dropped=(1, 2, 3),
        ),
        messages.line_now("main", line, "2026-11-22", counts, 20.0, AT_MS),
        messages.line_now("main", LineNow(line="support"), "2026-11-22", DayCounts(), 20.0, AT_MS),
        messages.operator_now("main", on_hold, AT_MS),
        messages.call_event("main", HOLD),
        messages.alert("main", LATE),
        messages.call_ended(record),
        messages.callback("main", MOVED),
        rating_messages.rating("main", RATED.rating),
        rating_messages.complaint("main", COMPLAINED.complaint),
    ]


def test_every_message_is_flat_carries_the_envelope_and_meets_its_schema(
    record: Callable[..., CallRecord],
) -> None:
    schemas = messages.json_schemas()
    seen = set()
    for message in _each(record()):
        sent = messages.stamped(message, boot_id="boot", seq=5, now_ms=AT_MS)
        wire = msgspec.json.decode(messages.encode(sent))
        assert wire["boot_id"] == "boot"
        assert wire["seq"] == 5
        assert wire["ts"] == "2026-11-22T02:22:11.654Z"
        assert len(wire["message_id"]) == 36
        assert wire["site"] == "main"
        schema = schemas[wire["schema"]]
        jsonschema.Draft202012Validator(schema).validate(wire)
        # every field is there, null where unknown; but this one is a callback's alone
        own = {"origin_call_id"} if wire["schema"] == "callsteward.call/1" else set()
        name = schema["$ref"].rpartition("/")[2]
        assert set(wire) == set(schema["$defs"][name]["properties"]) - own
        if wire["schema"] != "callsteward.call/1":
            assert not [key for key, value in wire.items() if isinstance(value, dict | list)]
        seen.add(wire["schema"])
    assert seen == set(schemas)


def test_a_wrong_message_does_not_meet_its_schema(record: Callable[..., CallRecord]) -> None:
    schema = messages.json_schemas()["callsteward.call/1"]
    wire = msgspec.json.decode(messages.encode(messages.call_ended(record())))
    wire["ts"] = "yesterday"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate(wire)


def test_a_published_record_is_the_record_and_nothing_changed(record: Callable[..., CallRecord]) -> None:
    sent = messages.stamped(messages.call_ended(record()), boot_id="b", seq=1, now_ms=AT_MS)
    wire = msgspec.json.decode(messages.encode(sent))
    for own in ("message_id", "boot_id", "seq", "ts"):
        del wire[own]
    assert msgspec.json.encode(wire) == encode(record())


def test_a_record_has_the_same_id_on_every_try_and_in_every_boot(record: Callable[..., CallRecord]) -> None:
    def ids(built: CallRecord) -> str:
        return messages.stamped(messages.call_ended(built), boot_id="b", seq=1, now_ms=AT_MS).message_id

    assert ids(record()) == ids(record(line="other"))
    assert ids(record(call_id="1")) != ids(record(call_id="2"))
    assert ids(record(site="a", call_id="b")) != ids(record(site="ab", call_id=""))


def test_an_event_that_a_restarted_daemon_says_again_has_the_same_id() -> None:
    assert messages.call_event("main", HOLD).message_id == messages.call_event("main", HOLD).message_id
    later = msgspec.structs.replace(HOLD, at_ms=AT_MS + 1)
    assert messages.call_event("main", later).message_id != messages.call_event("main", HOLD).message_id


def test_a_gauge_gets_a_new_id_each_time() -> None:
    gauge = messages.operator_now(
        "main", OperatorNow(operator="1", state=OperatorState.IDLE, since_ms=AT_MS), AT_MS
    )
    one, two = (messages.stamped(gauge, boot_id="b", seq=1, now_ms=AT_MS) for _ in range(2))
    assert one.message_id != two.message_id


def test_an_alert_names_the_moment_the_limit_was_crossed() -> None:
    alert = messages.alert("main", LATE)
    assert (alert.since, alert.at, alert.limit_s) == (
        "2026-11-22T02:20:11.654Z",
        "2026-11-22T02:22:11.654Z",
        120.0,
    )


def test_a_callback_is_told_without_its_number() -> None:
    wire = messages.encode(messages.callback("main", MOVED))
    assert b"9031234567" not in wire
    told = msgspec.json.decode(wire)
    assert (told["state"], told["asked"], told["attempt"]) == ("offered", "102", 1)
    assert told["call_id"] == "callsteward-cb-1795314131.35-1-support"
    again = msgspec.json.decode(messages.encode(messages.callback("main", MOVED)))
    assert again["message_id"] == told["message_id"]


def test_only_a_callbacks_record_names_the_call_it_follows(record: Callable[..., CallRecord]) -> None:
    plain = msgspec.json.decode(messages.encode(messages.call_ended(record())))
    assert "origin_call_id" not in plain
    after = messages.call_ended(record(origin_call_id="1795314131.35"))
    assert msgspec.json.decode(messages.encode(after))["origin_call_id"] == "1795314131.35"
