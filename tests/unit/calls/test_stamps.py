import pytest
from hypothesis import given
from hypothesis import strategies as st

from callsteward.ari.events import epoch_ms, timestamp
from callsteward.calls.stamps import Stamps

NOON = 1_795_348_800_000


def test_stamps_of_one_second_are_told_apart_by_their_milliseconds():
    stamps = Stamps()
    assert stamps.ms("2026-11-22T12:00:00.000+0000") == NOON
    assert stamps.ms("2026-11-22T12:00:00.999+0000") == NOON + 999
    assert stamps.ms("2026-11-22T12:00:01.001+0000") == NOON + 1_001
    assert stamps.ms("2026-11-22T12:00:00.059+0000") == NOON + 59


def test_seconds_of_one_minute_and_of_others_are_told_apart():
    stamps = Stamps()
    assert stamps.ms("2026-11-22T12:00:00.005+0000") == NOON + 5
    assert stamps.ms("2026-11-22T12:00:59.999+0000") == NOON + 59_999
    assert stamps.ms("2026-11-22T12:00:60.001+0000") == NOON + 60_001  # a leap second
    assert stamps.ms("2026-11-22T12:01:00.002+0000") == NOON + 60_002
    assert stamps.ms("2026-11-22T12:00:07.003+0000") == NOON + 7_003
    assert stamps.ms("2026-11-22T12:00:0x.003+0000") is None


def test_text_that_is_no_timestamp_gives_the_default():
    stamps = Stamps()
    assert stamps.ms_or("2026-11-22T12:00:00.005+0000", 7) == NOON + 5
    assert stamps.ms_or("2026-11-22T12:00:00.0x5+0000", 7) == 7
    assert stamps.ms_or("2026-11-22T12:00:99x.5+0000", 7) == 7
    assert stamps.ms_or("", 7) == 7


def test_the_same_second_in_another_zone_is_another_moment():
    stamps = Stamps()
    assert stamps.ms("2026-11-22T12:00:00.000+0000") == NOON
    assert stamps.ms("2026-11-22T12:00:00.000+0300") == NOON - 3 * 3_600_000


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "yesterday",
        "2026-11-22T12:00:00",
        "2026-11-22T12:00:00.",
        "2026-11-22T12:00:00.0x1+0000",
        "2026-11-22T12:00:00.001",
        "2026-11-22T25:00:00.001+0000",
        "2026-11-22T12:00:00.001+9999",
    ],
)
def test_text_that_is_no_timestamp_gives_none_and_keeps_the_cache_right(wrong: str):
    stamps = Stamps()
    assert stamps.ms(wrong) is None
    assert stamps.ms("2026-11-22T12:00:00.001+0000") == NOON + 1
    assert stamps.ms(wrong) is None
    assert stamps.ms("2026-11-22T12:00:00.002+0000") == NOON + 2


PIECES = st.lists(
    st.one_of(
        st.integers(0, 2_000).map(lambda ms: timestamp(NOON + ms)),
        st.integers(0, 10**13).map(timestamp),
        st.integers(0, 1999).map(lambda ms: timestamp(NOON + ms).replace("+0000", "+0530")),
        st.tuples(st.integers(0, 1999), st.integers(0, 28), st.text(max_size=2)).map(
            lambda damage: timestamp(NOON + damage[0])[: damage[1]] + damage[2] + "9+0000"
        ),
        st.text(max_size=30),
    ),
    max_size=12,
)


@given(PIECES)
def test_a_stamp_is_read_like_epoch_ms_whatever_came_before(stream: list[str]):
    stamps = Stamps()
    assert [stamps.ms(stamp) for stamp in stream] == [epoch_ms(stamp) for stamp in stream]
