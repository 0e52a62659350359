import io

import pytest

from callsteward.ari.events import Channel, Snapshot, decode
from callsteward.ari.marks import snapshot_frame
from callsteward.ari.recorder import Recorder


def test_frames_are_written_as_they_came_one_a_line(tmp_path):
    path = tmp_path / "calls.jsonl"
    with Recorder(path) as recorder:
        recorder.write(b'{"type":"Odd",  "n":1}')
        recorder.write(b'{"type":\n"Odd"}')
        recorder.flush()
        assert path.read_bytes() == b'{"type":"Odd",  "n":1}\n{"type":\r"Odd"}\n'
    with Recorder(path) as recorder:
        recorder.write(b"{}")
    assert path.read_bytes().count(b"\n") == 3


def test_a_stream_is_left_open():
    stream = io.BytesIO()
    with Recorder(stream) as recorder:
        recorder.write(b"{}")
    assert stream.getvalue() == b"{}\n"


def test_a_recorder_that_is_not_open_says_so(tmp_path):
    with pytest.raises(ValueError, match="with statement"):
        Recorder(tmp_path / "x").write(b"{}")


def test_a_snapshot_reads_back_as_it_was():
    found = Snapshot(
        timestamp="2026-11-22T02:01:21.181+0000",
        channels=(Channel(id="1.1", name="PJSIP/101-00000001", state="Up"),),
        gap_from="2026-11-22T02:01:11.000+0000",
    )
    assert decode(snapshot_frame(found)) == found
