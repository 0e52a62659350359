"""Every recorded call of the field site gives the record that its phones and Asterisk's books tell of."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from pydantic import SecretStr

from callsteward.config import Config, Privacy, load
from callsteward.record.call import CallRecord, Outcome, encode
from tests.judge.books import Books
from tests.judge.field_expected import FIELD_EXPECTED, FieldExpected
from tests.judge.field_expected_16 import FIELD_EXPECTED_16
from tests.judge.field_verdict import Told, book_errors, errors, ring_errors
from tests.judge.truth import Truth
from tests.judge.verdict import main_record
from tests.lab.field_scenarios import FIELD_SCENARIOS
from tests.lab.pbx_config import REPOSITORY
from tests.replay.streams import FIELD, FIELD_16, lines_of, records_of

CONFIG = REPOSITORY / "tests" / "lab" / "field.toml"


ALL = [*FIELD, *FIELD_16["pjsip"], *FIELD_16["sip"]]


def _name(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def _expected(path: Path) -> FieldExpected:
    driver = next((driver for driver, paths in FIELD_16.items() if path in paths), None)
    return (FIELD_EXPECTED if driver is None else FIELD_EXPECTED_16[driver])[path.stem]


def _records(path: Path) -> list[CallRecord]:
    return records_of(lines_of(path), load(CONFIG))


@pytest.mark.parametrize("path", ALL, ids=_name)
def test_stream_gives_the_record_that_its_phones_confirm(path: Path) -> None:
    truth = Truth.load(path.with_suffix(".truth.json"))
    assert errors(_records(path), truth, _expected(path)) == []


@pytest.mark.parametrize("path", ALL, ids=_name)
def test_record_agrees_with_cdr_cel_and_queue_log(path: Path) -> None:
    expected = _expected(path)
    record = main_record(_records(path), expected)
    attempts = tuple((item.operator, item.result.value) for item in record.attempts)
    books = Books.load(path.with_suffix(".pbx.json"))
    assert book_errors(Told.by_record(record), books, expected, attempts) == []


@pytest.mark.parametrize("path", ALL, ids=_name)
def test_the_phones_and_asterisks_books_tell_the_same(path: Path) -> None:
    """The phones and the books, against which records are held, agree with each other."""
    expected = _expected(path)
    truth = Truth.load(path.with_suffix(".truth.json"))
    books = Books.load(path.with_suffix(".pbx.json"))
    phones = Told.by_phones(truth, expected, {})
    assert book_errors(phones, books, expected, expected.attempts) == []
    assert ring_errors(truth, expected) == []


@pytest.mark.parametrize("path", ALL, ids=_name)
def test_no_record_holds_a_whole_number(path: Path) -> None:
    config = load(CONFIG).model_copy(update={"privacy": Privacy(hmac_key=SecretStr("a key"))})
    assert isinstance(config, Config)
    for record in records_of(lines_of(path), config):
        assert re.search(rb"7900\d{7}", encode(record)) is None


def test_a_channel_id_that_is_used_again_is_a_call_of_its_own() -> None:
    path = next(path for path in FIELD if path.stem == "dialler_id_again")
    truth = Truth.load(path.with_suffix(".truth.json"))
    answers = [act["t"] for act in truth.acts if act["do"] == "answer" and act["who"] == "client"]
    ends = [act["t"] for act in truth.acts if act["do"] == "bye"]
    talks = [end - answered for answered, end in zip(answers, ends, strict=True)]
    assert [record.talk_s for record in _records(path)] == pytest.approx(talks, abs=0.1)


@pytest.mark.parametrize(
    ("name", "changes", "noticed"),
    [
        ("confirm_taken", {"answered_at": None}, ["answered_at", "CEL"]),
        ("confirm_abandoned", {"talk_s": 2.0}, ["talk_s", "CEL talk"]),
        ("member_announced", {"wait_s": 1.0}, ["wait_s"]),
        ("bye_41_local", {"talk_s": 9.9}, ["CEL talk"]),
        (
            "slow_queue_abandoned",
            {"ended_at": "2026-01-01T00:00:00.000Z"},
            ["ended_at", "CDR end", "ABANDON"],
        ),
        ("local_second", {"attempts": ()}, ["attempts"]),
        ("out_prefix_talk", {"client_masked": "+7900***0002"}, ["client_masked"]),
        ("second_queue_vain", {"left_waiting_s": None}, ["left_waiting_s"]),
        ("queue_confirm_abandoned", {"outcome": Outcome.COMPLETED}, ["outcome", "ABANDON"]),
    ],
)
def test_a_wrong_record_is_noticed(name: str, changes: dict[str, object], noticed: list[str]) -> None:
    path = next(path for path in FIELD if path.stem == name)
    expected = FIELD_EXPECTED[name]
    wrong = msgspec.structs.replace(main_record(_records(path), expected), **changes)
    found = errors([wrong], Truth.load(path.with_suffix(".truth.json")), expected)
    found += book_errors(Told.by_record(wrong), Books.load(path.with_suffix(".pbx.json")), expected)
    for word in noticed:
        assert any(word in item for item in found), found


def test_every_scenario_has_a_stream_and_an_expectation() -> None:
    assert {path.stem for path in FIELD} == set(FIELD_EXPECTED) == set(FIELD_SCENARIOS)
