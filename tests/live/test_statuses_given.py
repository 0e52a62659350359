"""Operators give themselves a status by codes and commands, on real Asterisks; `queue show` is the judge."""

from __future__ import annotations

import itertools
import json
import re
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.asterisk import Asterisk
from tests.lab.broker import Mosquitto
from tests.lab.phone_process import Phones
from tests.lab.ports import free_port
from tests.live.availability import lab_or_skip
from tests.live.daemon import Daemon, wait_for
from tests.live.settings import callback_settings, mqtt
from tests.live.subscriber import Subscriber

pytestmark = [pytest.mark.live, pytest.mark.takes(150)]

OPERATOR = "101"
QUEUES = ("support0", "ringall0", "solo0", "local0")
PHONE, LOCAL = f"PJSIP/{OPERATOR}", f"Local/{OPERATOR}@from-queue/n"
TOKEN = "a token for the lab's door"
FREE = ("free", None)
WRAP_UP_S = 4
# Each daemon has a name, and so topics, of its own.
NUMBERS = itertools.count(1)


@pytest.fixture(scope="module", params=["22", "16"])
def pbx(request: pytest.FixtureRequest) -> Iterator[Asterisk]:
    with lab_or_skip(), Asterisk(request.param) as started:
        yield started


@pytest.fixture(scope="module")
def phones(pbx: Asterisk) -> Iterator[Phones]:
    with Phones(pbx.sip_port, 0) as started:
        started.do("operator", "op1")
        yield started


class Desk:
    """One daemon, the phone of operator 101, and Asterisk's console."""

    def __init__(self, pbx: Asterisk, phones: Phones, daemon: Daemon, subscriber: Subscriber) -> None:
        self.pbx = pbx
        self.daemon = daemon
        self._phones = phones
        self._subscriber = subscriber

    def dial(self, code: str) -> str:
        """Dial a code, and hear the answer out; what the daemon answered the phone."""
        self._phones.do("dial", "op1", code)
        self._phones.do("until_idle", "op1")
        said = self.pbx.request("GET", f"/asterisk/variable?variable=CALLSTEWARD_SAID_PJSIP{OPERATOR}")
        assert isinstance(said, dict)
        return str(said["value"])

    def command(self, command_id: str, action: str, **fields: str) -> dict[str, Any]:
        port = self.daemon.settings["web"]["port"]
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/api/v1/operators/{OPERATOR}/status",
            data=json.dumps({"id": command_id, "action": action, **fields}).encode(),
            headers={"Authorization": f"Bearer {TOKEN}"},
        )
        with urllib.request.urlopen(request, timeout=15) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def shown(self) -> tuple[str, str | None]:
        """Status and reason, as published last."""
        found = self._subscriber.of(self.daemon.name, f"operators/{OPERATOR}/now")
        return (found[-1].body["status"], found[-1].body["pause_reason"]) if found else ("", None)

    def paused(self) -> dict[str, str]:
        """The queues in which Asterisk has the operator paused, each with the reason."""
        name = re.compile(rf"({PHONE}\b|{re.escape(LOCAL)}).*\(paused(?::([^)]*?))? was")
        found = {
            queue: name.search(row)
            for queue in QUEUES
            for row in self.pbx.cli(f"queue show {queue}").splitlines()
            if name.search(row)
        }
        return {queue: (match[2] or "") for queue, match in found.items() if match}

    def until(self, status: tuple[str, str | None], paused: dict[str, str], limit_s: float = 15.0) -> None:
        def so() -> bool:
            return self.shown() == status and self.paused() == paused

        try:
            wait_for(so, limit_s, f"{status} {paused}")
        except AssertionError as error:
            error.add_note(f"{self.shown()} {self.paused()}")
            error.add_note(self.daemon.log_file.read_text()[-4000:])
            raise

    def by_hand(self, verb: str, queue: str = "") -> None:
        """Somebody else pauses or unpauses the operator on the console."""
        for interface in (PHONE, LOCAL):
            self.pbx.cli(f"queue {verb} member {interface}" + (f" queue {queue}" if queue else ""))


