"""What every test run ends with: the names of what failed, below all that was printed for it."""

from __future__ import annotations

import pytest

from callsteward.config import secret_words


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
    """What one test's configuration holds back would be missing from what another one says."""
    monkeypatch.setattr(secret_words, "_words", set())
