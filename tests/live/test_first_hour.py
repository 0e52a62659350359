"""A new admin's first hour beside a real Asterisk and a real broker: what is said of the mistakes made there.

Both the daemon's log and `check` have to name what is wrong and what to do, and nothing is to end for it:
what is mended at the other end goes on by itself. Mistakes that need neither are in
tests/unit/test_first_hour.py.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.asterisk import Asterisk
from tests.lab.broker import Mosquitto
from tests.live.daemon import Daemon, callsteward
from tests.live.settings import Settings, lab_settings, merged, write
from tests.live.subscriber import PASSWORD

pytestmark = [pytest.mark.live, pytest.mark.takes(120)]


@pytest.fixture(scope="module")
def plain_broker(root_22: Path) -> Iterator[Mosquitto]:
    with Mosquitto() as started:
        yield started


@pytest.fixture(scope="module")
def own_pbx(root_22: Path) -> Iterator[Asterisk]:
    """One whose own configuration is wrong for a while."""
    with Asterisk() as started:
        yield started


def checked(folder: Path, settings: Settings, check: str) -> tuple[str, str]:
    """The finding of `check` about one thing that failed, and its advice. Nothing is printed beside them."""
    done = callsteward("check", "-c", write(folder / "check.toml", settings), "--output", "jsonl")
    assert (done.returncode, done.stderr) == (1, b"")
    results = [json.loads(line) for line in done.stdout.splitlines()]
    (found,) = [result for result in results if result["check"] == check]
    assert found["status"] == "failed"
    return found["found"], found["mend"]


def logged(folder: Path, settings: Settings, action: str) -> dict[str, Any]:
    """The daemon's first log line on it; the daemon goes on running, and stops as it should."""
    with Daemon(folder, "wrong", settings) as daemon:
        daemon.start(until=action)
        said = daemon.said(action)[0]
        # Nothing beside it: no library speaks up in its own words.
        assert [entry for entry in daemon.log if "action" not in entry] == []
        assert daemon.terminate() == 0
    return said


LOGIN = (
    "Asterisk refused the ARI user or password: compare asterisk.username and asterisk.password with"
    " ari.conf, then"
    " `module reload res_ari.so`"
)


@pytest.mark.parametrize("wrong", [{"password": "not-the-password"}, {"username": "calstewart"}], ids=list)
def test_a_wrong_ari_user_or_password(pbx: Asterisk, tmp_path: Path, wrong: dict[str, str]) -> None:
    settings = merged(lab_settings(tmp_path, pbx, None, name="login"), {"asterisk": wrong})
    assert logged(tmp_path, settings, "ari_disconnected")["why"] == LOGIN
    assert checked(tmp_path, settings, "user") == ("was refused", LOGIN)


def test_https_where_asterisk_speaks_http(pbx: Asterisk, tmp_path: Path) -> None:
    settings = lab_settings(tmp_path, pbx, None, name="https")
    url = settings["asterisk"]["url"].replace("http:", "https:")
    settings = merged(settings, {"asterisk": {"url": url}})
    said = (
        f"Asterisk does not answer at {url} (it does not speak TLS on this port): name its TLS port, or"
        " connect"
        " without TLS"
    )
    assert logged(tmp_path, settings, "ari_disconnected")["why"] == said
    assert checked(tmp_path, settings, "asterisk")[1] == said


