"""How tests are shared among lanes (`make test-live`), and what a run ends with: the names of what failed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from callsteward.config import secret_words
from tests.lab.postgresql import PostgreSql
from tests.live.availability import lab_or_skip

# `make test` answers alike for one and the same commit: an input that breaks a property is found by
# `make explore`, which draws new ones each time and more of them, and then becomes a test of its own.
hypothesis.settings.register_profile("test", derandomize=True)
hypothesis.settings.register_profile("explore", print_blob=True)
hypothesis.settings.load_profile("test")

HALVES = {"test_asterisk16": ("[pjsip-", "[sip-")}
"""Long modules whose tests are of two sessions that have nothing in common."""


class Lanes(LoadScopeScheduling):  # type: ignore[misc]
    """Gives a lane (a pytest-xdist worker) whole modules: a module's tests share a PBX."""

    def _split_scope(self, nodeid: str) -> str:
        module, _, test = nodeid.partition("::")
        halves = HALVES.get(Path(module).stem, ())
        return next((f"{module} {half}" for half in halves if half in test), module)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling | None:
    """The lanes of `make test-live`; what else runs on several processors is shared as it asks for."""
    return Lanes(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The modules that take the longest first, so that all lanes end together."""

    def seconds(item: pytest.Item) -> float:
        takes = item.get_closest_marker("takes")
        return float(takes.args[0]) if takes else 0.0

    items.sort(key=seconds, reverse=True)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> object:
    """Name the failed tests once more, a line each: the end of a log is what everybody sees of it.

    pytest's own summary repeats each assertion's text in CI, however long that is.
    """
    ended = yield
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    if isinstance(terminal, pytest.TerminalReporter):
        for outcome in ("failed", "error"):
            for report in terminal.stats.get(outcome, []):
                terminal.write_line(f"{outcome}: {report.nodeid}")
    return ended


@pytest.fixture(autouse=True)
def _secrets_of_one_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret of one test's configuration must not be blotted out of the output of another test."""
    monkeypatch.setattr(secret_words, "_words", set())


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSql]:
    """A real PostgreSQL: one for all tests of this process."""
    with lab_or_skip():
        made = PostgreSql(connections=60)
    with made as server:
        yield server