@pytest.fixture
def desk(
    pbx: Asterisk,
    phones: Phones,
    broker: Mosquitto,
    subscriber: Subscriber,
    folder: Path,
) -> Iterator[Desk]:
    name = f"given-{next(NUMBERS)}"
    values = callback_settings(pbx, folder / f"{name}.db", enabled=False)
    values["lines"] = [{"name": "hotline", "queues": list(QUEUES)}]
    values["operators"] = {OPERATOR: {}, "102": {}}
    values["profiles"]["quick"]["wrap_up_s"] = WRAP_UP_S
    values["profiles"]["quick"]["away_after_unanswered"] = 2
    values["lines"][0]["profile"] = "quick"
    values["statuses"] = {"codes": True, "reasons": {"1": "lunch", "2": "training"}}
    values["mqtt"] = mqtt(broker, name)
    values["commands"] = {"http": True}
    values["web"] = {"enabled": True, "port": free_port(), "token": TOKEN}
    with Daemon(folder, name, values) as daemon:
        found = Desk(pbx, phones, daemon, subscriber)
        found.by_hand("unpause")
        yield found
    found.by_hand("unpause")


def everywhere(reason: str) -> dict[str, str]:
    return dict.fromkeys(QUEUES, reason)


def test_codes_pause_in_all_queues_and_put_back(desk: Desk) -> None:
    desk.daemon.start()
    desk.until(FREE, {})
    assert desk.dial("*511") == "taken"
    desk.until(("paused", "lunch"), everywhere("lunch"))
    # Another reason, while paused.
    assert desk.dial("*512") == "taken"
    desk.until(("paused", "training"), everywhere("training"))
    assert desk.dial("*52") == "taken"
    desk.until(("away", None), everywhere("away"))
    assert desk.dial("*50") == "taken"
    desk.until(FREE, {})
    # No such reason, and nothing to end.
    assert desk.dial("*519") == "refused"
    assert desk.dial("*50") == "taken"
    desk.until(FREE, {})


def test_commands_do_the_same_and_say_what_came_of_it(desk: Desk) -> None:
    desk.daemon.start()
    desk.until(FREE, {})
    reply = desk.command("c1", "busy", reason="lunch", by="crm")
    assert (reply["status"], reply["result"]) == ("done", "paused")
    # As soon as the answer is there.
    assert desk.paused() == everywhere("lunch")
    desk.until(("paused", "lunch"), everywhere("lunch"))
    assert desk.command("c1", "busy", reason="lunch", by="crm") == reply
    assert desk.command("c2", "back")["result"] == "back"
    assert desk.paused() == {}
    assert desk.command("c3", "back")["result"] == "nothing_to_end"
    desk.until(FREE, {})


def test_only_what_was_paused_by_us_is_put_back(desk: Desk) -> None:
    desk.daemon.start()
    desk.by_hand("pause", "solo0")
    desk.until(("paused", None), {"solo0": ""})
    assert desk.dial("*511") == "taken"
    desk.until(("paused", "lunch"), {**everywhere("lunch"), "solo0": ""})
    assert desk.dial("*50") == "taken"
    desk.until(("paused", None), {"solo0": ""})


def test_somebody_else_who_puts_an_operator_back_has_the_last_word(desk: Desk) -> None:
    desk.daemon.start()
    desk.until(FREE, {})
    assert desk.dial("*511") == "taken"
    desk.until(("paused", "lunch"), everywhere("lunch"))
    desk.by_hand("unpause")
    desk.until(FREE, {})
    desk.daemon.wait_for_log("status_over")
    desk.by_hand("pause", "solo0")
    desk.until(("paused", None), {"solo0": ""})
    # There is nothing of ours to undo.
    assert desk.dial("*50") == "taken"
    desk.until(("paused", None), {"solo0": ""})


