"""FastAGI against the real AGI(): what a dialplan is told, and that it goes on when nobody answers."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.asterisk import Asterisk
from tests.lab.ports import free_port
from tests.live.daemon import Daemon, callsteward, wait_for
from tests.live.settings import lab_settings, merged

pytestmark = [pytest.mark.live, pytest.mark.takes(25)]

NUMBER = "79031234567"
# A caller name with what could end a line, a variable or a string.
CALLER = f'"a\\"b; agi_extension: 900" <{NUMBER}>'
ANSWERED_S = 5.0


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def asking(root_22: Path, port: int) -> Iterator[Asterisk]:
    """An Asterisk of its own whose dialplan asks, and says what it was told in its log."""
    extension = (
        "exten => {name},1,Answer()\n"
        " same => n,AGI(agi://127.0.0.1:{port}/{url})\n"
        " same => n,Log(NOTICE,ASKED ${{FROM}} {name} status=${{AGISTATUS}} answer=${{CALLSTEWARD_ANSWER}}"
        " dnc=${{CALLSTEWARD_DNC}} operator=${{CALLSTEWARD_LAST_OPERATOR}}"
        " callback=${{CALLSTEWARD_OPEN_CALLBACK}} tag=${{CALLSTEWARD_TAG}} rating=${{CALLSTEWARD_ELIGIBLE}}"
        " language=${{CALLSTEWARD_LANGUAGE}} end)\n"
        " same => n,Hangup()\n"
    )
    urls = {
        "arrival": "arrival",
        "add": "dnc?action=add",
        "remove": "dnc?action=remove",
        "tag": "tag?tag=complaint",
        "eligible": "rating-eligible?line=support",
        "elsewhere": "rating-eligible?line=direct",
        "nothing": "no-such-script",
        "broken": "dnc?action=add&action=remove",
    }
    with Asterisk() as pbx:
        file = pbx.etc / "extensions.conf"
        asked = "".join(extension.format(name=name, port=port, url=url) for name, url in urls.items())
        file.write_text(f"{file.read_text()}\n[asking]\n{asked}exten => caller,1,Wait(10)\n")
        pbx.cli("dialplan reload")
        yield pbx


@pytest.fixture(scope="module")
def answering(asking: Asterisk, port: int, folder: Path) -> Iterator[Daemon]:
    settings = merged(
        lab_settings(folder, asking, None, name="agi"),
        {
            "agi": {"enabled": True, "port": port},
            "tags": {"enabled": True},
            "rating": {"enabled": True, "language": "en"},
            "profiles": {"standard": {"rating": "stay"}, "silent": {"rating": "off"}},
        },
    )
    for line in settings["lines"]:
        if line["name"] == "direct":
            line["profile"] = "silent"
    with Daemon(folder, "agi", settings) as daemon:
        daemon.start(until="agi_listening")
        yield daemon


def ask(pbx: Asterisk, name: str, limit_s: float = ANSWERED_S) -> dict[str, str]:
    """The answers that the dialplan had when it went on."""
    mark = f"m{time.monotonic_ns()}"
    body: dict[str, Any] = {
        "endpoint": f"Local/{name}@asking/n",
        "context": "asking",
        "extension": "caller",
        "priority": 1,
        "callerId": CALLER,
        "variables": {"__FROM": mark},
    }
    pbx.request("POST", "/channels", body)
    log = pbx.log / "full"
    found: list[str] = []

    def told() -> bool:
        found[:] = [
            line for line in log.read_text(errors="replace").splitlines()
            if f"ASKED {mark}" in line and "NOTICE" in line and "Executing" not in line
        ]  # fmt: skip
        return bool(found)

    wait_for(told, limit_s, f"the dialplan to go on behind {name}")
    words = found[0].partition(f"ASKED {mark} ")[2].split()
    return dict(word.partition("=")[::2] for word in words[1:-1])


def test_a_dialplan_is_told_who_calls(answering: Daemon, asking: Asterisk) -> None:
    told = ask(asking, "arrival")
    assert told == {
        "status": "SUCCESS", "answer": "ok", "dnc": "0", "operator": "", "callback": "", "tag": "",
        "rating": "", "language": "en",
    }  # fmt: skip


def test_a_dialplan_asks_whether_a_client_would_be_rated(answering: Daemon, asking: Asterisk) -> None:
    assert ask(asking, "eligible")["rating"] == "ask"
    assert ask(asking, "elsewhere")["rating"] == "line_does_not_ask"


def test_a_dialplan_that_tags_no_call_of_a_client_is_told(answering: Daemon, asking: Asterisk) -> None:
    # Nobody's phone is behind this Local channel, so there is no call to tag.
    assert ask(asking, "tag")["tag"] == "unknown_call"


def test_a_dialplan_puts_its_caller_on_the_do_not_call_list(answering: Daemon, asking: Asterisk) -> None:
    assert ask(asking, "add")["dnc"] == "1"
    assert ask(asking, "arrival")["dnc"] == "1"
    listed = callsteward("dnc", "list", "-c", answering.config, "--output", "jsonl").stdout.decode()
    assert '"client_masked":"+7903***4567"' in listed
    assert '"added_by":"agi"' in listed
    assert ask(asking, "remove")["dnc"] == "0"
    assert ask(asking, "arrival")["dnc"] == "0"


@pytest.mark.parametrize("name", ["nothing", "broken"])
def test_what_cannot_be_answered_fails_and_the_call_goes_on(
    answering: Daemon, asking: Asterisk, name: str
) -> None:
    told = ask(asking, name)
    assert (told["status"], told["answer"]) == ("FAILURE", "")
    assert not any(told[name] for name in ("callback", "operator", "dnc", "tag", "rating", "language"))
    assert answering.said("agi_failed")
    assert NUMBER not in answering.log_file.read_text()


def test_a_daemon_that_hangs_and_is_killed_lets_the_call_go_on(answering: Daemon, asking: Asterisk) -> None:
    """The daemon is stopped and killed, as by systemd's watchdog."""
    process = answering._process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    mark = time.monotonic()
    try:
        with pytest.raises(AssertionError, match="in vain"):
            ask(asking, "arrival", limit_s=1.5)
    finally:
        answering.kill()
    assert time.monotonic() - mark < ANSWERED_S
    wait_for(lambda: not asking.request_list("/channels"), ANSWERED_S, "the call to go on and end")
    told = ask(asking, "arrival")
    assert (told["status"], told["answer"]) == ("FAILURE", "")
    answering.start(until="agi_listening")
    assert ask(asking, "arrival")["answer"] == "ok"
