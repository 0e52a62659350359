"""`make bench`: a client that is not to be had here is named, and the others are measured."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bench import peers
from tests.bench.peers import NoPeerError, Peer

TAKES_ALL = """
print("ready", flush=True)
for line in __import__("sys").stdin:
    print(line.split()[1], 0.5, flush=True)
"""
LOSES_ONE = TAKES_ALL.replace("line.split()[1]", "int(line.split()[1]) - 1")
ENDS = 'print("ready", flush=True); input()'


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Lets a program of a test stand for every client."""
    monkeypatch.setattr(peers, "_environment", lambda _peer: Path(sys.executable))
    monkeypatch.setattr(peers, "_PROGRAM", tmp_path / "peer.py")

    def write(text: str) -> None:
        (tmp_path / "peer.py").write_text(text)

    return write


def test_clients_that_run_are_measured(program: Callable[[str], None]) -> None:
    program(TAKES_ALL)
    with peers.all_there_are(None) as (running, said):
        assert [one.peer.name for one in running] == ["aioari", "ari-client"]
        assert [one.take("http://localhost", 10) for one in running] == [0.5, 0.5]
    assert said == []


def test_a_client_that_cannot_be_imported_is_named_with_the_reason(program: Callable[[str], None]) -> None:
    program("import a_client_that_is_not_there")
    with peers.all_there_are(None) as (running, said):
        assert running == []
    why = "ModuleNotFoundError: No module named 'a_client_that_is_not_there'"
    assert said == [
        f"aioari 0.10.2 is not measured: {why}",
        f"ari-client 0.9.0 is not measured: {why}",
    ]


def test_a_client_that_cannot_be_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def environment(peer: Peer) -> Path:
        if peer.name == "aioari":
            message = "it cannot be installed on this Python: ERROR: no"
            raise NoPeerError(message)
        return Path(sys.executable)

    monkeypatch.setattr(peers, "_environment", environment)
    with peers.all_there_are(None) as (_, said):
        pass
    assert said[0] == "aioari 0.10.2 is not measured: it cannot be installed on this Python: ERROR: no"


@pytest.mark.parametrize(
    ("text", "why"), [(LOSES_ONE, "it took 9 of 10 events"), (ENDS, "it ended in the middle of the measure")]
)
def test_a_client_that_does_not_take_all_is_not_measured(
    program: Callable[[str], None], text: str, why: str
) -> None:
    program(text)
    with peers.all_there_are(None) as (running, _), pytest.raises(NoPeerError, match=why):
        running[0].take("http://localhost", 10)


def test_the_row_says_how_many_times_faster_ours_is() -> None:
    row = peers.row(Peer("aioari", "0.10.2", 2.0), [1.0, 2.0, 1.0], [2.5, 4.0, 3.0], 1_000)
    assert (row.ratio, row.target, row.met) == ("2.50", "at least 2.00", True)
    assert (row.measured, row.beside) == ("1,000", "333 aioari")
