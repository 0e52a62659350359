"""Every scenario of the lab, played by real phones: the published record is what the phones did, and what
Asterisk wrote down itself.

All are played once, `LANES` at a time, then looked at one by one.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import time
from collections import defaultdict
from dataclasses import dataclass

import pytest

from callsteward.record.call import CallRecord, Outcome, encode
from callsteward.store.stored import decode
from tests.judge import books, verdict
from tests.judge.expected import ARMED, EXPECTED
from tests.judge.truth import epoch
from tests.lab.asterisk import Asterisk
from tests.lab.lanes import Lane
from tests.live import published
from tests.live.by_chance import as_it_fell
from tests.live.daemon import Daemon, callsteward, until_all_have_gone
from tests.live.play import Played, longest_first, play
from tests.live.settings import HMAC_KEY
from tests.live.subscriber import Received, Subscriber

pytestmark = [pytest.mark.live, pytest.mark.takes(190)]

LANES = range(6)
STILL_S = 0.15
ANSWERED = {Outcome.COMPLETED, Outcome.EARLY_DROP, Outcome.MID_DIALOGUE_DROP}


@dataclass(frozen=True)
class Session:
    """All that came of playing everything."""

    played: dict[str, Played]
    messages: list[Received]
    records: list[CallRecord]
    books: books.Books

    def events(self, call_id: str) -> list[dict[str, object]]:
        return [
            item.body
            for item in self.messages
            if item.body["schema"] == "callsteward.call-event/1" and item.body["call_id"] == call_id
        ]


@pytest.fixture(scope="module")
def session(daemon: Daemon, pbx: Asterisk, subscriber: Subscriber) -> Session:
    played = play(pbx, longest_first(EXPECTED), LANES)
    # All calls are over for Asterisk; then for the daemon; then the last message is here.
    until_all_have_gone(pbx)
    before = -1
    while before != subscriber.count():
        before = subscriber.count()
        time.sleep(1.5)
    messages = subscriber.of("main")
    records = [published.record_of(item.body) for item in messages if item.topic.endswith("/ended")]
    return Session(played, messages, records, books.Books(pbx.cdr(), pbx.cel(), pbx.queue_log()))


def _played(session: Session, name: str) -> tuple[Played, list[CallRecord]]:
    played = session.played[name]
    assert not played.error, played.error
    return played, played.records(session.records)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_record_is_what_the_phones_did(session: Session, daemon: Daemon, name: str) -> None:
    played, records = _played(session, name)
    expected = as_it_fell(name, ARMED[name], records, daemon)
    assert verdict.errors(records, played.truth, expected, names=played.names) == []


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_record_agrees_with_asterisks_cdr_cel_and_queue_log(session: Session, name: str) -> None:
    _, records = _played(session, name)
    assert records
    for record in records:
        assert books.errors(record, session.books) == []


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_call_events_tell_the_same_story_in_order(session: Session, name: str) -> None:
    _, records = _played(session, name)
    for record in records:
        assert published.story_errors(session.events(record.call_id), record) == []


def test_every_scenario_was_played(session: Session) -> None:
    assert set(session.played) == set(EXPECTED)


def test_every_message_validates_against_its_schema(session: Session) -> None:
    seen = {item.body["schema"] for item in session.messages}
    assert seen >= {
        "callsteward.status/1",
        "callsteward.line-now/1",
        "callsteward.operator-now/1",
        "callsteward.call/1",
        "callsteward.call-event/1",
        "callsteward.alert/1",
    }
    assert published.schema_errors(session.messages) == []


def test_no_numbered_message_is_missing_or_comes_twice(session: Session) -> None:
    numbered = [
        item
        for item in session.messages
        if item.topic.split("/")[3] in {"calls", "alerts"} or "/intervals/" in item.topic
    ]
    assert published.sequence_errors(numbered) == []
    assert len({item.body["message_id"] for item in numbered}) == len(numbered)


def test_nothing_about_a_call_comes_after_its_record(session: Session) -> None:
    over: set[str] = set()
    for item in session.messages:
        if item.topic.split("/")[3] not in {"calls", "alerts"}:
            continue
        assert item.body["call_id"] not in over, item
        if item.topic.endswith("/ended"):
            over.add(item.body["call_id"])


def test_lines_and_operators_were_busy_and_are_at_rest(session: Session) -> None:
    newest: dict[str, dict[str, object]] = {}
    most: dict[str, int] = {}
    states = set()
    for item in session.messages:
        if item.topic.endswith("/now"):
            newest[item.topic] = item.body
        if item.body["schema"] == "callsteward.line-now/1":
            for gauge in ("waiting", "ringing", "talking", "on_hold"):
                most[gauge] = max(most.get(gauge, 0), item.body[gauge])
        if item.body["schema"] == "callsteward.operator-now/1":
            states.add(item.body["state"])
    assert all(most[gauge] >= 1 for gauge in ("waiting", "ringing", "talking", "on_hold")), most
    assert states == {"idle", "ringing", "talking", "on_hold"}
    for topic, body in newest.items():
        if "/lines/" in topic:
            assert [body[gauge] for gauge in ("waiting", "ringing", "talking", "on_hold")] == [0] * 4, topic
        else:
            assert body["state"] == "idle", topic


@pytest.mark.parametrize("line", ["support", "direct"])
def test_the_lines_counters_are_the_sums_of_its_records(session: Session, line: str) -> None:
    newest = [item.body for item in session.messages if item.topic.endswith(f"/lines/{line}/now")][-1]
    inbound = [item for item in session.records if item.line == line and item.direction.value == "inbound"]
    answered = [item for item in inbound if item.outcome in ANSWERED]
    assert (newest["offered_today"], newest["answered_today"]) == (len(inbound), len(answered))


def test_gauges_come_at_most_once_a_second(session: Session) -> None:
    sent: defaultdict[str, list[float]] = defaultdict(list)
    for item in session.messages:
        if item.topic.endswith("/now") and not item.retained:
            sent[item.topic].append(epoch(item.body["ts"]))
    assert max(map(len, sent.values())) > 20
    for topic, moments in sent.items():
        for (first, began), (last, ended) in itertools.combinations(enumerate(moments), 2):
            # A machine that stands still between a gauge's turn and its stamp brings that one and the next
            # closer together, and no others.
            assert last - first <= ended - began + STILL_S, topic


def test_a_number_leaves_the_daemon_masked_or_as_hmac(session: Session, daemon: Daemon) -> None:
    text = json.dumps([item.body for item in session.messages])
    log = daemon.log_file.read_text()
    for lane in LANES:
        number = Lane(lane).outside(1).number
        assert number not in text
        assert number not in log
    _, records = _played(session, "dial_client_bye")
    number = session.played["dial_client_bye"].lane.outside_lines[0].number
    digest = hmac.new(HMAC_KEY.encode(), f"+{number}".encode(), hashlib.sha256).hexdigest()
    assert records[0].client_ref is not None
    assert digest.startswith(records[0].client_ref)


def test_calls_gives_the_published_records_back(session: Session, daemon: Daemon) -> None:
    listed = callsteward("calls", "-c", daemon.config, "--output", "jsonl")
    assert listed.returncode == 0, listed.stderr
    stored = [decode(line) for line in listed.stdout.splitlines()]
    assert [item.started_at for item in stored] == sorted(item.started_at or "" for item in stored)
    key = {record.call_id: encode(record) for record in session.records}
    assert {record.call_id: encode(record) for record in stored} == key
    drops = callsteward("calls", "-c", daemon.config, "--outcome", "mid_dialogue_drop", "--output", "jsonl")
    assert {decode(line).call_id for line in drops.stdout.splitlines()} == {
        record.call_id for record in session.records if record.outcome is Outcome.MID_DIALOGUE_DROP
    }


def test_replay_of_what_the_daemon_saw_gives_the_same_records_byte_for_byte(
    session: Session, daemon: Daemon
) -> None:
    assert daemon.recording is not None
    replayed = callsteward("replay", daemon.recording, "-c", daemon.config, "--output", "jsonl", "--strict")
    assert replayed.returncode == 0, replayed.stderr
    assert replayed.stdout.splitlines() == [encode(record) for record in session.records]
    stored = callsteward("calls", "-c", daemon.config, "--output", "jsonl")
    assert sorted(replayed.stdout.splitlines()) == sorted(stored.stdout.splitlines())


def test_the_daemon_had_nothing_to_complain_of(session: Session, daemon: Daemon) -> None:
    assert [entry for entry in daemon.log if entry["level"] in {"error", "critical"}] == []
    assert len(daemon.said("ari_connected")) == 1
