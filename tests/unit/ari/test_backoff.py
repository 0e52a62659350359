import random

from callsteward.network.backoff import Backoff


def test_delays_double_up_to_the_limit_and_keep_to_the_upper_half_of_their_step():
    backoff = Backoff(0.5, 4.0, rng=random.Random(1))
    for step in (0.5, 1.0, 2.0, 4.0, 4.0, 4.0):
        assert step / 2 <= backoff.next_s() <= step


def test_two_daemons_do_not_return_in_the_same_instant():
    first, second = Backoff(rng=random.Random(1)), Backoff(rng=random.Random(2))
    assert [first.next_s() for _ in range(5)] != [second.next_s() for _ in range(5)]


def test_after_a_reset_the_first_delay_is_short_again():
    backoff = Backoff(0.5, 60.0)
    for _ in range(10):
        backoff.next_s()
    backoff.reset()
    assert backoff.next_s() <= 0.5
