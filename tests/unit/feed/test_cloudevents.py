"""CloudEvents attributes beside a message's own fields."""

import json

import msgspec
import pytest

from callsteward.calls.facts import Alert
from callsteward.feed import messages
from callsteward.feed.cloudevents import with_attributes


def test_the_attributes_stand_beside_the_fields() -> None:
    alert = Alert(
        call_id="1.2", line="support", rule="hold_limit", at_ms=2, operator="101", limit_s=1, since_ms=1
    )
    plain = messages.encode(
        messages.stamped(messages.alert("main", alert), boot_id="b", seq=3, now_ms=1_795_348_800_000)
    )
    event = json.loads(with_attributes(plain))
    before = json.loads(plain)
    assert {name: event.pop(name) for name in ("specversion", "id", "source", "type", "time")} == {
        "specversion": "1.0",
        "id": before["message_id"],
        "source": "/callsteward/main",
        "type": "callsteward.alert/1",
        "time": before["ts"],
    }
    assert event.pop("datacontenttype") == "application/json"
    assert event == before


def test_a_field_of_the_messages_own_stands_for_an_attribute() -> None:
    payload = (
        b'{"schema":"callsteward.x/1","message_id":"m","site":"main","ts":"t","source":"phone","id":"7"}'
    )
    event = json.loads(with_attributes(payload))
    assert (event["source"], event["id"], event["type"]) == ("phone", "7", "callsteward.x/1")
    assert payload.count(b'"id"') == with_attributes(payload).count(b'"id"')


def test_what_is_no_message_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        with_attributes(b"{}")
