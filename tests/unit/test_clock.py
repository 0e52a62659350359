from callsteward.clock import EventClock

NOON = 1_795_348_800_000


def test_no_event_no_time():
    assert EventClock().now_ms() is None
    assert EventClock().monotonic_s(NOON) is None


def test_time_goes_on_from_the_last_event():
    clock = EventClock()
    clock.observe(NOON, 100.0)
    assert clock.now_ms(100.0) == NOON
    assert clock.now_ms(107.5) == NOON + 7_500


def test_an_event_that_was_queued_for_long_does_not_set_the_clock_back():
    clock = EventClock()
    clock.observe(NOON, 100.0)
    clock.observe(NOON + 1_000, 110.0)
    assert clock.now_ms(110.0) == NOON + 10_000


def test_a_prompter_event_sets_the_clock_forward():
    clock = EventClock()
    clock.observe(NOON, 110.0)
    clock.observe(NOON + 9_900, 110.1)
    assert clock.now_ms(110.1) == NOON + 9_900


def test_a_clock_that_was_set_back_is_followed_within_a_minute():
    clock = EventClock()
    clock.observe(NOON, 100.0)
    for second in range(1, 62):
        clock.observe(NOON - 3_600_000 + second * 1000, 100.0 + second)
    clock.observe(NOON - 3_600_000 + 63_000, 163.0)
    assert clock.now_ms(163.0) == NOON - 3_600_000 + 63_000


def test_a_guess_serves_until_an_event_comes_and_not_a_moment_longer():
    clock = EventClock()
    clock.guess(NOON, 100.0)
    assert clock.now_ms(101.0) == NOON + 1_000
    clock.observe(NOON - 3_600_000, 102.0)
    assert clock.now_ms(102.0) == NOON - 3_600_000


def test_a_clock_that_is_known_to_be_set_is_followed_at_once():
    clock = EventClock()
    clock.guess(NOON, 90.0)
    clock.move(5_000)
    assert clock.now_ms(90.0) == NOON + 5_000
    clock.observe(NOON, 100.0)
    clock.observe(NOON + 31_000, 131.0)
    clock.move(-3_600_000)
    assert clock.now_ms(131.0) == NOON - 3_600_000 + 31_000


def test_a_clock_that_was_set_is_unknown_until_the_next_event():
    clock = EventClock()
    clock.observe(3_600_000, 10.0)
    clock.forget()
    assert clock.now_ms(11.0) is None
    clock.observe(5_000, 12.0)
    assert clock.now_ms(12.0) == 5_000
