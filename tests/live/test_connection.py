"""Links that break and daemons that die, while real calls go on.

One Asterisk and one course of calls for all of it, with four daemons on it:

- `still` is left alone: its records are what the others are held against;
- `wire` is a client whose websocket is cut in mid-call;
- `killed` is a client that is killed with SIGKILL in mid-call and started again;
- `away` is dialled by Asterisk (`connect = "outbound"`), stopped before the calls, started 30 s later in the
  middle of one, and stopped and started once more in mid-call.

Afterwards Asterisk itself is restarted under a call.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from callsteward.record.call import CallRecord, Outcome, Party, encode
from callsteward.store.stored import decode
from tests.judge import books
from tests.judge.truth import SPEECH_S, TIMES_S, Truth, answer_errors, epoch, hold_errors
from tests.lab.asterisk import Asterisk
from tests.lab.broker import Mosquitto
from tests.lab.pbx_config import Outbound
from tests.lab.phone_process import Phones
from tests.lab.ports import free_port
from tests.lab.wire import Wire
from tests.live import published
from tests.live.daemon import Daemon, callsteward, wait_for
from tests.live.play import masked
from tests.live.settings import Settings, lab_settings, merged
from tests.live.subscriber import Subscriber

pytestmark = [pytest.mark.live, pytest.mark.takes(85)]

AWAY_S = 30.0
BLIND_S = 4.0
NAMES = ("still", "wire", "killed", "away")


@dataclass
class Course:
    """The course of the test, with moments in Unix seconds. Calls are named by what happens to them."""

    cut_at: float = 0.0
    mended_at: float = 0.0
    gone_at: float = 0.0
    back_at: float = 0.0
    calls: dict[str, tuple[str, str, Truth]] = field(default_factory=dict)
    """Client as callsteward shows it, operator, what the phones did."""
    records: dict[str, list[CallRecord]] = field(default_factory=dict)
    """Each daemon's, in the order published."""
    books: books.Books | None = None

    def record(self, daemon: str, call: str) -> CallRecord:
        """A daemon's one record of a call."""
        client, _, _ = self.calls[call]
        (found,) = (item for item in self.records[daemon] if item.client_masked == client)
        return found


@dataclass(frozen=True)
class Field:
    """Where it all happens."""

    pbx: Asterisk
    wire: Wire
    daemons: Mapping[str, Daemon]
    subscriber: Subscriber


@pytest.fixture(scope="module")
def scene(root_22: Path, broker: Mosquitto, subscriber: Subscriber, folder: Path) -> Iterator[Field]:
    listen_port = free_port()
    outbound = Outbound(
        uri=f"ws://127.0.0.1:{listen_port}/ari",
        user="callsteward",
        password="for the way back",
        application="callsteward-away",
    )
    with ExitStack() as stack:
        pbx = stack.enter_context(Asterisk(outbound=outbound))
        wire = stack.enter_context(Wire(pbx.http_port))
        changes: dict[str, Settings] = {
            "wire": {"asterisk": {"url": f"http://127.0.0.1:{wire.port}"}},
            "away": {
                "asterisk": {
                    "connect": "outbound",
                    "listen_port": listen_port,
                    "username": outbound.user,
                    "password": outbound.password,
                }
            },
        }
        daemons = {}
        for name in NAMES:
            settings = merged(lab_settings(folder, pbx, broker, name=name), changes.get(name, {}))
            daemons[name] = stack.enter_context(Daemon(folder, name, settings, record=True))
            daemons[name].start()
        yield Field(pbx, wire, daemons, subscriber)


@pytest.fixture(scope="module")
def course(scene: Field) -> Course:
    """Play it all, once."""
    done = Course()
    daemons = scene.daemons
    with ExitStack() as stack:
        phones = {
            name: stack.enter_context(Phones(scene.pbx.sip_port, lane)).two()
            for lane, name in enumerate(("goes_on", "ends_unseen", "begins_unseen", "after", "return"))
        }
        assert daemons["away"].terminate() == 0
        done.gone_at = time.time()
        for name in ("goes_on", "ends_unseen"):
            phones[name].call()
            phones[name].say("op1", 3.2)
        phones["goes_on"].say("client", 1.0)  # the detector tells its end 0.5 s later: to nobody

        done.cut_at = time.time()
        scene.wire.cut()
        daemons["killed"].kill()
        phones["ends_unseen"].bye()
        phones["begins_unseen"].call()
        time.sleep(max(0.0, done.cut_at + BLIND_S - time.time()))
        scene.wire.mend()
        daemons["killed"].start()
        daemons["wire"].wait_for_log("ari_connected", times=2)
        done.mended_at = time.time()

        phones["goes_on"].do("hold", "op1")
        time.sleep(2.0)
        phones["goes_on"].do("unhold", "op1")
        time.sleep(0.3)
        phones["goes_on"].bye()
        phones["begins_unseen"].say("op1", 3.2)
        phones["begins_unseen"].bye("op1")
        phones["after"].call()
        phones["after"].say("op1", 3.2)
        phones["after"].bye()

        phones["return"].call()
        phones["return"].say("op1", 3.2)
        time.sleep(max(0.0, done.gone_at + AWAY_S - time.time()))
        daemons["away"].start()
        done.back_at = time.time()
        phones["return"].do("hold", "op1")
        time.sleep(0.5)
        assert daemons["away"].terminate() == 0
        time.sleep(1.5)
        phones["return"].do("unhold", "op1")
        phones["return"].say("client", 1.0)
        daemons["away"].start()
        phones["return"].say("op1", 1.0)
        phones["return"].bye()
        for name, of_call in phones.items():
            done.calls[name] = (masked(of_call.lane, 1), of_call.lane.operator(1), of_call.truth)
    _settle(scene, len(done.calls))
    done.records = _records(scene)
    done.books = books.Books(scene.pbx.cdr(), scene.pbx.cel(), scene.pbx.queue_log())
    return done


