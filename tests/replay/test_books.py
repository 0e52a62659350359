"""Every recorded stream's records agree with what Asterisk itself wrote down about the same calls."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from callsteward.record.call import Outcome, Party
from tests.judge.books import Books, errors
from tests.replay.streams import STREAMS, STREAMS_16, STREAMS_IAX, lines_of, records_of


@pytest.mark.parametrize(
    "path",
    [*STREAMS, *STREAMS_16["pjsip"], *STREAMS_16["sip"], *STREAMS_IAX],
    ids=lambda path: f"{path.parent.name}/{path.stem}",
)
def test_records_agree_with_cdr_cel_and_queue_log(path: Path) -> None:
    books = Books.load(path.with_suffix(".pbx.json"))
    for record in records_of(lines_of(path)):
        assert errors(record, books) == []


def _errors(name: str, **changes: object) -> list[str]:
    """The mistakes that the books find in a stream's record after it was falsified."""
    path = next(path for path in STREAMS if path.stem == name)
    (record,) = records_of(lines_of(path))
    return errors(msgspec.structs.replace(record, **changes), Books.load(path.with_suffix(".pbx.json")))


@pytest.mark.parametrize(
    ("name", "changes", "noticed"),
    [
        ("dial_client_bye", {"talk_s": 11.6}, ["CDR billsec", "CEL bridged"]),
        ("dial_client_bye", {"duration_s": 13.6}, ["CDR duration"]),
        ("dial_client_bye", {"outcome": Outcome.ABANDONED}, ["outcome abandoned"]),
        ("dial_abandon", {"outcome": Outcome.COMPLETED}, ["outcome completed"]),
        ("queue_second", {"wait_s": 11.0}, ["CONNECT"]),
        ("queue_second", {"attempts": ()}, ["not taken by", "CONNECT"]),
        ("queue_abandon", {"wait_s": 11.0}, ["ABANDON"]),
        ("blind", {"transfers": ()}, ["transfers"]),
    ],
)
def test_books_notice_a_wrong_record(name: str, changes: dict[str, object], noticed: list[str]) -> None:
    found = _errors(name, **changes)
    for word in noticed:
        assert any(word in item for item in found), found


def test_books_notice_the_wrong_party_hanging_up() -> None:
    path = next(path for path in STREAMS if path.stem == "queue_second")
    (record,) = records_of(lines_of(path))
    found = _errors("queue_second", hangup=msgspec.structs.replace(record.hangup, first=Party.OPERATOR))
    assert any("hangupsource" in item for item in found), found
    assert any("COMPLETECALLER" in item for item in found), found