def test_another_programs_port_for_asterisks(pbx: Asterisk, plain_broker: Mosquitto, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{plain_broker.port}"
    settings = merged(lab_settings(tmp_path, pbx, None, name="port"), {"asterisk": {"url": url}})
    said = (
        f"Asterisk does not answer at {url} (it closed the connection at once): is it running, is http.conf"
        " enabled ="
        " yes, is asterisk.url right?"
    )
    assert logged(tmp_path, settings, "ari_disconnected")["why"] == said
    assert checked(tmp_path, settings, "asterisk")[1] == said


def test_ari_and_then_http_switched_off_and_on_again(own_pbx: Asterisk, tmp_path: Path) -> None:
    settings = lab_settings(tmp_path, own_pbx, None, name="off")
    url = settings["asterisk"]["url"]

    def switch(file: str, module: str, to: str) -> None:
        path = own_pbx.etc / file
        lines = path.read_text().splitlines()
        lines[lines.index("[general]") + 1 :] = [
            f"enabled = {to}" if line.startswith("enabled") else line
            for line in lines[lines.index("[general]") + 1 :]
        ]
        path.write_text("\n".join(lines) + "\n")
        own_pbx.cli(f"module reload {module}")

    switch("ari.conf", "res_ari.so", "no")
    with Daemon(tmp_path, "off", settings) as daemon:
        daemon.start(until="ari_disconnected")
        assert daemon.said("ari_disconnected")[0]["why"] == (
            f"Asterisk answered 404 at {url}/ari/events: are res_ari and res_ari_events loaded, ari.conf"
            " enabled = yes?"
        )
        assert checked(tmp_path, settings, "asterisk")[1] == (
            "Asterisk answered 404 to GET asterisk/info: is res_ari loaded, ari.conf enabled = yes, is"
            " asterisk.url"
            " right?"
        )
        switch("http.conf", "http", "no")
        nobody = (
            f"Asterisk does not answer at {url} (nothing listens there): is it running, is http.conf"
            " enabled = yes,"
            " is asterisk.url right?"
        )
        # The daemon's own connection stays open, and the answer on it is the same.
        assert checked(tmp_path, settings, "asterisk")[1] == nobody
        # Mended at Asterisk's end, and nothing is to be done at the daemon's.
        switch("http.conf", "http", "yes")
        switch("ari.conf", "res_ari.so", "yes")
        daemon.wait_for_log("ari_connected")
        assert daemon.terminate() == 0


def test_two_daemons_with_one_application(pbx: Asterisk, tmp_path: Path) -> None:
    """The first one's socket stays open, and no event comes on it any more: it must not believe that all"
    " is well."""
    settings = lab_settings(tmp_path, pbx, None, name="taken")
    other = merged(settings, {"store": {"url": f"sqlite:///{tmp_path}/other.db"}})
    with Daemon(tmp_path, "first", settings) as first:
        first.start()
        with Daemon(tmp_path, "second", other) as second:
            second.start()
            first.wait_for_log("ari_replaced", limit_s=5)
            assert first.said("ari_replaced")[0]["event"] == (
                "another process took this ARI application: only one daemon may use it; stop that one, or"
                " give"
                " asterisk.app another name"
            )
            # Whoever has it is left alone.
            time.sleep(5)
            assert (len(first.said("ari_connected")), len(second.said("ari_replaced"))) == (1, 0)
            assert second.terminate() == 0
        first.wait_for_log("ari_connected", limit_s=10, times=2)
        assert first.said("ari_connected")[1]["gap_from"]
        assert first.terminate() == 0


MENDS = {
    "password": (
        {"password": "not-the-password"},
        "the broker refused the user name or password",
        "compare mqtt.username and its password",
    ),
    "a TLS port without TLS": (
        {"tls": False, "ca_file": None},
        "the broker ended the connection without an answer",
        "is that its port, does it ask for TLS? Its log says why",
    ),
    "a CA that nobody named": (
        {"ca_file": None},
        "its certificate is signed by nobody this machine trusts",
        "name the CA that signed it, or a self-signed certificate itself, in mqtt.ca_file",
    ),
}


@pytest.mark.parametrize("name", MENDS)
def test_a_broker_that_is_not_as_configured(
    pbx: Asterisk, broker: Mosquitto, tmp_path: Path, name: str
) -> None:
    changes, what, mend = MENDS[name]
    settings = merged(lab_settings(tmp_path, pbx, broker, name="broker"), {"mqtt": changes})
    assert logged(tmp_path, settings, "mqtt_unreachable")["error"] == (f"{what}: {mend}" if mend else what)
    found, told = checked(tmp_path, settings, "broker")
    assert found == f"127.0.0.1:{broker.port}: {what}"
    assert told.startswith(mend or "is the broker running?")
    assert "not-the-password" not in found + told


def test_tls_to_a_broker_without_tls(pbx: Asterisk, plain_broker: Mosquitto, tmp_path: Path) -> None:
    settings = merged(lab_settings(tmp_path, pbx, plain_broker, name="plain"), {"mqtt": {"tls": True}})
    said = "the TLS connection failed (unexpected eof while reading): is that its TLS port?"
    assert logged(tmp_path, settings, "mqtt_unreachable")["error"] == said
    assert checked(tmp_path, settings, "broker")[1].startswith(
        "is that its TLS port? Else: compare mqtt.host"
    )


def test_a_user_who_may_not_publish(pbx: Asterisk, broker: Mosquitto, tmp_path: Path) -> None:
    changes = {"mqtt": {"username": "bystander", "password": PASSWORD}}
    settings = merged(lab_settings(tmp_path, pbx, broker, name="acl"), changes)
    refused = logged(tmp_path, settings, "mqtt_refused")
    assert refused["event"] == "the broker refuses a message: is callsteward allowed to publish there?"
    assert refused["topic"] == "callsteward/acl/lab/status"
    assert (
        checked(tmp_path, settings, "broker")[1]
        == "let the broker's user write and read callsteward/acl/lab/#"
    )


def test_a_broker_that_comes_later_is_found(pbx: Asterisk, plain_broker: Mosquitto, tmp_path: Path) -> None:
    settings = lab_settings(tmp_path, pbx, plain_broker, name="later")
    plain_broker._end()
    with Daemon(tmp_path, "later", settings) as daemon:
        daemon.start(until="mqtt_unreachable")
        assert daemon.said("mqtt_unreachable")[0]["error"] == (
            "nothing listens there: is it running, are host and port right?"
        )
        plain_broker.start()
        daemon.wait_for_log("mqtt_connected")
        assert daemon.terminate() == 0
