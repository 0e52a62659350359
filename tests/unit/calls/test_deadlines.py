from hypothesis import given
from hypothesis import strategies as st

from callsteward.calls.deadlines import Deadline, Deadlines, Limit


def due(deadlines: Deadlines[str], now_ms: int) -> list[str | None]:
    fired: list[str | None] = []
    while (deadline := deadlines.pop_due(now_ms)) is not None:
        fired.append(deadline.target)
        deadline.target = None
    return fired


def test_without_deadlines_nothing_is_due():
    deadlines: Deadlines[str] = Deadlines()
    assert deadlines.next_ms is None
    assert deadlines.pop_due(10**15) is None
    assert not deadlines.may_be_due(10**15)


def test_a_deadline_is_due_at_its_moment_and_not_before():
    deadlines: Deadlines[str] = Deadlines()
    deadlines.add(1000, Limit.HOLD, 400, "a")
    assert deadlines.next_ms == 1000
    assert not deadlines.may_be_due(999)
    assert deadlines.pop_due(999) is None
    fired = deadlines.pop_due(1000)
    assert fired is not None
    assert (fired.at_ms, fired.since_ms, fired.limit, fired.target) == (1000, 400, Limit.HOLD, "a")
    assert deadlines.pop_due(1000) is None


def test_deadlines_fire_in_order_of_their_moments_and_then_of_their_setting():
    deadlines: Deadlines[str] = Deadlines()
    for at_ms, name in ((3, "d"), (1, "a"), (2, "b"), (2, "c"), (9, "z")):
        deadlines.add(at_ms, Limit.TALK, 0, name)
    assert due(deadlines, 5) == ["a", "b", "c", "d"]
    assert deadlines.next_ms == 9


def test_deadlines_keep_their_order_when_their_numbers_begin_again():
    deadlines: Deadlines[str] = Deadlines()
    dropped = deadlines.add(1, Limit.TALK, 0, "dropped")
    deadlines.add(2, Limit.TALK, 0, "b")
    deadlines.cancel(dropped)
    deadlines._added = (1 << 20) - 2  # a long-lived daemon's
    last = deadlines.add(1, Limit.TALK, 0, "a")
    first = deadlines.add(2, Limit.TALK, 0, "c")
    assert (last.key, first.key) == ((1 << 20) + 1, (2 << 20) + 3)
    deadlines.cancel(last)
    last = deadlines.add(1, Limit.TALK, 0, "a")
    assert deadlines.next_ms == 1
    assert due(deadlines, 5) == ["a", "b", "c"]


def test_a_cancelled_deadline_lets_its_target_go_at_once_and_never_fires():
    deadlines: Deadlines[str] = Deadlines()
    first = deadlines.add(1, Limit.RING, 0, "a")
    deadlines.add(2, Limit.RING, 0, "b")
    deadlines.cancel(first)
    deadlines.cancel(first)
    assert first.target is None
    assert deadlines.next_ms == 2
    assert due(deadlines, 2) == ["b"]


def test_cancelling_a_deadline_that_fired_does_nothing():
    deadlines: Deadlines[str] = Deadlines()
    first = deadlines.add(1, Limit.RING, 0, "a")
    assert due(deadlines, 1) == ["a"]
    deadlines.cancel(first)
    deadlines.add(2, Limit.RING, 0, "b")
    assert due(deadlines, 2) == ["b"]


def test_many_cancelled_deadlines_take_no_room():
    deadlines: Deadlines[str] = Deadlines()
    kept = deadlines.add(10**9, Limit.TALK, 0, "kept")
    for round_ in range(1000):
        deadlines.cancel(deadlines.add(10**8 + round_, Limit.HOLD, 0, "gone"))
    assert len(deadlines._heap) <= 130
    assert due(deadlines, 10**9) == [kept.target or "kept"]


@given(st.lists(st.tuples(st.integers(0, 50), st.booleans()), max_size=300), st.integers(0, 60))
def test_every_deadline_that_was_set_and_not_cancelled_becomes_due(plan: list[tuple[int, bool]], now: int):
    deadlines: Deadlines[str] = Deadlines()
    made: list[Deadline[str]] = [
        deadlines.add(at_ms, Limit.HOLD, 0, f"{at_ms}/{index}") for index, (at_ms, _) in enumerate(plan)
    ]
    for deadline, (_, dropped) in zip(made, plan, strict=True):
        if dropped:
            deadlines.cancel(deadline)
    left = sorted(
        ((at_ms, index) for index, (at_ms, dropped) in enumerate(plan) if not dropped and at_ms <= now)
    )
    assert due(deadlines, now) == [f"{at_ms}/{index}" for at_ms, index in left]
