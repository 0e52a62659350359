"""Recording a live PBX: the daemon's own connection under another application name, into a file."""

from __future__ import annotations

import asyncio
from pathlib import Path

from callsteward.ari.client import ClientLink
from callsteward.ari.frames import FrameQueue
from callsteward.ari.recorder import Recorder
from callsteward.ari.rest import HttpTransport, Rest, open_session
from callsteward.config import Config
from callsteward.health import Counters
from callsteward.network.waiting import cancelled

# The daemon's own name would take the daemon's connection away.
APPLICATION = "callsteward-record"
_BATCH = 500
# How soon a stop is noticed on a quiet PBX.
_LOOK_S = 0.2


async def record(config: Config, file: Path, stop: asyncio.Event, for_s: float | None) -> int:
    """Append the stream to `file` until `stop` is set or `for_s` is over; returns how many lines.

    Raises AriError where Asterisk does not answer at the start; later losses are bridged by reconnecting,
    as in the daemon.
    """
    asterisk = config.asterisk.model_copy(update={"app": APPLICATION, "connect": "client"})
    config = config.model_copy(update={"asterisk": asterisk})
    frames = FrameQueue(Counters())
    async with open_session(asterisk) as session:
        await Rest(HttpTransport(session, asterisk)).info()
        link = ClientLink(config, frames, session=session, on_change=lambda _up, _why: None)
        with Recorder(file) as recorder:
            connection = asyncio.create_task(link.run(), name="ari-link")
            written = 0
            try:
                async with asyncio.timeout(for_s):
                    while not stop.is_set():
                        await frames.wait(_LOOK_S)
                        written += await _write(frames, recorder)
            except TimeoutError:
                pass
            finally:
                await cancelled(connection)
            return written + await _write(frames, recorder)


async def _write(frames: FrameQueue, recorder: Recorder) -> int:
    """Write what has arrived; returns how many lines."""
    written = 0
    while batch := frames.take(_BATCH):
        for frame in batch:
            recorder.write(frame.raw)
        await frames.done(len(batch))
        written += len(batch)
    recorder.flush()
    return written
