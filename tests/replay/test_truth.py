"""Every recorded stream gives the record that its phones, and Asterisk's own books, tell of."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from callsteward.config import Config, Privacy
from callsteward.record.call import encode
from tests.judge.expected import CAPTURES as EXPECTED_CAPTURES
from tests.judge.expected import EXPECTED
from tests.judge.expected16 import BROKEN, EXPECTED_16
from tests.judge.expected_iax import EXPECTED_IAX
from tests.judge.truth import Truth
from tests.judge.verdict import errors, main_record
from tests.lab.lanes import Driver
from tests.replay.streams import CAPTURES, STREAMS, STREAMS_16, STREAMS_IAX, lines_of, records_of

ON_16 = [(driver, path) for driver, paths in STREAMS_16.items() for path in paths]
ALL = [*CAPTURES, *STREAMS, *(path for _, path in ON_16), *STREAMS_IAX]


def _name(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


@pytest.mark.parametrize("path", CAPTURES, ids=_name)
def test_capture_gives_the_record_that_its_phones_confirm(path: Path) -> None:
    truth = Truth.load(path.with_suffix(".truth.json"))
    assert errors(records_of(lines_of(path)), truth, EXPECTED_CAPTURES[path.stem]) == []


@pytest.mark.parametrize("path", STREAMS, ids=_name)
def test_stream_gives_the_record_that_its_phones_confirm(path: Path) -> None:
    truth = Truth.load(path.with_suffix(".truth.json"))
    assert errors(records_of(lines_of(path)), truth, EXPECTED[path.stem]) == []


@pytest.mark.parametrize(("driver", "path"), ON_16, ids=lambda item: getattr(item, "stem", item))
def test_stream_of_asterisk_16_gives_the_record_that_its_phones_confirm(driver: Driver, path: Path) -> None:
    truth = Truth.load(path.with_suffix(".truth.json"))
    assert errors(records_of(lines_of(path)), truth, EXPECTED_16[driver][path.stem]) == []


@pytest.mark.parametrize("path", STREAMS_IAX, ids=_name)
def test_stream_over_iax2_gives_the_record_that_its_phones_confirm(path: Path) -> None:
    """chan_iax2 asks for the hang-up of each channel that Asterisk ends: that is nobody's hang-up."""
    truth = Truth.load(path.with_suffix(".truth.json"))
    assert errors(records_of(lines_of(path)), truth, EXPECTED_IAX[path.stem]) == []


@pytest.mark.parametrize("path", ALL, ids=_name)
def test_records_do_not_depend_on_channelvars(path: Path) -> None:
    """`hangupsource` may only add evidence; nothing else may rest on it."""
    lines = lines_of(path)
    bare = [re.sub(rb',"channelvars":\{[^}]*\}', b"", line) for line in lines]

    def essence(source: list[bytes]) -> list[object]:
        records = [json.loads(encode(record)) for record in records_of(source)]
        for record in records:
            del record["hangup"]["evidence"]
        return records

    assert essence(bare) == essence(lines)


@pytest.mark.parametrize("path", ALL, ids=_name)
def test_replay_is_deterministic_and_needs_no_filtered_events(path: Path) -> None:
    lines = lines_of(path)
    filtered = [line for line in lines if b'"ChannelVarset"' not in line and b'"ChannelDialplan"' not in line]
    once = [encode(record) for record in records_of(lines)]
    assert [encode(record) for record in records_of(filtered)] == once
    assert [encode(record) for record in records_of(lines)] == once


@pytest.mark.parametrize("path", ALL, ids=_name)
def test_no_record_holds_a_whole_number(path: Path) -> None:
    for record in records_of(lines_of(path), Config(privacy=Privacy(hmac_key=SecretStr("a key")))):
        assert re.search(rb"7(903|900)\d{7}", encode(record)) is None


def test_every_scenario_has_a_stream() -> None:
    assert {path.stem for path in STREAMS} == set(EXPECTED)
    assert {path.stem for path in STREAMS_IAX} == set(EXPECTED_IAX)


@pytest.mark.parametrize("driver", STREAMS_16)
def test_both_drivers_have_the_same_streams_and_every_way_a_talk_breaks(driver: Driver) -> None:
    names = {path.stem for path in STREAMS_16[driver]}
    assert names >= set(BROKEN)
    assert names == {path.stem for path in STREAMS_16["pjsip"]}
    assert len(names) == 53


@pytest.mark.parametrize("name", ["attended", "attended_queue", "attended_dtmf"])
def test_an_unnamed_target_of_an_attended_transfer_is_who_then_has_the_client(
    name: str,
) -> None:
    """As a real 22.10 did it once: the giver has left both bridges before the event, which names nobody."""
    path = next(path for path in STREAMS if path.stem == name)
    unnamed = []
    for line in lines_of(path):
        event = json.loads(line)
        event.pop("transfer_target", None)
        unnamed.append(json.dumps(event).encode())
    (transfer,) = main_record(records_of(unnamed), EXPECTED[name]).transfers
    assert (transfer.kind.value, transfer.by, transfer.to, transfer.result.value) == (
        "attended",
        "101",
        "102",
        "completed",
    )


def test_silence_is_the_pause_the_phones_made() -> None:
    path = next(path for path in STREAMS if path.stem == "silence")
    truth = Truth.load(path.with_suffix(".truth.json"))
    record = main_record(records_of(lines_of(path)), EXPECTED["silence"])
    spells = sorted(truth.spells("talk", "hush", client=True) + truth.spells("talk", "hush", client=False))
    pauses = [(end, start - end) for (_, end), (start, _) in itertools.pairwise(spells)]
    longest = max(pauses, key=lambda pause: pause[1])
    assert record.silences is not None
    (silence,) = record.silences
    assert silence.duration_s == pytest.approx(longest[1], abs=0.25)


def test_the_second_of_two_hang_ups_counts_also_after_the_bridge_is_gone() -> None:
    """Both hang up at once: Asterisk reports the second hang-up before or after it takes the bridge down."""
    path = next(path for path in STREAMS if path.stem == "both_bye")
    lines = lines_of(path)
    asked = [line for line in lines if b'"ChannelHangupRequest"' in line and b'"soft"' not in line]
    left = [line for line in lines if b'"ChannelLeftBridge"' in line]
    assert len(asked) == len(left) == 2
    lines.remove(asked[1])
    lines.insert(lines.index(left[1]) + 1, asked[1])
    truth = Truth.load(path.with_suffix(".truth.json"))
    assert errors(records_of(lines), truth, EXPECTED["both_bye"]) == []
