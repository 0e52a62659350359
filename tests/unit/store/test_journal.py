import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from callsteward.exceptions import StoreError
from callsteward.journal import compactor
from callsteward.journal import journal as journal_module
from callsteward.journal.compaction import compact
from callsteward.journal.compactor import frames_in, lines
from callsteward.journal.journal import COMPACTED_LIMIT, Compaction, Journal


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


def test_flushed_frames_survive_sigkill(path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from callsteward.journal.journal import Journal;"
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
    assert list(journal.frames()) == [b'{\r "a": 1\r\r}']
    assert msgspec.json.decode(next(iter(journal.frames()))) == {"a": 1}
    journal.close()


@pytest.mark.parametrize("broken", [b'{"a": "1\n2"}', b'{"a": "1\r2"}'])
def test_a_line_break_inside_a_string_is_not_mended(path: Path, broken: bytes) -> None:
    """Live it was no event: taken up from the journal it must be none either."""
    _left_by(path, broken)
    journal = Journal(path)
    (left,) = journal.frames()
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(left)
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


def _replaced(journal: Journal, *frames: bytes) -> int:
    compaction = journal.begin_compaction(journal.written)
    _written(compaction, *frames)
    return journal.adopt(compaction)


def _written(compaction: Compaction, *frames: bytes) -> None:
    for chunk in lines(frames):
        os.write(compaction.target, chunk)


def test_frames_appended_during_compaction_are_in_the_new_file(path: Path) -> None:
    _left_by(path, b"old 1", b"old 2")
    journal = Journal(path)
    assert list(journal.frames()) == [b"old 1", b"old 2"]
    compaction = journal.begin_compaction(journal.written)
    assert list(frames_in(compaction.source, compaction.size)) == [b"old 1", b"old 2"]
    journal.append(b"meanwhile")
    journal.flush()
    journal.append(b"pending")
    _written(compaction, b"kept")
    assert journal.adopt(compaction) == len(b"old 1\nold 2\n") - len(b"kept\n")
    assert path.read_bytes() == b"kept\nmeanwhile\n"
    assert list(journal.frames()) == []
    journal.append(b"new")
    assert journal.size == len(b"kept\nmeanwhile\npending\nnew\n")
    journal.flush()
    assert path.read_bytes() == b"kept\nmeanwhile\npending\nnew\n"
    with pytest.raises(StoreError, match="in use"):
        Journal(path)
    journal.close()
    assert [item.name for item in path.parent.iterdir()] == [path.name]


def test_a_journal_that_was_emptied_meanwhile_stays_empty(path: Path) -> None:
    _left_by(path, b"old")
    journal = Journal(path)
    compaction = journal.begin_compaction(journal.written)
    _written(compaction, b"old")
    journal.clear()
    journal.append(b"new")
    journal.flush()
    assert journal.adopt(compaction) == 0
    journal.close()
    assert path.read_bytes() == b"new\n"
    assert [item.name for item in path.parent.iterdir()] == [path.name]


def test_a_journal_that_was_closed_meanwhile_keeps_what_it_has(path: Path) -> None:
    _left_by(path, b"old")
    journal = Journal(path)
    compaction = journal.begin_compaction(journal.written)
    journal.close()
    assert journal.adopt(compaction) == 0
    assert path.read_bytes() == b"old\n"


def test_a_new_file_that_a_killed_daemon_left_is_not_written_to(path: Path) -> None:
    _left_by(path, b"old")
    orphan = path.with_name(path.name + ".new")
    orphan.write_bytes(b"half a fra")
    with orphan.open("ab") as still_writing:
        journal = Journal(path)
        compaction = journal.begin_compaction(journal.written)
        still_writing.write(b"me")
        still_writing.flush()
        _written(compaction, b"kept")
        journal.adopt(compaction)
    journal.close()
    assert path.read_bytes() == b"kept\n"


def test_a_new_file_that_cannot_be_written_keeps_the_old_journal(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _left_by(path, b"old")
    journal = Journal(path)
    compaction = journal.begin_compaction(journal.written)
    journal.append(b"meanwhile")
    journal.flush()

    def full(_file: int, _chunk: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(compactor, "write", full)
        with pytest.raises(StoreError, match="No space left"):
            journal.adopt(compaction)
    journal.append(b"more")
    journal.close()
    assert path.read_bytes() == b"old\nmeanwhile\nmore\n"
    assert [item.name for item in path.parent.iterdir()] == [path.name]


def test_a_new_file_that_cannot_be_made_is_reported(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _left_by(path, b"old")
    journal = Journal(path)
    real = os.open

    def full(name: Path, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_CREAT:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(name, flags, mode)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", full)
        with pytest.raises(StoreError, match="cannot compact"):
            journal.begin_compaction(journal.written)
    journal.close()
    assert path.read_bytes() == b"old\n"


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


def _frame(second: int) -> bytes:
    return f'{{"type":"Hold","timestamp":"2026-11-22T10:00:{second:02}.000+0000"}}'.encode()


def test_frames_given_up_leave_a_mark_with_their_span(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it gives up before the disk takes something again, it is one span."""
    monkeypatch.setattr(journal_module, "UNWRITTEN_LIMIT", 400)
    journal = Journal(path)
    journal.append(_frame(0))
    journal.flush()

    def full(_file: int, _chunk: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        for second in range(1, 21):
            journal.append(b'{"type":"CallstewardHandedOver"}')
            journal.append(_frame(second))
            with pytest.raises(StoreError):
                journal.flush()
            assert journal.size - journal.written <= 400
    kept = [second for second in range(1, 21) if _frame(second) in b"".join(journal._pending)]
    assert journal.lost == 2 * (20 - len(kept)) >= 30
    journal.append(_frame(30))
    journal.flush()
    first, mark, *rest = path.read_bytes().splitlines()
    assert (first, rest[-1]) == (_frame(0), _frame(30))
    assert json.loads(mark) == {
        "type": "CallstewardInterrupted",
        "timestamp": f"2026-11-22T10:00:{kept[0] - 1 if kept else 20:02}.000+0000",
        "since": "2026-11-22T10:00:01.000+0000",
        "certain": True,
    }
    journal.append(_frame(31))
    journal.flush()
    assert path.read_bytes().count(b"Interrupted") == 1
    # Once no call is on, nobody needs to know.
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        for second in range(32, 40):
            journal.append(_frame(second))
        with pytest.raises(StoreError):
            journal.flush()
    journal.clear()
    journal.append(_frame(50))
    journal.close()
    assert path.read_bytes().splitlines() == [_frame(50)]


def test_flushes_are_synced_within_100_ms_and_together(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[float] = []
    monkeypatch.setattr(os, "fdatasync", lambda _file: synced.append(time.monotonic()))
    journal = Journal(path, fsync=True)
    began = time.monotonic()
    while time.monotonic() - began < 0.4:
        journal.append(b"frame")
        journal.flush()
        time.sleep(0.005)
    last = time.monotonic()
    until = last + 60
    while (not synced or synced[-1] < last) and time.monotonic() < until:
        time.sleep(0.01)
    took_s = time.monotonic() - began
    assert synced[-1] > last
    # A sync a tenth of a second: on a machine that is busy fewer, and never more.
    assert 2 <= len(synced) <= 10 * took_s + 1
    journal.close()


def test_a_disk_that_hangs_in_a_sync_stops_no_write(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hangs, mended = threading.Event(), threading.Event()

    def hang(_file: int) -> None:
        hangs.set()
        mended.wait(300)

    monkeypatch.setattr(os, "fdatasync", hang)
    journal = Journal(path, fsync=True)
    journal.append(b"first")
    journal.flush()
    assert hangs.wait(60)
    began = time.monotonic()
    for _ in range(100):
        journal.append(b"more")
        journal.flush()
    _replaced(journal, b"new")
    assert time.monotonic() - began < 60
    mended.set()
    journal.close()
    assert path.read_bytes() == b"new\n"


def test_only_the_owner_may_read_the_numbers_in_it(path: Path) -> None:
    journal = Journal(path)
    journal.append(b"frame")
    journal.flush()
    _replaced(journal, b"frame")
    journal.close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_without_a_path_nothing_is_kept() -> None:
    journal = Journal(None)
    journal.append(b"frame")
    journal.flush()
    journal.clear()
    assert (journal.size, list(journal.frames()), journal.torn) == (0, [], 0)
    journal.close()


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    said = f"calls.journal: the folder {tmp_path}/nowhere does not exist: create it, owned by the user of"
    with pytest.raises(StoreError, match=said):
        Journal(tmp_path / "nowhere" / "calls.journal")


def _call(number: int, kinds: tuple[str, ...], padding: int = 0) -> Iterator[bytes]:
    for second, kind in enumerate(kinds):
        channel = {"id": f"{number}.0", "name": f"PJSIP/trunk-{number:08x}", "state": "x" * padding}
        moment = f"2026-11-22T{number // 60 % 24:02d}:{number % 60:02d}:{second:02d}.000+0000"
        yield json.dumps({"type": kind, "timestamp": moment, "channel": channel}).encode()


def test_compacting_leaves_the_calls_in_progress_and_appending_goes_on(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "COMPACT_FROM", 20_000)
    monkeypatch.setattr(journal_module, "COMPACT_EVERY_S", 0.0)
    journal = Journal(path)
    (on,) = _call(0, ("ChannelCreated",))
    journal.append(on)
    number = 0
    while not journal.grown:
        number += 1
        for frame in _call(number, ("ChannelCreated", "ChannelDestroyed"), padding=500):
            journal.append(frame)
        journal.flush()
    before = journal.size
    compaction = journal.begin_compaction(journal.written)
    frames = compact(lambda: frames_in(compaction.source, compaction.size), limit_bytes=COMPACTED_LIMIT)
    _written(compaction, *frames)
    removed = journal.adopt(compaction)
    assert before - removed == journal.size == path.stat().st_size
    # The last ended only just now: a word of it may still be late.
    assert journal.size < 0.2 * before
    assert not journal.grown
    (later,) = _call(0, ("ChannelHold",))
    journal.append(later)
    journal.close()
    again = Journal(path)
    left = list(again.frames())
    again.close()
    assert left[0].startswith(b'{"type":"CallstewardCompacted"')
    assert left[1] == on
    assert left[-1] == later


def test_compacting_that_fails_keeps_everything_and_is_not_tried_at_once_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "COMPACT_FROM", 100)
    monkeypatch.setattr(journal_module, "COMPACT_EVERY_S", 0.0)
    journal = Journal(path)
    for frame in _call(1, ("ChannelCreated", "ChannelHold")):
        journal.append(frame)
    journal.flush()
    assert journal.grown
    kept = path.read_bytes()
    with monkeypatch.context() as broken:
        broken.setattr(Path, "replace", _no_room)
        with pytest.raises(StoreError, match="cannot compact"):
            _replaced(journal, b"kept")
    assert path.read_bytes() == kept
    assert not journal.grown
    journal.close()


def _no_room(_self: Path, _target: Path) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_compacting_waits_until_there_can_be_something_to_leave_out(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "COMPACT_FROM", 1)
    now_s = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now_s)
    journal = Journal(path)
    journal.append(b"frame")
    journal.flush()
    now_s += journal_module.COMPACT_EVERY_S - 1
    assert not journal.grown
    now_s += 1
    assert journal.grown
    compaction = journal.begin_compaction(journal.written)
    _written(compaction, b"frame")
    journal.adopt(compaction)
    journal.append(b"more and more")
    journal.flush()
    assert not journal.grown
    now_s += journal_module.COMPACT_EVERY_S
    assert journal.grown
    journal.clear()
    journal.append(b"frame")
    journal.flush()
    assert not journal.grown
    journal.close()
    # It may be old, for all that this process knows.
    again = Journal(path)
    assert again.grown
    again.close()
