"""Every call of the field site (field_site.py), played by real phones beside the real daemon: the published
record is what the phones did, and what Asterisk wrote down itself.

All are played once, `LANES` at a time, then looked at one by one.
"""

from __future__ import annotations

import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from callsteward.record.call import CallRecord
from tests.judge import field_verdict
from tests.judge.books import Books
from tests.judge.expected import ANY
from tests.judge.field_expected import FIELD_EXPECTED
from tests.judge.field_verdict import Told
from tests.judge.verdict import main_record
from tests.lab.asterisk import Asterisk
from tests.lab.broker import Mosquitto
from tests.lab.field_lanes import FIELD_LANES, FieldLane
from tests.lab.field_site import field_files
from tests.lab.pbx_config import REPOSITORY
from tests.lab.postgresql import PostgreSql
from tests.live import published
from tests.live.daemon import Daemon, until_all_have_gone
from tests.live.play import Played, longest_first, play
from tests.live.settings import Settings, lab_settings, merged
from tests.live.subscriber import Subscriber

pytestmark = [pytest.mark.live, pytest.mark.takes(200)]

LANES = range(FIELD_LANES)
SITE = REPOSITORY / "tests" / "lab" / "field.toml"
NAME = "field"


@dataclass(frozen=True)
class Session:
    """All that came of playing everything."""

    played: dict[str, Played]
    records: list[CallRecord]
    books: Books
    log: list[dict[str, object]]

    def of(self, name: str) -> tuple[Played, list[CallRecord]]:
        played = self.played[name]
        assert not played.error, played.error
        return played, played.records(self.records)

    def books_of(self, played: Played) -> Books:
        """The rows of one scenario: those of the channels that came to be in its lane while it was played."""
        ids = {
            row.unique_id
            for row in self.books.cel
            if row.event == "CHAN_START"
            and played.began <= row.time <= played.ended
            and _is_of(row.channel, played)
        }
        return Books(
            [row for row in self.books.cdr if row.unique_id in ids],
            # A program may give its channels the same ids each time.
            [row for row in self.books.cel if row.unique_id in ids and row.time >= played.began],
            [row for row in self.books.queue_log if row.call_id in ids],
        )


def _is_of(channel: str, played: Played) -> bool:
    name = channel.split("/")[1]
    return name.startswith(f"2{played.lane.index}") or any(
        name.startswith(f"{line.endpoint}-") for line in played.lane.outside_lines
    )


def _settings(folder: Path, pbx: Asterisk, broker: Mosquitto) -> Settings:
    """The site's own file on the lab's connections."""
    site = tomllib.loads(SITE.read_text())
    settings = merged(
        lab_settings(folder, pbx, broker, name=NAME),
        {key: site[key] for key in ("endpoints", "lines")},
    )
    # The lab's lines have profiles of their own.
    return merged(settings, {"profiles": None, "default_line": None})


@pytest.fixture(scope="module")
def field_pbx(root_22: Path) -> Iterator[Asterisk]:
    with Asterisk(site=field_files) as started:
        yield started


@pytest.fixture(scope="module")
def session(
    field_pbx: Asterisk, broker: Mosquitto, subscriber: Subscriber, postgresql: PostgreSql, folder: Path
) -> Session:
    """The site's daemon has PostgreSQL."""
    store = {"store": {"url": postgresql.new_database(NAME)}}
    settings = merged(_settings(folder, field_pbx, broker), store)
    with Daemon(folder, NAME, settings, record=True) as daemon:
        daemon.start()
        played = play(field_pbx, longest_first(FIELD_EXPECTED), LANES, FieldLane)
        until_all_have_gone(field_pbx)
        before = -1
        while before != subscriber.count():
            before = subscriber.count()
            time.sleep(1.5)
        assert daemon.terminate() == 0
        log = daemon.log
    records = [published.record_of(item.body) for item in subscriber.of(NAME, "calls/+/ended")]
    books = Books(field_pbx.cdr(), field_pbx.cel(), field_pbx.queue_log())
    return Session(played, records, books, log)


@pytest.mark.parametrize("name", sorted(FIELD_EXPECTED))
def test_record_is_what_the_phones_did(session: Session, name: str) -> None:
    played, records = session.of(name)
    assert field_verdict.errors(records, played.truth, FIELD_EXPECTED[name], names=played.names) == []


@pytest.mark.parametrize("name", sorted(FIELD_EXPECTED))
def test_record_agrees_with_asterisks_cdr_cel_and_queue_log(session: Session, name: str) -> None:
    played, records = session.of(name)
    expected = FIELD_EXPECTED[name]
    record = main_record(records, expected)
    attempts = tuple((item.operator, item.result.value) for item in record.attempts)
    told = Told.by_record(record)
    assert field_verdict.book_errors(told, session.books_of(played), expected, attempts) == []


@pytest.mark.parametrize("name", sorted(FIELD_EXPECTED))
def test_phones_and_asterisks_books_tell_the_same(session: Session, name: str) -> None:
    played, _ = session.of(name)
    expected = FIELD_EXPECTED[name]
    told = Told.by_phones(played.truth, expected, played.names)
    assert field_verdict.book_errors(told, session.books_of(played), expected, ANY) == []


def test_the_daemon_had_nothing_to_complain_of(session: Session) -> None:
    assert [entry for entry in session.log if entry["level"] in {"error", "critical"}] == []
