"""When a record is lost, twice, or wrong."""

from __future__ import annotations

from typing import Any

import msgspec

from callsteward.record.call import CallRecord, Direction, Hangup, Party, Span
from tests.chaos.record_verdict import Count, Placed, count, of_this_run, slowest_s
from tests.judge.books import Books
from tests.judge.truth import epoch
from tests.lab.records import Cel
from tests.unit.store.samples import RECORD

INBOUND = Placed("inbound", "client")


def _record(party: Party = Party.CLIENT, **changes: Any) -> CallRecord:
    hangup: Hangup = msgspec.structs.replace(RECORD.hangup, first=party)
    values = {"direction": Direction.INBOUND, "hangup": hangup, "complete": True, "unobserved": ()}
    return msgspec.structs.replace(RECORD, **(values | changes))


def _counted(*records: CallRecord, placed: tuple[Placed, ...] = (INBOUND,)) -> Count:
    published = [{"call_id": record.call_id, "message_id": record.call_id} for record in records]
    return count(placed, records, published, asterisk=None)


def _incomplete(party: Party) -> CallRecord:
    return _record(party, complete=False, unobserved=(Span("2026-11-22T09:00:00.000Z", None),))


def test_one_record_as_the_phones_know_it() -> None:
    seen = _counted(_record())
    assert (seen.placed, seen.records, seen.errors) == (1, 1, [])
    assert (seen.lost, seen.duplicates, seen.wrong, seen.unobserved, seen.unpublished) == (0, 0, 0, 0, 0)


def test_a_call_without_a_record_is_lost() -> None:
    assert _counted().lost == 1


def test_two_records_of_a_call_are_a_duplicate() -> None:
    assert _counted(_record(), _record(call_id="another")).duplicates == 1


def test_a_record_of_a_call_nobody_made_is_a_duplicate() -> None:
    assert _counted(_record(), _record(call_id="2", direction=Direction.OUTBOUND)).duplicates == 1


def test_a_wrong_party_in_the_hang_up_is_a_mistake() -> None:
    assert _counted(_record(Party.OPERATOR)).wrong == 1
    assert _counted(_incomplete(Party.OPERATOR)).wrong == 1


def test_a_value_may_be_unknown_if_the_record_names_the_unobserved_span() -> None:
    seen = _counted(_incomplete(Party.UNKNOWN))
    assert (seen.wrong, seen.unobserved) == (0, 1)
    assert _counted(_record(Party.UNKNOWN)).wrong == 1
    assert _counted(_record(Party.UNKNOWN, complete=False)).wrong == 1


def test_of_two_at_the_same_moment_either_may_be_first() -> None:
    both = Placed("inbound", "client", "pbx")
    assert _counted(_incomplete(Party.PBX), placed=(both,)).wrong == 0
    assert _counted(_incomplete(Party.OPERATOR), placed=(both,)).wrong == 1


def test_a_message_under_two_names_is_a_duplicate_and_one_twice_is_not() -> None:
    record = _record()
    once = {"call_id": record.call_id, "message_id": "a"}
    assert count([INBOUND], [record], [once, once], asterisk=None).duplicates == 0
    assert count([INBOUND], [record], [once, once | {"message_id": "b"}], asterisk=None).duplicates == 1
    assert count([INBOUND], [record], [], asterisk=None).unpublished == 1


def test_a_callback_is_a_call_of_its_own() -> None:
    callback = _record(call_id="cb", direction=Direction.CALLBACK)
    placed = (Placed("inbound", "network"), Placed("callback", "client"))
    assert _counted(_record(Party.NETWORK), callback, placed=placed).errors == []
    assert _counted(_record(Party.NETWORK), placed=placed).lost == 1


def test_events_kept_from_an_earlier_run_are_left_out() -> None:
    record = _record()
    assert of_this_run([record], epoch(record.started_at)) == [record]
    assert of_this_run([record], epoch(record.started_at) + 1) == []


def test_an_asterisk_that_is_slow_to_bridge_is_known_by_its_own_books() -> None:
    def row(event: str, at: float, channel: str) -> Cel:
        return Cel(event, at, "", "", "", "", channel, "", "", "", "", "", {})

    cel = [
        row("ANSWER", 1.0, "PJSIP/101-1"),
        row("BRIDGE_ENTER", 1.01, "PJSIP/101-1"),
        row("ANSWER", 2.0, "PJSIP/102-2"),
        row("BRIDGE_ENTER", 2.13, "PJSIP/102-2"),
        row("BRIDGE_ENTER", 9.0, "PJSIP/101-1"),
    ]
    assert round(slowest_s(Books([], cel, [])), 3) == 0.13
    assert slowest_s(Books([], [], [])) == 0.0