def _settle(scene: Field, wanted: int) -> None:
    """Wait until every daemon has published this many records, and no more come."""

    def published_all() -> bool:
        return all(len(scene.subscriber.of(name, "calls/+/ended")) >= wanted for name in NAMES)

    wait_for(published_all, 15, f"{wanted} records of each daemon")
    time.sleep(0.5)


def _records(scene: Field) -> dict[str, list[CallRecord]]:
    return {
        name: [published.record_of(item.body) for item in scene.subscriber.of(name, "calls/+/ended")]
        for name in NAMES
    }


CALLS = ("goes_on", "ends_unseen", "begins_unseen", "after", "return")


@pytest.mark.parametrize("call", CALLS)
def test_the_daemon_left_alone_is_right(course: Course, call: str) -> None:
    record = course.record("still", call)
    _, operator, truth = course.calls[call]
    assert record.complete
    assert record.operator == operator
    assert record.outcome is Outcome.COMPLETED
    assert record.hangup.first is (Party.OPERATOR if call == "begins_unseen" else Party.CLIENT)
    assert hold_errors(record, truth) + answer_errors(record, truth, operator) == []
    assert course.books is not None
    assert books.errors(record, course.books) == []


def test_a_daemon_that_was_away_writes_the_same_records(course: Course) -> None:
    """connect = "outbound": 30 s without the daemon, then a stop in mid-call, and not a byte differs."""
    assert course.back_at - course.gone_at >= AWAY_S
    assert [encode(item) for item in course.records["away"]] == [
        encode(item) for item in course.records["still"]
    ]


@pytest.mark.parametrize("daemon", ["wire", "killed"])
def test_a_call_in_progress_goes_on(course: Course, daemon: str) -> None:
    record = course.record(daemon, "goes_on")
    _, operator, truth = course.calls["goes_on"]
    assert record.operator == operator
    assert record.outcome is Outcome.COMPLETED
    assert record.hangup.first is Party.CLIENT
    assert hold_errors(record, truth) + answer_errors(record, truth, operator) == []
    undisturbed = course.record("still", "goes_on")
    for name in ("call_id", "started_at", "answered_at", "ended_at", "wait_s", "attempts", "holds"):
        assert getattr(record, name) == getattr(undisturbed, name), name
    assert record.speech is not None
    assert record.speech.operator_s is not None
    assert record.speech.client_s is not None
    assert abs(record.speech.operator_s - 3.2) <= SPEECH_S
    # The client's second of speech ended in the gap: what was heard of it counts, and no more.
    assert 0 < record.speech.client_s <= 1.0 + SPEECH_S
    assert record.silences == ()
    _has_the_gap(course, record)


@pytest.mark.parametrize("daemon", ["wire", "killed"])
def test_a_call_that_ended_meanwhile_gets_a_record_with_the_gap(course: Course, daemon: str) -> None:
    record = course.record(daemon, "ends_unseen")
    undisturbed = course.record("still", "ends_unseen")
    assert record.call_id == undisturbed.call_id
    assert record.answered_at == undisturbed.answered_at
    assert record.hangup.first is Party.UNKNOWN
    assert record.ended_at is None
    assert record.duration_s is None
    _has_the_gap(course, record)


@pytest.mark.parametrize("daemon", ["wire", "killed"])
def test_a_call_that_began_meanwhile_is_taken_up(course: Course, daemon: str) -> None:
    record = course.record(daemon, "begins_unseen")
    undisturbed = course.record("still", "begins_unseen")
    for name in ("call_id", "started_at", "ended_at", "operator", "line", "client_masked", "direction"):
        assert getattr(record, name) == getattr(undisturbed, name), name
    assert record.hangup.first is Party.OPERATOR
    assert not record.complete


@pytest.mark.parametrize("daemon", ["wire", "killed"])
@pytest.mark.parametrize("call", ["after", "return"])
def test_later_calls_are_whole_again(course: Course, daemon: str, call: str) -> None:
    assert encode(course.record(daemon, call)) == encode(course.record("still", call))


