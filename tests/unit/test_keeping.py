"""A disk that hangs or refuses: the pump waits for it, the event loop does not."""

import asyncio
import errno
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog

from callsteward.ari.events import LeftCall
from callsteward.ari.marks import left
from callsteward.ari.recorder import Recorder
from callsteward.exceptions import StoreError
from callsteward.health import Counters
from callsteward.journal import compactor
from callsteward.journal import journal as journal_module
from callsteward.journal import keeping as keeping_module
from callsteward.journal.journal import Journal
from callsteward.journal.keeping import Keeping


class HungDisk:
    """Writes to the journal's file hang until `mend`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._mended = threading.Event()
        self.hanging = threading.Event()
        write = compactor.write

        def hang(file: int, chunk: bytes) -> None:
            self.hanging.set()
            assert self._mended.wait(300)
            write(file, chunk)

        monkeypatch.setattr(compactor, "write", hang)

    def mend(self) -> None:
        self._mended.set()


async def test_a_disk_that_hangs_is_said_and_stops_only_who_waits_for_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(keeping_module, "STALL_S", 0.2)
    counters = Counters()
    keeping = Keeping(Journal(tmp_path / "j"), None, counters)
    disk = HungDisk(monkeypatch)
    began = time.monotonic()
    kept = asyncio.create_task(keeping.keep([b"frame"]))
    await until(disk.hanging.is_set)
    hangs = time.monotonic()
    # The event loop goes on meanwhile: else nobody would come to `mend`.
    await until(lambda: counters.disk_stalls == 1)
    await asyncio.sleep(0.3)
    assert not kept.done()
    assert time.monotonic() - hangs - 0.1 < keeping.stalled_s <= time.monotonic() - began
    assert counters.disk_stalls == 1
    disk.mend()
    await kept
    assert keeping.stalled_s == 0
    await keeping.close()
    assert (tmp_path / "j").read_bytes() == b"frame\n"
    said = capsys.readouterr().out
    assert "disk_stalled" in said
    assert "disk_resumed" in said


async def test_a_stop_does_not_wait_for_a_disk_that_hangs(tmp_path, monkeypatch):
    keeping = Keeping(Journal(tmp_path / "j"), None, Counters())
    disk = HungDisk(monkeypatch)
    kept = asyncio.create_task(keeping.keep([b"frame"]))
    await asyncio.to_thread(disk.hanging.wait, 60)
    kept.cancel()
    with pytest.raises(asyncio.CancelledError):
        await kept
    began = time.monotonic()
    await keeping.close()
    assert time.monotonic() - began < 60
    disk.mend()


async def test_a_full_disk_is_counted_once_and_loses_neither_frame_nor_recording(tmp_path, monkeypatch):
    counters = Counters()
    with Recorder(tmp_path / "recording") as recorder:
        keeping = Keeping(Journal(tmp_path / "j"), recorder, counters)
        with monkeypatch.context() as broken:
            broken.setattr(os, "write", no_room)
            await keeping.keep([b"one"])
            await keeping.keep([b"two"])
            assert "No space left" in keeping.trouble
        await keeping.keep([b"three"])
        assert keeping.trouble == ""
        await keeping.mark(b"mark")
        await keeping.close()
    assert counters.disk_errors == 1
    assert (tmp_path / "j").read_bytes() == b"one\ntwo\nthree\nmark\n"
    assert (tmp_path / "recording").read_bytes() == b"one\ntwo\nthree\n"


def no_room(_file: int, _chunk: bytes) -> int:
    raise OSError(28, "No space left on device")


async def test_frames_that_no_call_needs_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(journal_module, "COMPACT_FROM", 50)
    monkeypatch.setattr(journal_module, "COMPACT_EVERY_S", 0.0)
    counters = Counters()
    keeping = Keeping(Journal(tmp_path / "j"), None, counters)
    await keeping.keep([b'{"type":"Unknown","timestamp":"2026-11-22T02:00:00.000+0000"}'] * 10)
    before = keeping.journal_bytes
    await keeping.tidy(calls_on=True)
    await keeping.tidy(calls_on=True)
    await until(lambda: counters.compactions == 1)
    assert 0 < keeping.journal_bytes < before
    await keeping.tidy(calls_on=False)
    assert keeping.journal_bytes == 0
    await keeping.close()
    assert (tmp_path / "j").read_bytes() == b""


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not happened():  # noqa: ASYNC110  # a counter tells nobody
            await asyncio.sleep(0.01)


class Hindered:
    """The compactor's process, which ends only when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun = asyncio.Event()
        self.may_end = asyncio.Event()
        run = compactor.run

        async def hindered(source: int, target: int, *, size: int, limit_bytes: int) -> None:
            self.begun.set()
            await self.may_end.wait()
            await run(source, target, size=size, limit_bytes=limit_bytes)

        monkeypatch.setattr(compactor, "run", hindered)


