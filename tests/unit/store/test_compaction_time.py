"""A compacted journal gives the same times as the whole one, whichever frames were removed."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from callsteward.ari.events import event_type
from callsteward.config import Config, RatingSettings, Tags
from callsteward.journal import compaction
from callsteward.journal.compaction import compact
from callsteward.record.call import CallRecord
from callsteward.recording.replay import ReplayCounts, replay
from tests.unit.calls.stream import Stream, at

OFF = Config()
TAGS = Config(tags=Tags(enabled=True))
RATING = Config(rating=RatingSettings(enabled=True))


@pytest.fixture(autouse=True)
def no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "GRACE_MS", 0)


def stamp(second: float) -> str:
    return at(second).replace("Z", "+0000")


def records(frames: Sequence[bytes], config: Config = OFF) -> list[CallRecord]:
    def broken(number: int, error: Exception) -> None:
        raise AssertionError(number) from error

    return list(replay(frames, config, ReplayCounts(), broken))


def compacted(frames: Sequence[bytes], times: int = 1) -> list[bytes]:
    for _ in range(times):
        frames = _once(frames)
    return list(frames)


def _once(frames: Sequence[bytes]) -> list[bytes]:
    return list(compact(lambda: frames, limit_bytes=1 << 40))


def a_call_over_while_another_is_on() -> Stream:
    """The one that is on began at 0; the other was over at 20."""
    s = Stream()
    s.incoming(number="79000000001")
    s.at(10)
    client, _ = s.talk()
    s.at(20)
    s.bye(client)
    return s


def unseen_from(found: Sequence[CallRecord]) -> list[str]:
    return [span.from_ for record in found for span in record.unobserved if span.to is None and span.from_]


@pytest.mark.parametrize("times", [1, 3])
def test_an_open_call_is_unobserved_from_the_last_event_even_if_that_was_removed(times: int) -> None:
    frames = a_call_over_while_another_is_on().frames()
    left = compacted(frames, times)
    assert len(left) < len(frames)
    whole = records(frames)
    assert records(left) == [whole[-1]]
    assert unseen_from(whole) == [at(20)]


@pytest.mark.parametrize(("config", "second"), [(OFF, 20), (TAGS, 25), (RATING, 25)])
@pytest.mark.parametrize("times", [1, 3])
def test_a_userevents_time_counts_only_while_tags_or_ratings_are_on(
    config: Config, second: int, times: int
) -> None:
    s = a_call_over_while_another_is_on()
    s.at(25)
    s.emit("ChannelUserevent", eventname="other", userevent={})
    s.at(30)
    s.emit("DeviceStateChanged", device_state={"name": "PJSIP/101", "state": "NOT_INUSE"})
    s.at(35)
    s.emit("ContactStatusChange")
    frames = s.frames()
    whole = records(frames, config)
    assert records(compacted(frames, times), config) == [whole[-1]]
    assert unseen_from(whole) == [at(second)]


def test_an_event_without_a_timestamp_keeps_the_time_of_a_removed_one() -> None:
    s = a_call_over_while_another_is_on()
    (waiting,) = s.phones
    frames = s.frames()
    s.at(40)
    s.destroy(waiting)
    last = json.dumps(json.loads(s.frames()[-1]) | {"timestamp": ""}).encode()
    whole = records([*frames, last])
    assert records([*compacted(frames), last]) == [whole[-1]]
    assert whole[-1].ended_at == at(20)


def test_a_run_of_events_of_one_moment_leaves_one_mark() -> None:
    kinds = [event_type(frame) for frame in compacted(a_call_over_while_another_is_on().frames())]
    assert kinds == ["CallstewardCompacted", "ChannelCreated", "CallstewardCompacted"]


def test_a_run_in_which_time_went_back_tells_both_how_far_it_was_and_where_it_stands() -> None:
    s = a_call_over_while_another_is_on()
    frames = s.frames()
    late = next(frame for frame in frames if event_type(frame) == "ChannelHangupRequest")
    late = json.dumps(json.loads(late) | {"timestamp": stamp(15)}).encode()
    left = compacted([*frames, late])
    assert [(event_type(frame), json.loads(frame)["timestamp"]) for frame in left[2:]] == [
        ("CallstewardAdvanced", stamp(20)),
        ("CallstewardCompacted", stamp(15)),
    ]


TAG = "callsteward-tag"


def test_a_code_dialled_on_another_line_of_a_phone_stays_with_the_call_its_operator_is_in() -> None:
    s = Stream()
    client, _ = s.talk()
    s.at(10)
    second = s.dials("101", "*55")
    s.emit("ChannelUserevent", channel=second, eventname=TAG, userevent={"tag": "dropped"})
    s.at(11)
    s.bye(second)
    frames = s.frames()
    before = set(frames)
    s.at(20)
    s.bye(client)
    rest = [frame for frame in s.frames() if frame not in before]
    (record,) = records([*frames, *rest], TAGS)
    assert records([*compacted(frames), *rest], TAGS) == [record]
    assert record.hangup.evidence[-1] == "tag dropped by 101 (phone)"


def test_a_channel_known_by_a_code_alone_is_there_until_it_ends() -> None:
    """Its beginning was not seen; the tracker takes it in with that event."""
    s = Stream()
    phone = s.dials("101", "*55")
    s.unseen()
    s.emit("ChannelUserevent", channel=phone, eventname=TAG, userevent={"tag": "dropped"})
    (said,) = s.frames()
    assert compacted([said])[1:] == [said]
    s.bye(phone)
    assert said not in compacted(s.frames())