@pytest.mark.parametrize("daemon", NAMES)
def test_each_call_has_one_record(course: Course, scene: Field, daemon: str) -> None:
    ids = [item.call_id for item in course.records[daemon]]
    assert len(ids) == len(set(ids)) == len(CALLS)
    stored = callsteward("calls", "-c", scene.daemons[daemon].config, "--output", "jsonl")
    assert sorted(encode(decode(line)) for line in stored.stdout.splitlines()) == sorted(
        encode(item) for item in course.records[daemon]
    )


@pytest.mark.parametrize("daemon", NAMES)
def test_its_recording_replays_to_the_same_records(course: Course, scene: Field, daemon: str) -> None:
    recording = scene.daemons[daemon].recording
    assert recording is not None
    replayed = callsteward(
        "replay", recording, "-c", scene.daemons[daemon].config, "--output", "jsonl", "--strict"
    )
    assert replayed.stdout.splitlines() == [encode(item) for item in course.records[daemon]]


def _has_the_gap(course: Course, record: CallRecord) -> None:
    """One unobserved span: from the last event before the cut to the reconnect."""
    assert not record.complete
    (gap,) = record.unobserved
    assert epoch(gap.from_) <= course.cut_at + TIMES_S
    assert course.cut_at + BLIND_S <= epoch(gap.to) <= course.mended_at + TIMES_S


def _status(subscriber: Subscriber, name: str) -> list[tuple[str, str]]:
    return [(item.body["state"], item.body["reason"]) for item in subscriber.of(name, "status")]


def test_the_will_says_that_a_killed_daemon_is_offline(course: Course, scene: Field) -> None:
    states = _status(scene.subscriber, "killed")
    lost = states.index(("offline", "connection_lost"))
    assert ("online", "running") in states[:lost]
    assert states[-1] == ("online", "running")
    will = scene.subscriber.of("killed", "status")[lost]
    assert will.body["last_seq"] is None
    boots = {item.body["boot_id"] for item in scene.subscriber.of("killed", "status")}
    assert len(boots) == 2


def test_a_stopped_daemon_says_so_itself(course: Course, scene: Field) -> None:
    states = _status(scene.subscriber, "away")
    assert states.count(("offline", "stopped")) == 2
    assert ("offline", "connection_lost") not in states
    assert states[-1] == ("online", "running")


def test_status_shows_the_link_to_asterisk(course: Course, scene: Field) -> None:
    links = [item.body["asterisk"] for item in scene.subscriber.of("wire", "status")]
    changes = [link for index, link in enumerate(links) if index == 0 or links[index - 1] != link]
    assert changes[-3:] == ["connected", "disconnected", "connected"]


def test_asterisk_restarted_under_a_call(course: Course, scene: Field) -> None:
    """Every daemon comes back by itself, gives the lost call one record, and follows the next one."""
    before = {name: len(scene.daemons[name].said("ari_connected")) for name in NAMES}
    with Phones(scene.pbx.sip_port, 5) as phones:
        phones.call()
        phones.say("op1", 3.2)
        phones.say("client", 1.0)
        client, operator = masked(phones.lane, 1), phones.lane.operator(1)
        cut_at = time.time()
        scene.pbx.cli("core restart now")
        for name in NAMES:
            scene.daemons[name].wait_for_log("ari_connected", times=before[name] + 1, limit_s=30)
    with Phones(scene.pbx.sip_port, 6) as phones:
        phones.call()
        phones.say("op1", 3.2)
        phones.bye()
        next_client = masked(phones.lane, 1)
    _settle(scene, len(CALLS) + 2)
    records = _records(scene)
    for name in NAMES:
        lost, following = records[name][len(CALLS) :]
        assert (lost.client_masked, lost.operator) == (client, operator), name
        if lost.complete:
            # Asterisk still told why before it went.
            assert (lost.outcome, lost.hangup.first) == (Outcome.MID_DIALOGUE_DROP, Party.PBX), name
        else:
            assert epoch(lost.unobserved[0].from_) <= cut_at + 1, name
        assert following.client_masked == next_client, name
        assert following.complete, name
        assert following.outcome is Outcome.COMPLETED, name


def test_a_wrong_password_is_said_and_tried_again(
    pbx: Asterisk, broker: Mosquitto, subscriber: Subscriber, folder: Path
) -> None:
    wrong = "not-the-password"
    settings: dict[str, Any] = merged(
        lab_settings(folder, pbx, broker, name="refused"), {"asterisk": {"password": wrong}}
    )
    with Daemon(folder, "refused", settings) as daemon:
        daemon.launch()
        daemon.wait_for_log("ari_disconnected", times=2)
        said = daemon.said("ari_disconnected")
        assert "asterisk.password" in said[0]["why"]
        status = subscriber.wait("refused", "status", lambda body: bool(body["asterisk_detail"]))
        assert status.body["state"] == "online"
        wait_for(
            lambda: "password" in subscriber.of("refused", "status")[-1].body["asterisk_detail"],
            5,
            "status to tell what is wrong",
        )
        assert daemon.terminate() == 0
        log = daemon.log_file.read_text()
        assert wrong not in log
        assert broker.password not in log
    assert wrong not in str([item.body for item in subscriber.of("refused")])