async def test_nobody_waits_for_a_compaction(tmp_path, monkeypatch):
    monkeypatch.setattr(journal_module, "COMPACT_FROM", 50)
    monkeypatch.setattr(journal_module, "COMPACT_EVERY_S", 0.0)
    counters = Counters()
    keeping = Keeping(Journal(tmp_path / "j"), None, counters)
    compacting = Hindered(monkeypatch)
    await keeping.keep([b'{"type":"Unknown","timestamp":"2026-11-22T02:00:00.000+0000"}'] * 10)
    await keeping.tidy(calls_on=True)
    await compacting.begun.wait()
    await keeping.keep([b'{"type":"Later"}'] * 10)
    await keeping.tidy(calls_on=True)
    assert counters.compactions == 0
    compacting.may_end.set()
    await until(lambda: counters.compactions == 1)
    await keeping.close()
    kept = (tmp_path / "j").read_bytes().splitlines()
    assert kept[-10:] == [b'{"type":"Later"}'] * 10
    assert len(kept) < 15
    assert [item.name for item in tmp_path.iterdir()] == ["j"]


async def test_a_stop_does_not_wait_for_a_compaction(tmp_path, monkeypatch):
    monkeypatch.setattr(journal_module, "COMPACT_FROM", 5)
    monkeypatch.setattr(journal_module, "COMPACT_EVERY_S", 0.0)
    keeping = Keeping(Journal(tmp_path / "j"), None, Counters())
    compacting = Hindered(monkeypatch)
    await keeping.keep([b"one frame"])
    await keeping.tidy(calls_on=True)
    await compacting.begun.wait()
    await keeping.close()
    assert (tmp_path / "j").read_bytes() == b"one frame\n"
    assert [item.name for item in tmp_path.iterdir()] == ["j"]


async def test_a_compaction_that_fails_is_said_and_loses_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(journal_module, "COMPACT_FROM", 5)
    monkeypatch.setattr(journal_module, "COMPACT_EVERY_S", 0.0)
    counters = Counters()
    keeping = Keeping(Journal(tmp_path / "j"), None, counters)
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    await keeping.keep([b"one frame"])
    await keeping.tidy(calls_on=True)
    said = ""

    def told() -> bool:
        nonlocal said
        said += capsys.readouterr().out
        return "compaction_failed" in said

    await until(told)
    assert "no process for it: No such file" in said
    await keeping.keep([b"another"])
    await keeping.close()
    assert (tmp_path / "j").read_bytes() == b"one frame\nanother\n"
    assert counters.compactions == 0
    assert [item.name for item in tmp_path.iterdir()] == ["j"]


async def test_a_journal_that_was_emptied_meanwhile_needs_no_compaction(tmp_path, monkeypatch, capsys):
    """The second time the process goes through it there is less of it than the first."""
    monkeypatch.setattr(journal_module, "COMPACT_FROM", 5)
    monkeypatch.setattr(journal_module, "COMPACT_EVERY_S", 0.0)
    emptied, over = asyncio.Event(), asyncio.Event()

    async def run(_source, _target, *, size, limit_bytes):
        await emptied.wait()
        over.set()
        message = f"{size} bytes for {limit_bytes} are not there any more"
        raise StoreError(message)

    monkeypatch.setattr(compactor, "run", run)
    keeping = Keeping(Journal(tmp_path / "j"), None, Counters())
    await keeping.keep([b"one frame"])
    await keeping.tidy(calls_on=True)
    await until((tmp_path / "j.new").exists)
    await keeping.tidy(calls_on=False)
    emptied.set()
    await over.wait()
    await until(lambda: not (tmp_path / "j.new").exists())
    await keeping.close()
    assert "compaction_failed" not in capsys.readouterr().out


async def test_before_compacting_a_mark_is_written_that_outlives_it(tmp_path, monkeypatch):
    monkeypatch.setattr(journal_module, "COMPACT_FROM", 50)
    monkeypatch.setattr(journal_module, "COMPACT_EVERY_S", 0.0)
    counters = Counters()
    mark = left([LeftCall("101", "1.1", "support", 1)])
    keeping = Keeping(Journal(tmp_path / "j"), None, counters, lambda: [mark])
    await keeping.keep([b'{"type":"Unknown","timestamp":"2026-11-22T02:00:00.000+0000"}'] * 10)
    await keeping.tidy(calls_on=True)
    await until(lambda: counters.compactions == 1)
    await keeping.close()
    assert mark in (tmp_path / "j").read_bytes().splitlines()


async def test_without_a_journal_and_a_recording_no_thread_is_needed():
    before = set(threading.enumerate())
    keeping = Keeping(Journal(None), None, Counters())
    await keeping.keep([b"frame"])
    await keeping.mark(b"mark")
    await keeping.tidy(calls_on=False)
    assert keeping.stalled_s == 0
    assert not [thread for thread in set(threading.enumerate()) - before if thread.name == "journal"]
    await keeping.close()


async def test_a_disk_that_does_not_sync_at_the_stop_is_said_and_stops_nothing(tmp_path, monkeypatch):
    keeping = Keeping(Journal(tmp_path / "j", fsync=True), None, Counters())
    assert await keeping.keep([b"frame"])

    def fail(_file: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fail)
    with structlog.testing.capture_logs() as logs:
        await keeping.close()
    assert "disk_fails_at_stop" in [entry["action"] for entry in logs]
    assert (tmp_path / "j").read_bytes() == b"frame\n"


def test_a_recording_that_cannot_be_begun_or_ended_is_reported(tmp_path):
    with (
        pytest.raises(StoreError, match=r"cannot record to .*/none/r\.jsonl: No such file"),
        Recorder(tmp_path / "none" / "r.jsonl"),
    ):
        pass
    with structlog.testing.capture_logs() as logs, Recorder(Path("/dev/full")) as recorder:
        recorder.write(b"frame")
    assert [entry["action"] for entry in logs] == ["recording_cut"]
