"""What every test run ends with: the names of what failed, below all that was printed for it."""

from __future__ import annotations

import pytest


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
