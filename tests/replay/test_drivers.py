"""The same calls, reported as another channel driver would report them, give the same records."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from callsteward.record.call import encode
from tests.replay.streams import CAPTURES, FIELD, STREAMS, lines_of, records_of

# The states in which a driver creates a channel that calls in; with chan_pjsip it is Ring.
STATES = {"chan_sip": ("Down", "Ring"), "dahdi": ("Rsrvd", "Ring")}


# In one all ids are a program's own.
WITH_ASTERISKS_IDS = [path for path in (*CAPTURES, *STREAMS, *FIELD) if path.stem != "dialler_id_again"]


def _retold(lines: list[bytes], states: tuple[str, ...]) -> list[bytes]:
    """A stream whose incoming channels were made by another driver."""
    told: list[bytes] = []
    for line in lines:
        event = json.loads(line)
        if event["type"] != "ChannelCreated" or event["channel"]["state"] != "Ring":
            told.append(line)
            continue
        for state in states:
            event["channel"]["state"] = state
            told.append(json.dumps(event).encode())
            event["type"] = "ChannelStateChange"
    return told


@pytest.mark.parametrize("driver", STATES)
@pytest.mark.parametrize("path", [*CAPTURES, *STREAMS], ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_records_do_not_depend_on_the_state_a_channel_is_made_in(path: Path, driver: str) -> None:
    lines = lines_of(path)
    retold = _retold(lines, STATES[driver])
    assert len(retold) > len(lines)
    assert list(map(encode, records_of(retold))) == list(map(encode, records_of(lines)))


@pytest.mark.parametrize("path", WITH_ASTERISKS_IDS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_systemname_before_each_channel_id_changes_nothing_else(path: Path) -> None:
    """asterisk.conf, `systemname = east`: ids are east-1795969494.199."""
    lines = lines_of(path)
    named = [re.sub(rb'"(\d{10}\.\d+)"', rb'"east-\1"', line) for line in lines]
    assert named != lines
    told = [encode(record).replace(b'"east-', b'"') for record in records_of(named)]
    assert told == [encode(record) for record in records_of(lines)]
