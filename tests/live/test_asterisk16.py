"""The smoke test on Asterisk 16.28, the oldest that callsteward works with: newer fields are missing there,
the records are the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from callsteward.calls.record import CallRecord
from tests.judge import books, verdict
from tests.judge.expected import ARMED
from tests.lab.asterisk import Asterisk
from tests.lab.broker import Mosquitto
from tests.live import published
from tests.live.daemon import Daemon, wait_for
from tests.live.settings import lab_settings
from tests.live.stage import Played, play
from tests.live.subscriber import Subscriber

pytestmark = pytest.mark.live

SCENARIOS = ("dial_hold_twice", "queue_second", "blind", "netdrop_client")


@pytest.fixture(scope="module")
def pbx_16(root_16: Path) -> Iterator[Asterisk]:
    with Asterisk("16") as started:
        yield started


@pytest.fixture(scope="module")
def played(
    pbx_16: Asterisk, broker: Mosquitto, subscriber: Subscriber, folder: Path
) -> Mapping[str, tuple[Played, list[CallRecord], books.Books]]:
    """The scenarios, all at once: what the phones did, the records published, and Asterisk's books."""
    with Daemon(folder, "sixteen", lab_settings(folder, pbx_16, broker, name="sixteen")) as daemon:
        daemon.start()
        done = play(pbx_16, SCENARIOS, range(len(SCENARIOS)))
        wait_for(
            lambda: len(subscriber.of("sixteen", "calls/+/ended")) >= len(SCENARIOS), 15, "all the records"
        )
        assert daemon.terminate() == 0
        assert [entry for entry in daemon.log if entry["level"] in {"error", "critical"}] == []
    records = [published.record_of(item.body) for item in subscriber.of("sixteen", "calls/+/ended")]
    found = books.Books(pbx_16.cdr(), pbx_16.cel(), pbx_16.queue_log())
    return {name: (item, item.records(records), found) for name, item in done.items()}


@pytest.mark.parametrize("name", SCENARIOS)
def test_record_is_what_the_phones_did(
    played: Mapping[str, tuple[Played, list[CallRecord], books.Books]], name: str
) -> None:
    item, records, _ = played[name]
    assert not item.error, item.error
    assert verdict.errors(records, item.truth, ARMED[name], names=item.names) == []


@pytest.mark.parametrize("name", SCENARIOS)
def test_record_agrees_with_asterisks_cdr_cel_and_queue_log(
    played: Mapping[str, tuple[Played, list[CallRecord], books.Books]], name: str
) -> None:
    _, records, found = played[name]
    assert [books.errors(record, found) for record in records] == [[]]
