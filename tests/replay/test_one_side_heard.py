"""Every recorded stream with one side's talk events taken out: what was not heard is held against nobody.

So it would have been recorded on a site whose talk detector is on for the trunk alone, or for phones alone.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from callsteward.record.call import CallRecord, Decision, Direction, Outcome, Party, RuleResult, Speech
from tests.replay.streams import CAPTURES, HERE, STREAMS, lines_of, records_of

# In these an outside number is on the operators' side at times, so that no side is left out whole.
OUTSIDE = {"attended_outside", "blind_outside", "forward_outside"}
RECORDED = [*CAPTURES, *STREAMS, *sorted((HERE / "endings").glob("*.jsonl"))]
ALL = [path for path in RECORDED if path.stem not in OUTSIDE]
GREETING_S = 3.0
ON_BOTH = ("overlap_s", "operator_interruptions", "client_interruptions")
OF_OPERATOR = ("operator_s", "first_operator_word_s", *ON_BOTH)
OF_CLIENT = ("client_s", *ON_BOTH)
_PHONE = re.compile(r"\w+/\d{2,6}-")
UNTOUCHED = (
    "answer_within",
    "no_contact_lost",
    "hold_limit",
    "talk_limit",
    "transfers",
    "operator_hangs_up_last",
)


def _name(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def _without(lines: list[bytes], *, operators: bool) -> list[bytes]:
    """The stream without the talk events of the operators' phones, or without those of all others."""

    def kept(line: bytes) -> bool:
        if b'"ChannelTalking' not in line:
            return True
        name = json.loads(line)["channel"]["name"]
        return (_PHONE.match(name) is not None) is not operators

    return [line for line in lines if kept(line)]


def _both(path: Path, *, operators: bool) -> list[tuple[CallRecord, CallRecord]]:
    """Each call with a client from outside, as it was and as it is with the talk events taken out."""
    lines = lines_of(path)
    whole, deaf = records_of(lines), records_of(_without(lines, operators=operators))
    assert [record.call_id for record in deaf] == [record.call_id for record in whole]
    return [
        (before, after)
        for before, after in zip(whole, deaf, strict=True)
        if before.direction is not Direction.INTERNAL
    ]


def _results(record: CallRecord) -> dict[str, RuleResult]:
    return {check.rule: check.result for check in record.standard}


def _fields(record: CallRecord, names: tuple[str, ...]) -> set[object]:
    return {None if record.speech is None else getattr(record.speech, name) for name in names}


@pytest.mark.parametrize("path", ALL, ids=_name)
def test_operators_who_cannot_be_heard(path: Path) -> None:
    for before, after in _both(path, operators=True):
        assert _fields(after, OF_OPERATOR) == {None}
        assert after.silences is None
        results = _results(after)
        assert {results[rule] for rule in ("greeting", "silence_limit", "interruptions")} == {
            RuleResult.NOT_APPLICABLE
        }
        assert {rule: results[rule] for rule in UNTOUCHED} == {
            rule: _results(before)[rule] for rule in UNTOUCHED
        }
        if after.speech is not None and before.speech is not None:
            assert after.speech.client_s is not None
            assert before.speech.client_s in {None, after.speech.client_s}
        # The greeting is over by time talked: a call that broke in it is one in the dialogue from there on.
        if before.outcome is Outcome.EARLY_DROP and (before.talk_s or 0) >= GREETING_S:
            broke = before.hangup.first is not Party.CLIENT
            assert after.outcome is (Outcome.MID_DIALOGUE_DROP if broke else Outcome.COMPLETED)
            assert after.callback.decision is (Decision.DUE if broke else Decision.NOT_DUE)
        else:
            assert (after.outcome, after.callback) == (before.outcome, before.callback)


@pytest.mark.parametrize("path", ALL, ids=_name)
def test_clients_who_cannot_be_heard(path: Path) -> None:
    for before, after in _both(path, operators=False):
        assert _fields(after, OF_CLIENT) == {None}
        assert after.silences is None
        assert (after.outcome, after.callback) == (before.outcome, before.callback)
        results = _results(after)
        assert {results[rule] for rule in ("silence_limit", "interruptions")} == {RuleResult.NOT_APPLICABLE}
        same = (*UNTOUCHED, "greeting")
        assert {rule: results[rule] for rule in same} == {rule: _results(before)[rule] for rule in same}
        assert _fields(after, ("operator_s",)) == _fields(before, ("operator_s",))
        assert _fields(after, ("first_operator_word_s",)) == _fields(before, ("first_operator_word_s",))


def test_there_are_drops_among_them_with_a_callback_that_is_due_either_way() -> None:
    due = {
        _name(path)
        for path in ALL
        for before, after in _both(path, operators=True)
        if before.callback.decision is after.callback.decision is Decision.DUE
    }
    assert due == {"captures/netdrop", "streams/netdrop_client", "streams/netdrop_operator"}


def test_an_outside_number_that_cannot_be_heard_leaves_what_the_operator_said_first() -> None:
    ((before, after),) = _both(HERE / "streams" / "blind_outside.jsonl", operators=False)
    assert before.speech is not None
    assert after.speech == Speech(None, None, None, None, None, before.speech.first_operator_word_s)
    assert _results(after)["greeting"] is RuleResult.MET
