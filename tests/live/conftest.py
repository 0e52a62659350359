"""Fixtures of the live tests: one Asterisk 22, one Mosquitto with TLS, one daemon, one dashboard.

Where the lab cannot be had the tests are skipped with the reason; with CALLSTEWARD_REQUIRE_LIVE=1 (in CI)
that is a failure.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.asterisk import Asterisk
from tests.lab.broker import Mosquitto
from tests.lab.postgresql import PostgreSql
from tests.lab.roots import ensure_root
from tests.live.availability import lab_or_skip
from tests.live.daemon import Daemon
from tests.live.settings import lab_settings
from tests.live.subscriber import ACL, PASSWORD, USER, Subscriber


@pytest.fixture(scope="session")
def root_22() -> Path:
    """The root folder with Asterisk 22 and Mosquitto, built if it is not there yet."""
    with lab_or_skip():
        return ensure_root("22")


@pytest.fixture(scope="session")
def root_16() -> Path:
    with lab_or_skip():
        return ensure_root("16")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Configurations, logs, databases and recordings of all daemons."""
    return tmp_path_factory.mktemp("live")


@pytest.fixture(scope="session")
def pbx(root_22: Path) -> Iterator[Asterisk]:
    with Asterisk() as started:
        yield started


@pytest.fixture(scope="session")
def broker(root_22: Path) -> Iterator[Mosquitto]:
    """TLS, user names and passwords, and an ACL by which the dashboard may only read."""
    with Mosquitto(users={USER: PASSWORD, "bystander": PASSWORD}, tls=True, acl=ACL) as started:
        yield started


@pytest.fixture(scope="session")
def subscriber(broker: Mosquitto) -> Iterator[Subscriber]:
    with Subscriber(broker) as started:
        yield started


@pytest.fixture(scope="session")
def daemon(pbx: Asterisk, broker: Mosquitto, subscriber: Subscriber, folder: Path) -> Iterator[Daemon]:
    """The daemon that follows `pbx` and records what it sees."""
    with Daemon(folder, "main", lab_settings(folder, pbx, broker, name="main"), record=True) as started:
        started.start()
        subscriber.wait("main", "status", lambda body: body["asterisk"] == "connected")
        yield started


@pytest.fixture(scope="module")
def pair_server() -> Iterator[PostgreSql]:
    """For daemons of which one stands by."""
    with lab_or_skip():
        made = PostgreSql(connections=60)
    with made as started:
        yield started


@pytest.fixture(scope="module")
def pair_pbx() -> Iterator[Asterisk]:
    """An Asterisk that notices a phone without sound soon, for daemons of which one stands by."""
    with lab_or_skip(), Asterisk(rtp_timeout_s=3) as started:
        yield started
