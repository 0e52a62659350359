from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from callsteward.calls import timeline

Span = tuple[int, int]

# Few and small numbers, so that spans touch, overlap and coincide often.
spans = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=8)
tidy = spans.map(timeline.union)


def moments(of: list[Span]) -> set[int]:
    """The model: every millisecond there is."""
    return {ms for start, end in of for ms in range(start, end)}


def tidily(of: list[Span]) -> bool:
    """Sorted, none empty, none touching the next."""
    return all(start < end for start, end in of) and all(left[1] < right[0] for left, right in pairwise(of))


def test_spans_that_touch_are_one():
    assert timeline.union([(5, 9), (0, 5)]) == [(0, 9)]


def test_a_span_inside_another_adds_nothing():
    assert timeline.union([(0, 10), (2, 3), (10, 10), (9, 4)]) == [(0, 10)]


def test_total_is_the_sum_of_lengths():
    assert timeline.total([(0, 10), (15, 16)]) == 11
    assert timeline.total([]) == 0


@given(spans)
def test_union_has_the_same_moments_and_is_tidy(of: list[Span]):
    joined = timeline.union(of)
    assert moments(joined) == moments(of)
    assert tidily(joined)
    assert timeline.total(joined) == len(moments(of))


@given(tidy, tidy)
def test_intersection_is_where_both_are(left: list[Span], right: list[Span]):
    common = timeline.intersection(left, right)
    assert moments(common) == moments(left) & moments(right)
    assert tidily(common)


@given(tidy, tidy)
def test_difference_is_where_only_the_left_is(left: list[Span], right: list[Span]):
    rest = timeline.difference(left, right)
    assert moments(rest) == moments(left) - moments(right)
    assert all(start < end for start, end in rest)


@given(tidy, tidy)
def test_difference_and_intersection_make_up_the_left(left: list[Span], right: list[Span]):
    parts = [*timeline.difference(left, right), *timeline.intersection(left, right)]
    assert timeline.union(parts) == left


@given(tidy, tidy, st.integers(1, 20))
def test_silences_are_the_pauses_of_at_least_the_limit(talk: list[Span], speech: list[Span], limit: int):
    found = timeline.silences(talk, speech, limit)
    quiet = moments(talk) - moments(speech)
    runs = timeline.union([(ms, ms + 1) for ms in quiet])
    assert found == [(start, end) for start, end in runs if end - start >= limit]


def test_a_pause_counts_as_silence_from_exactly_the_limit_on():
    talk = [(0, 30_000)]
    assert timeline.silences(talk, [(0, 20_000)], 10_000) == [(20_000, 30_000)]
    assert timeline.silences(talk, [(0, 20_001)], 10_000) == []


@given(tidy, tidy, st.integers(0, 20))
def test_interruptions_are_starts_inside_the_others_speech_that_go_on(
    by: list[Span], over: list[Span], least: int
):
    expected = 0
    for start, end in by:
        spoken_over = [
            min(end, over_end) - start for over_start, over_end in over if over_start < start < over_end
        ]
        expected += any(length >= least for length in spoken_over)
    assert timeline.interruptions(by, over, least) == expected


def test_starting_at_the_same_moment_interrupts_nobody():
    assert timeline.interruptions([(10, 20)], [(10, 20)], 0) == 0


def test_an_interruption_counts_from_its_least_length():
    assert timeline.interruptions([(500, 1000)], [(0, 2000)], 500) == 1
    assert timeline.interruptions([(501, 1000)], [(0, 2000)], 500) == 0


def test_starting_as_the_other_stops_interrupts_nobody():
    assert timeline.interruptions([(10, 20)], [(0, 10)], 0) == 0


@given(st.lists(st.tuples(st.integers(0, 10**13), st.integers(0, 10**13)), max_size=70))
def test_speech_is_given_back_as_it_was_added_however_much_of_it(added: list[tuple[int, int]]):
    spoken = timeline.Spoken()
    for start, end in added:
        spoken.add(start, end)
    assert spoken.spans() == added
