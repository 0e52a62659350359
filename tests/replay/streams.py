"""The recorded streams, and the records they come to."""

from __future__ import annotations

from pathlib import Path

from callsteward.config import Config
from callsteward.exceptions import MalformedEventError
from callsteward.record.call import CallRecord
from callsteward.recording.replay import ReplayCounts, replay
from tests.lab.lanes import Driver

HERE = Path(__file__).parent
CAPTURES = sorted((HERE / "captures").glob("*.jsonl"))
STREAMS = sorted((HERE / "streams").glob("*.jsonl"))
# The same scenarios, and talks that break, on Asterisk 16: phones on chan_pjsip, and on chan_sip.
STREAMS_16: dict[Driver, list[Path]] = {
    "pjsip": sorted((HERE / "streams16").glob("*.jsonl")),
    "sip": sorted((HERE / "streams_sip16").glob("*.jsonl")),
}
# Clients behind an IAX2 trunk, on Asterisk 22.
STREAMS_IAX = sorted((HERE / "streams_iax").glob("*.jsonl"))
# The field site's calls, on Asterisk 22 and on 16.
FIELD = sorted((HERE / "field").glob("*.jsonl"))
FIELD_16: dict[Driver, list[Path]] = {
    "pjsip": sorted((HERE / "field16").glob("*.jsonl")),
    "sip": sorted((HERE / "field_sip16").glob("*.jsonl")),
}


def records_of(lines: list[bytes], config: Config | None = None) -> list[CallRecord]:
    """The records of a stream without broken lines."""

    def broken(number: int, error: MalformedEventError) -> None:
        message = f"line {number}: {error}"
        raise AssertionError(message)

    return list(replay(lines, config or Config(), ReplayCounts(), broken))


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)
