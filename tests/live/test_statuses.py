"""Operators' statuses on real Asterisks 22 and 16, with real phones and queues; `queue show` is the judge."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from callsteward.record.facts import OperatorStatus
from tests.lab.asterisk import Asterisk
from tests.lab.broker import Mosquitto
from tests.lab.pbx_config import PbxSettings, config_files
from tests.lab.phone_process import Phones
from tests.live.availability import lab_or_skip
from tests.live.daemon import Daemon, wait_for
from tests.live.settings import Settings, callback_settings, mqtt
from tests.live.subscriber import Subscriber

pytestmark = [pytest.mark.live, pytest.mark.takes(90)]

OPERATOR = "101"
QUEUES = ("support0", "ringall0", "solo0", "local0", "empty0")
LOCAL = f"Local/{OPERATOR}@from-queue/n"
LOST_S = 10.0


def qualifying(settings: PbxSettings) -> dict[str, str]:
    """Phones are asked every 3 s whether they are there, and have 2 s to answer."""
    text = config_files(settings)["pjsip.conf"]
    asked = "type = aor\nqualify_frequency = 3\nqualify_timeout = 2\n"
    return {"pjsip.conf": text.replace("type = aor\n", asked)}


@pytest.fixture(scope="module", params=["22", "16"])
def pbx(request: pytest.FixtureRequest) -> Iterator[Asterisk]:
    with lab_or_skip(), Asterisk(request.param, rtp_timeout_s=3, site=qualifying) as started:
        yield started


def settings_of(pbx: Asterisk, broker: Mosquitto, folder: Path, name: str) -> Settings:
    values = callback_settings(pbx, folder / f"{name}.db", enabled=False)
    values["lines"] = [{"name": "hotline", "queues": list(QUEUES)}]
    values["operators"] = {OPERATOR: {}, "102": {}}
    values["mqtt"] = mqtt(broker, name)
    return values


class Watching:
    """The gauge of operator 101, and Asterisk's console about the same."""

    def __init__(self, pbx: Asterisk, subscriber: Subscriber, name: str, daemon: Daemon) -> None:
        self.pbx = pbx
        self.name = name
        self.daemon = daemon
        self._subscriber = subscriber

    def now(self, operator: str = OPERATOR) -> tuple[str, int | None]:
        """The status published last, and in how many queues the operator is paused."""
        found = self._subscriber.of(self.name, f"operators/{operator}/now")
        return (found[-1].body["status"], found[-1].body["paused_queues"]) if found else ("", None)

    def until(self, status: OperatorStatus, queues: int | None, limit_s: float = 12.0) -> float:
        """Wait for a status; returns the seconds until it was published."""
        began = time.monotonic()
        wait_for(lambda: self.now() == (status, queues), limit_s, f"{status} {queues}")
        return time.monotonic() - began

    def paused_in(self) -> int:
        """In how many of the line's queues Asterisk has the operator paused, under whichever name."""
        name = re.compile(rf"(PJSIP/{OPERATOR}\b|{re.escape(LOCAL)}).*\(paused")
        return sum(
            name.search(row) is not None
            for queue in QUEUES
            for row in self.pbx.cli(f"queue show {queue}").splitlines()
        )

    def agrees(self, status: OperatorStatus, queues: int) -> None:
        self.until(status, queues)
        assert self.paused_in() == queues


@pytest.fixture
def watching(
    pbx: Asterisk, broker: Mosquitto, subscriber: Subscriber, folder: Path, request: pytest.FixtureRequest
) -> Iterator[Watching]:
    name = f"seen-{pbx.version}-{request.function.__name__[5:20]}"
    with Daemon(folder, name, settings_of(pbx, broker, folder, name)) as daemon:
        daemon.start()
        yield Watching(pbx, subscriber, name, daemon)


def everywhere(pbx: Asterisk, verb: str) -> None:
    for interface in (f"PJSIP/{OPERATOR}", LOCAL):
        pbx.cli(f"queue {verb} member {interface}")


def test_pauses_by_anybody_are_what_queue_show_says(pbx: Asterisk, watching: Watching) -> None:
    watching.until(OperatorStatus.UNREACHABLE, 0)
    with Phones(pbx.sip_port, 0) as phones:
        phones.do("operator", "op1")
        watching.agrees(OperatorStatus.FREE, 0)
        pbx.cli(f"queue pause member PJSIP/{OPERATOR} queue support0 reason lunch")
        watching.agrees(OperatorStatus.PAUSED, 1)
        everywhere(pbx, "pause")
        watching.agrees(OperatorStatus.PAUSED, 4)
        pbx.cli(f"queue unpause member {LOCAL}")
        watching.agrees(OperatorStatus.PAUSED, 3)
        everywhere(pbx, "unpause")
        watching.agrees(OperatorStatus.FREE, 0)
        # A member added by hand, under another name.
        pbx.cli(f"queue add member {LOCAL} to empty0")
        pbx.cli(f"queue pause member {LOCAL} queue empty0")
        watching.agrees(OperatorStatus.PAUSED, 1)
        pbx.cli(f"queue remove member {LOCAL} from empty0")
        watching.agrees(OperatorStatus.FREE, 0)


