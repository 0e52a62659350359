"""Every scenario on Asterisk 16.28, the oldest that callsteward works with: newer fields are missing there,
the records are the same. Once with the phones on chan_pjsip and SQLite, once with the same phones on chan_sip
and PostgreSQL.

All scenarios can be played there, on either driver. What 16 does not tell, and what follows, stands in
tests/judge/expected16.py.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from callsteward.record.call import CallRecord
from tests.judge import books, verdict
from tests.judge.expected16 import ARMED_16
from tests.lab.asterisk import Asterisk
from tests.lab.broker import Mosquitto
from tests.lab.lanes import Driver
from tests.lab.postgresql import PostgreSql
from tests.live import published
from tests.live.by_chance import as_it_fell
from tests.live.daemon import Daemon, until_all_have_gone
from tests.live.play import Played, longest_first, play
from tests.live.settings import lab_settings
from tests.live.subscriber import Received, Subscriber

pytestmark = [pytest.mark.live, pytest.mark.takes(150)]

LANES = range(9)
NAMES = sorted(ARMED_16["pjsip"])


@dataclass(frozen=True)
class Session:
    """All that came of playing everything on one driver."""

    driver: Driver
    played: dict[str, Played]
    messages: list[Received]
    records: list[CallRecord]
    books: books.Books
    daemon: Daemon

    def of(self, name: str) -> tuple[Played, list[CallRecord]]:
        played = self.played[name]
        assert not played.error, played.error
        return played, played.records(self.records)


@pytest.fixture(scope="module", params=["pjsip", "sip"])
def session(
    request: pytest.FixtureRequest,
    root_16: Path,
    broker: Mosquitto,
    subscriber: Subscriber,
    postgresql: PostgreSql,
    folder: Path,
) -> Iterator[Session]:
    driver: Driver = request.param
    called = f"sixteen-{driver}"
    with Asterisk("16", driver=driver) as pbx, ExitStack() as stack:
        settings = lab_settings(folder, pbx, broker, name=called)
        if driver == "sip":
            settings["store"]["url"] = postgresql.new_database(called)
        daemon = stack.enter_context(Daemon(folder, called, settings, record=True))
        daemon.start()
        subscriber.wait(called, "status", lambda body: body["asterisk"] == "connected")
        played = play(pbx, longest_first(NAMES), LANES)
        until_all_have_gone(pbx)
        before = -1
        while before != subscriber.count():
            before = subscriber.count()
            time.sleep(1.5)
        messages = subscriber.of(called)
        records = [published.record_of(item.body) for item in messages if item.topic.endswith("/ended")]
        found = books.Books(pbx.cdr(), pbx.cel(), pbx.queue_log())
        yield Session(driver, played, messages, records, found, daemon)


@pytest.mark.parametrize("name", NAMES)
def test_record_is_what_the_phones_did(session: Session, name: str) -> None:
    played, records = session.of(name)
    expected = as_it_fell(name, ARMED_16[session.driver][name], records, session.daemon)
    assert verdict.errors(records, played.truth, expected, names=played.names) == []


@pytest.mark.parametrize("name", NAMES)
def test_record_agrees_with_asterisks_cdr_cel_and_queue_log(session: Session, name: str) -> None:
    _, records = session.of(name)
    assert records
    for record in records:
        assert books.errors(record, session.books) == []


def test_every_scenario_was_played(session: Session) -> None:
    assert sorted(session.played) == NAMES


def test_every_message_validates_against_its_schema(session: Session) -> None:
    assert published.schema_errors(session.messages) == []


def test_the_daemon_had_nothing_to_complain_of(session: Session) -> None:
    assert [entry for entry in session.daemon.log if entry["level"] in {"error", "critical"}] == []
    assert len(session.daemon.said("ari_connected")) == 1
