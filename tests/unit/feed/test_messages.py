import re
import uuid
from collections.abc import Callable

import jsonschema
import msgspec
import pytest

from callsteward import features
from callsteward.callback import messages as callback_messages
from callsteward.commands import messages as command_messages
from callsteward.commands.reply import Reply
from callsteward.feed import contract, envelope, gauge_messages, messages, status_message
from callsteward.feed.messages import Message
from callsteward.feed.today import DayCounts
from callsteward.intervals import messages as interval_messages
from callsteward.rating import messages as rating_messages
from callsteward.record.call import CallRecord, encode
from callsteward.record.facts import (
    Alert,
    CallHappened,
    CallTagged,
    Happening,
    LineNow,
    OperatorNow,
    OperatorState,
)
from callsteward.record.tag import Source, Tag
from tests.unit.feed.conftest import COMPLAINED, MOVED, RATED
from tests.unit.intervals.days import interval_rows

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
TAGGED = CallTagged(
    call_id="1.1",
    line="support",
    tag=Tag.COMMENT,
    value="asks for +7 903 123-45-67",
    at_ms=AT_MS,
    by="101",
    source=Source.PHONE,
    result="noted",
    client_number="79031234567",
)
REFUSED = msgspec.structs.replace(TAGGED, tag=None, refused="wrap_up_over", source=Source.MQTT)
REPLY = Reply(
    id="crm-1",
    command="tag",
    status="done",
    reason="",
    detail="",
    at="2026-11-22T02:22:11.654Z",
    result="noted",
    call_id="1.1",
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
        status_message.status(**status, state="offline", reason="connection_lost"),  # type: ignore[arg-type]
        status_message.status(
            **status,  # type: ignore[arg-type]
            state="online",
            reason="running",
            asterisk="connected",
            asterisk_detail="22.7.0",
            last_seq=7,
            queue_depth=0,
            dropped=(1, 2, 3),
        ),
        gauge_messages.line_now("main", line, "2026-11-22", counts, 20.0, AT_MS),
        gauge_messages.line_now("main", LineNow(line="support"), "2026-11-22", DayCounts(), 20.0, AT_MS),
        gauge_messages.operator_now("main", on_hold, AT_MS),
        messages.call_event("main", HOLD),
        messages.call_tag("main", TAGGED),
        messages.call_tag("main", REFUSED),
        command_messages.reply("main", REPLY),
        messages.alert("main", LATE),
        messages.daemon_alert("main", "outbox_filling", AT_MS, value=9.0, limit=10.0, detail="3 wait"),
        messages.call_ended(record),
        callback_messages.callback("main", MOVED),
        *(interval_messages.interval(row) for row in interval_rows()),
        rating_messages.rating("main", RATED.rating),
        rating_messages.complaint("main", COMPLAINED.complaint),
    ]


def test_every_message_is_flat_carries_the_envelope_and_meets_its_schema(
    record: Callable[..., CallRecord],
) -> None:
    schemas = contract.json_schemas(features.topics())
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
        # the keys that end in a threshold are patterns in the schema: thresholds are configured
        patterns = schema.get("patternProperties", {})
        fixed = {key for key in wire if not any(re.match(pattern, key) for pattern in patterns)}
        assert fixed == set(schema["$defs"][name]["properties"]) - own
        assert all(any(re.match(pattern, key) for key in wire) for pattern in patterns)
        if wire["schema"] != "callsteward.call/1":
            assert not [key for key, value in wire.items() if isinstance(value, dict | list)]
        seen.add(wire["schema"])
    assert seen == {name for name in schemas if not name.startswith("callsteward.command-")}


def test_a_wrong_message_does_not_meet_its_schema(record: Callable[..., CallRecord]) -> None:
    schema = contract.json_schemas(features.topics())["callsteward.call/1"]
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
    gauge = gauge_messages.operator_now(
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
    wire = messages.encode(callback_messages.callback("main", MOVED))
    assert b"9031234567" not in wire
    told = msgspec.json.decode(wire)
    assert (told["state"], told["asked"], told["attempt"]) == ("offered", "102", 1)
    assert told["call_id"] == "callsteward-cb-1795314131.35-1-support"
    again = msgspec.json.decode(messages.encode(callback_messages.callback("main", MOVED)))
    assert again["message_id"] == told["message_id"]


def test_only_a_callbacks_record_names_the_call_it_follows(record: Callable[..., CallRecord]) -> None:
    plain = msgspec.json.decode(messages.encode(messages.call_ended(record())))
    assert "origin_call_id" not in plain
    after = messages.call_ended(record(origin_call_id="1795314131.35"))
    assert msgspec.json.decode(messages.encode(after))["origin_call_id"] == "1795314131.35"


def test_a_revision_of_an_interval_keeps_its_id_and_the_next_one_has_another() -> None:
    row = interval_rows()[0]
    again = interval_messages.interval(row).message_id
    assert interval_messages.interval(row).message_id == again
    assert interval_messages.interval(msgspec.structs.replace(row, revision=2)).message_id != again
    assert interval_messages.interval(msgspec.structs.replace(row, start_ms=row.end_ms)).message_id != again


def test_every_number_of_an_interval_has_its_definition_in_the_schema() -> None:
    for name in ("callsteward.line-interval/1", "callsteward.operator-interval/1"):
        schema = contract.json_schemas(features.topics())[name]
        own = schema["$defs"][schema["$ref"].rpartition("/")[2]]["properties"]
        envelope = {"message_id", "boot_id", "seq", "ts", "site", "schema", "line", "operator"}
        assert [
            key for key, value in own.items() if key not in envelope and not value.get("description")
        ] == []
        assert all(value["description"] for value in schema["patternProperties"].values())
        text = str(schema)
        assert "interval of its arrival" in text
        assert "alk excludes hold" in text


def test_a_tag_is_told_without_its_value_and_without_the_number():
    wire = messages.encode(messages.call_tag("main", TAGGED)).decode()
    assert "903" not in wire
    told = messages.call_tag("main", TAGGED)
    assert (told.event, told.tag, told.result, told.operator) == (Happening.TAG, Tag.COMMENT, "noted", "101")
    refused = messages.call_tag("main", REFUSED)
    assert (refused.tag, refused.result, refused.operator) == (None, "refused: wrap_up_over", None)


def test_each_refused_try_is_a_message_of_its_own_and_a_tag_is_one_however_often():
    later = {"at_ms": AT_MS + 1}
    again = msgspec.structs.replace(TAGGED, **later)
    assert messages.call_tag("main", TAGGED).message_id == messages.call_tag("main", again).message_id
    refused_again = msgspec.structs.replace(REFUSED, **later)
    first, second = messages.call_tag("main", REFUSED), messages.call_tag("main", refused_again)
    assert first.message_id != second.message_id


@pytest.mark.parametrize("parts", [("ended", "main", "1.1"), ("events", "main", None, 7, "Ё"), ("", "")])
def test_the_id_of_a_message_is_the_uuid_that_python_makes_of_it(parts: tuple[object, ...]) -> None:
    name = msgspec.json.encode(parts).decode()
    assert envelope.identity(str(parts[0]), *parts[1:]) == str(uuid.uuid5(envelope._NAMESPACE, name))