def test_a_reload_and_a_restart_that_forget_pauses_are_seen(pbx: Asterisk, watching: Watching) -> None:
    configured = (pbx.etc / "queues.conf").read_text()
    with Phones(pbx.sip_port, 0) as phones:
        phones.do("operator", "op1")
        everywhere(pbx, "pause")
        watching.agrees(OperatorStatus.PAUSED, 4)
        # A reload alone keeps pauses; a queue that is not there any more does not.
        pbx.cli("queue reload all")
        watching.agrees(OperatorStatus.PAUSED, 4)
        (pbx.etc / "queues.conf").write_text(configured.replace("[support0](common)", "[elsewhere](common)"))
        pbx.cli("queue reload all")
        watching.agrees(OperatorStatus.PAUSED, 3)
        (pbx.etc / "queues.conf").write_text(configured)
        pbx.cli("queue reload all")
        watching.agrees(OperatorStatus.PAUSED, 3)
        everywhere(pbx, "pause")
        watching.agrees(OperatorStatus.PAUSED, 4)
        pbx.restart_in_place()
        watching.until(OperatorStatus.FREE, 0, 60)
        assert watching.paused_in() == 0


def test_a_phone_that_vanishes_is_unreachable_within_ten_seconds(pbx: Asterisk, watching: Watching) -> None:
    with Phones(pbx.sip_port, 0) as phones:
        phones.do("operator", "op1")
        watching.until(OperatorStatus.FREE, 0)
        phones.vanish()
        assert watching.until(OperatorStatus.UNREACHABLE, 0, LOST_S) < LOST_S
    with Phones(pbx.sip_port, 0) as phones:
        phones.do("operator", "op1")
        watching.until(OperatorStatus.FREE, 0)
    # It says goodbye.
    watching.until(OperatorStatus.UNREACHABLE, 0)


def test_without_a_connection_nothing_is_known(pbx: Asterisk, watching: Watching) -> None:
    watching.until(OperatorStatus.UNREACHABLE, 0)
    pbx.freeze()
    try:
        watching.until(OperatorStatus.UNKNOWN, None, 15)
    finally:
        pbx.thaw()
    watching.until(OperatorStatus.UNREACHABLE, 0, 30)


def test_a_callback_that_is_due_while_all_are_paused_rings_nobody_until_one_is_back(
    pbx: Asterisk, folder: Path
) -> None:
    name = f"paused-{pbx.version}"
    values = callback_settings(pbx, folder / f"{name}.db", same_operator_s=1)
    values["lines"][0]["queues"] = list(QUEUES)
    values["operators"] = {OPERATOR: {}, "102": {}}
    with Phones(pbx.sip_port, 0) as phones, Daemon(folder, name, values) as daemon:
        daemon.start()
        phones.do("operator", "op1", {"answer_after_s": 0.3})
        phones.do("operator", "op2", {"answer_after_s": 0.3})
        phones.do("mobile", "mobile")
        phones.do("dial", "mobile", phones.lane.did(10))
        phones.do("until_talking", "op1")
        phones.say("op1", 1.5)
        phones.do("talk", "mobile")
        time.sleep(0.5)
        for operator in (OPERATOR, "102"):
            pbx.cli(f"queue pause member PJSIP/{operator}")
        broken = phones.count()
        phones.do("vanish", "mobile")
        phones.do("client", "client", {"answer_after_s": 0.3, "talks_s": 1.0})
        daemon.until(lambda: [row["state"] for row in daemon.callbacks()] == ["due"], 15, "owe a callback")
        time.sleep(8)
        assert [row["state"] for row in daemon.callbacks()] == ["due"]
        assert [act for act in phones.acts[broken:] if act["do"] == "ring"] == []
        pbx.cli("queue unpause member PJSIP/102")
        daemon.until(lambda: [row["state"] for row in daemon.callbacks()] == ["reached"], 20, "call back")
        rang = [act["who"] for act in phones.acts[broken:] if act["do"] == "ring"]
        assert rang == ["102", "client"]
    everywhere(pbx, "unpause")