@pytest.mark.parametrize(
    "point",
    [
        "before:status_asked",
        "after:status_asked",
        "before:status_pause",
        "after:status_pause",
        "before:status_paused",
        "after:status_paused",
    ],
)
def test_a_daemon_killed_while_it_pauses_goes_on_or_has_done_nothing(desk: Desk, point: str) -> None:
    desk.daemon.start(fault=point)
    desk.until(FREE, {})
    desk.dial("*511")
    wait_for(lambda: not desk.daemon.running, 10, "the daemon to be killed")
    desk.daemon.start()
    if point == "before:status_asked":
        desk.until(FREE, {})
        return
    desk.until(("paused", "lunch"), everywhere("lunch"))
    assert desk.dial("*50") == "taken"
    desk.until(FREE, {})


@pytest.mark.parametrize(
    "point",
    [
        "before:status_undoing",
        "after:status_undoing",
        "before:status_unpause",
        "after:status_unpause",
        "before:status_over",
        "after:status_over",
    ],
)
def test_a_daemon_killed_while_it_puts_back_does_it_once(desk: Desk, point: str) -> None:
    desk.daemon.start(fault=point)
    desk.until(FREE, {})
    assert desk.dial("*511") == "taken"
    desk.until(("paused", "lunch"), everywhere("lunch"))
    desk.dial("*50")
    wait_for(lambda: not desk.daemon.running, 10, "the daemon to be killed")
    undone = point in {"after:status_unpause", "before:status_over", "after:status_over"}
    if undone:
        wait_for(lambda: not desk.paused(), 10, "the members to be put back")
        # Somebody else pauses the operator before the daemon is back.
        desk.by_hand("pause", "solo0")
    desk.daemon.start()
    if point == "before:status_undoing":
        desk.until(("paused", "lunch"), everywhere("lunch"))
    elif undone:
        if point != "after:status_over":
            desk.daemon.wait_for_log("status_over")
        desk.until(("paused", None), {"solo0": ""})
    else:
        desk.until(FREE, {})


def test_who_does_not_answer_twice_in_a_row_is_away(desk: Desk, phones: Phones) -> None:
    desk.daemon.start()
    desk.until(FREE, {})
    phones.do("habits", "op1", {"answer_after_s": None})
    phones.do("client", "client")
    phones.do("dial", "client", phones.lane.did(20))
    desk.until(("away", "not answering"), everywhere("not answering"), 40)
    phones.do("bye", "client")
    phones.do("until_idle", "client")
    desk.dial("*50")
    desk.until(FREE, {})


def test_a_queue_with_a_waiting_client_does_not_ring_in_the_wrap_up(desk: Desk, phones: Phones) -> None:
    desk.daemon.start()
    desk.until(FREE, {})
    phones.do("habits", "op1", {"answer_after_s": 0.3})
    phones.do("client", "client")
    phones.do("client", "client2")
    phones.do("dial", "client", phones.lane.did(20))
    phones.do("until_talking", "op1")
    phones.do("dial", "client2", phones.lane.did(20))
    desk.until(("talking", None), everywhere("wrap_up"))
    begun = phones.count()
    over = time.monotonic()
    phones.do("bye", "client")
    desk.until(("wrap_up", None), everywhere("wrap_up"), 4)
    phones.wait(lambda act: act["do"] == "ring" and act["who"] == OPERATOR, 20, "the next ring", since=begun)
    assert WRAP_UP_S <= time.monotonic() - over < WRAP_UP_S + 5
    # Its end by the code: the waiting time is shorter.
    phones.do("until_talking", "op1")
    phones.do("bye", "client2")
    phones.do("until_idle", "op1")
    desk.until(("wrap_up", None), everywhere("wrap_up"), 4)
    assert desk.dial("*53") == "taken"
    desk.until(FREE, {}, 3)
