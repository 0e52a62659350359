import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from callsteward.exceptions import StoreError
from callsteward.store import journal as journal_module
from callsteward.store.journal import Journal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "calls.journal"


def _left_by(path: Path, *frames: bytes) -> None:
    journal = Journal(path)
    for frame in frames:
        journal.append(frame)
    journal.close()


def test_a_new_daemon_reads_what_the_earlier_one_left(path: Path) -> None:
    _left_by(path, b'{"a":1}', b'{"b":2}')
    journal = Journal(path)
    journal.append(b'{"c":3}')
    journal.flush()
    assert list(journal.frames()) == [b'{"a":1}', b'{"b":2}']
    journal.close()
    journal = Journal(path)
    assert list(journal.frames()) == [b'{"a":1}', b'{"b":2}', b'{"c":3}']
    journal.close()


def test_what_was_flushed_survives_sigkill(path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from callsteward.store.journal import Journal;"
        "j = Journal(Path(sys.argv[1])); j.append(b'kept'); j.flush(); j.append(b'not flushed');"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    died = subprocess.run([sys.executable, "-c", code, path], check=False)
    assert died.returncode == -signal.SIGKILL
    journal = Journal(path)
    assert list(journal.frames()) == [b"kept"]
    journal.close()


@pytest.mark.parametrize(
    ("left", "whole", "torn"),
    [
        (b"", [], 0),
        (b"a\nb\n", [b"a", b"b"], 0),
        (b'a\nb\n{"to', [b"a", b"b"], 4),
        (b"torn only", [], 9),
        (b"a\n" + b"x" * 200_000, [b"a"], 200_000),
    ],
)
def test_a_torn_last_line_is_skipped_and_reported(
    path: Path, left: bytes, whole: list[bytes], torn: int
) -> None:
    path.write_bytes(left)
    journal = Journal(path)
    assert (list(journal.frames()), journal.torn) == (whole, torn)
    journal.append(b"next")
    journal.close()
    assert path.read_bytes() == b"".join(line + b"\n" for line in [*whole, b"next"])


def test_a_frame_with_line_breaks_stays_one_frame(path: Path) -> None:
    _left_by(path, b'{\n "a": 1\r\n}')
    journal = Journal(path)
    assert list(journal.frames()) == [b'{  "a": 1  }']
    journal.close()


def test_clear_empties_it_with_what_is_not_flushed(path: Path) -> None:
    _left_by(path, b"old")
    journal = Journal(path)
    journal.append(b"pending")
    assert journal.size == 12
    journal.clear()
    assert (journal.size, list(journal.frames())) == (0, [])
    journal.append(b"new")
    journal.flush()
    assert path.read_bytes() == b"new\n"
    journal.close()


def test_rewrite_replaces_everything_and_appending_goes_on(path: Path) -> None:
    _left_by(path, b"old 1", b"old 2")
    journal = Journal(path)
    journal.append(b"pending")
    journal.rewrite([b"kept"])
    assert (path.read_bytes(), journal.size, list(journal.frames())) == (b"kept\n", 5, [])
    journal.append(b"new")
    journal.flush()
    assert path.read_bytes() == b"kept\nnew\n"
    with pytest.raises(StoreError, match="in use"):
        Journal(path)
    journal.close()
    assert [item.name for item in path.parent.iterdir()] == [path.name]


def test_a_rewrite_that_fails_keeps_the_old_journal(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _left_by(path, b"old")
    journal = Journal(path)

    def full(_file: int, _chunk: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(journal_module, "_write", full)
        with pytest.raises(StoreError, match="No space left"):
            journal.rewrite([b"new"])
    assert list(journal.frames()) == [b"old"]
    journal.append(b"more")
    journal.close()
    assert path.read_bytes() == b"old\nmore\n"
    assert [item.name for item in path.parent.iterdir()] == [path.name]


def test_a_second_daemon_is_told_that_the_first_runs(path: Path) -> None:
    journal = Journal(path)
    with pytest.raises(StoreError, match="another callsteward"):
        Journal(path)
    journal.close()
    Journal(path).close()


def test_a_full_disk_is_reported_and_the_frames_wait_for_room(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(path)
    journal.append(b"one")
    journal.flush()
    real = os.write

    def short(file: int, chunk: bytes) -> int:
        real(file, bytes(chunk)[:2])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", short)
        journal.append(b"two")
        with pytest.raises(StoreError, match="No space left"):
            journal.flush()
        assert path.read_bytes() == b"one\n"
        journal.append(b"three")
    journal.flush()
    assert path.read_bytes() == b"one\ntwo\nthree\n"
    assert journal.lost == 0
    journal.close()


def test_a_disk_that_stays_full_does_not_fill_the_memory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "UNWRITTEN_LIMIT", 10)
    journal = Journal(path)

    def full(_file: int, _chunk: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        for _ in range(4):
            journal.append(b"123")
        with pytest.raises(StoreError):
            journal.flush()
    assert (journal.size, journal.lost) == (0, 4)
    journal.close()


def test_fsync_waits_for_the_disk_at_most_every_100_ms(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    now = [1000.0]
    monkeypatch.setattr(os, "fsync", synced.append)
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    journal = Journal(path, fsync=True)
    for at in (1000.0, 1000.05, 1000.09, 1000.1, 1000.15, 1000.21):
        now[0] = at
        journal.append(b"frame")
        journal.flush()
    assert len(synced) == 3
    journal.close()


def test_only_the_owner_may_read_the_numbers_in_it(path: Path) -> None:
    journal = Journal(path)
    journal.rewrite([b"frame"])
    journal.close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_without_a_path_nothing_is_kept() -> None:
    journal = Journal(None)
    journal.append(b"frame")
    journal.flush()
    journal.rewrite([b"frame"])
    journal.clear()
    assert (journal.size, list(journal.frames()), journal.torn) == (0, [], 0)
    journal.close()


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=f"{tmp_path}/nowhere/calls.journal: No such file"):
        Journal(tmp_path / "nowhere" / "calls.journal")
