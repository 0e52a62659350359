import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from callsteward.exceptions import StoreError
from callsteward.journal import compactor
from callsteward.journal.compaction import compact
from callsteward.journal.compactor import frames_in, lines

LIMIT = 1_000_000


def _calls(count: int) -> Iterator[bytes]:
    """Calls of a second each, a minute apart; the first goes on."""
    for number in range(count):
        for kind in ("ChannelCreated", "ChannelDestroyed")[: 1 if number == 0 else 2]:
            moment = f"2026-11-22T{number // 60:02d}:{number % 60:02d}:00.000+0000"
            channel = {"id": f"{number}.0", "name": f"PJSIP/trunk-{number:08x}"}
            yield json.dumps({"type": kind, "timestamp": moment, "channel": channel}).encode()


@pytest.fixture
def source(tmp_path: Path) -> Iterator[int]:
    path = tmp_path / "journal"
    path.write_bytes(b"".join(lines(_calls(300))))
    file = os.open(path, os.O_RDONLY)
    yield file
    os.close(file)


@pytest.fixture
def target(tmp_path: Path) -> Iterator[int]:
    file = os.open(tmp_path / "new", os.O_RDWR | os.O_CREAT | os.O_APPEND)
    yield file
    os.close(file)


async def test_the_process_writes_what_compaction_leaves_of_the_first_so_many_bytes(
    source: int, target: int, tmp_path: Path
) -> None:
    size = len(b"".join(lines(_calls(200))))
    await compactor.run(source, target, size=size, limit_bytes=LIMIT)
    left = (tmp_path / "new").read_bytes()
    assert left == b"".join(lines(compact(lambda: _calls(200), limit_bytes=LIMIT)))
    assert next(_calls(1)) in left
    assert 0 < len(left) < size / 2


async def test_a_process_that_cannot_write_says_why(source: int, tmp_path: Path) -> None:
    unwritable = os.open(tmp_path / "journal", os.O_RDONLY)
    try:
        with pytest.raises(StoreError, match="cannot compact the journal: Bad file descriptor"):
            await compactor.run(source, unwritable, size=1000, limit_bytes=LIMIT)
    finally:
        os.close(unwritable)


async def test_a_process_that_is_killed_is_no_success(
    source: int, target: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(StoreError, match="its process ended with 1"):
        await compactor.run(source, target, size=1000, limit_bytes=LIMIT)


async def test_cancelled_it_leaves_no_process(
    target: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[asyncio.subprocess.Process] = []
    running = asyncio.Event()
    create = asyncio.create_subprocess_exec

    async def noted(*_command: str, **_files: int) -> asyncio.subprocess.Process:
        begun.append(await create("/bin/sleep", "600"))
        running.set()
        return begun[0]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", noted)
    task = asyncio.create_task(compactor.run(target, target, size=0, limit_bytes=LIMIT))
    await running.wait()
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert begun[0].returncode == -9


def test_an_orphan_stops(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(compactor, "frames_in", lambda _file, _size: _calls(3))
    assert compactor.main(["1000", str(LIMIT), "1"]) == 1
    assert "the daemon is gone" in capsys.readouterr().err


@pytest.mark.parametrize("chunk", [1, 7, 64, 100_000])
def test_frames_are_whole_however_they_are_read(
    source: int, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compactor, "_CHUNK", chunk)
    assert list(frames_in(source, 10**9)) == list(_calls(300))
    assert list(frames_in(source, len(b"".join(lines(_calls(2)))))) == list(_calls(2))
