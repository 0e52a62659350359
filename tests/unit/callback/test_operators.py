"""The operator asked to call back: first the one who had the client, then any free one."""

from callsteward.callback.operators import choose
from callsteward.callback.states import CallbackRow, CallbackState
from callsteward.config import CallbackSettings

NOW = 1_795_348_800_000
LINE = ("101", "102", "103")


def asked(*, operator="102", waited_s=0.0, busy=(), tried=None, of_line=LINE) -> str | None:
    callback = CallbackRow(
        id="1.1",
        site="main",
        origin_call_id="1.1",
        line="support",
        number="+79031234567",
        client_masked=None,
        client_ref=None,
        operator=operator,
        state=CallbackState.DUE,
        reason="",
        dropped_at_ms=NOW,
        created_at_ms=NOW,
        changed_at_ms=NOW,
    )
    now_ms = NOW + int(waited_s * 1000)
    seconds = {name: NOW + int(at * 1000) for name, at in (tried or {}).items()}
    return choose(callback, CallbackSettings(), of_line, busy=busy, tried=seconds, now_ms=now_ms)


def test_who_had_the_client_is_asked_first():
    assert asked() == "102"


def test_while_they_are_busy_the_others_wait_twenty_seconds():
    assert asked(busy={"102"}) is None
    assert asked(busy={"102"}, waited_s=19.9) is None
    assert asked(busy={"102"}, waited_s=20) == "101"


def test_when_they_did_not_answer_the_next_is_asked_at_once():
    assert asked(tried={"102": 5}, waited_s=6) == "101"
    assert asked(tried={"102": 5, "101": 10}, waited_s=11) == "103"


def test_who_did_not_answer_is_asked_again_after_a_while_and_longest_ago_first():
    everybody = {"102": 0, "101": 5, "103": 3}
    assert asked(tried=everybody, waited_s=10) is None
    assert asked(tried=everybody, waited_s=20) == "102"
    assert asked(tried={**everybody, "102": 20}, waited_s=26) == "103"


def test_nobody_is_free():
    assert asked(busy=set(LINE), waited_s=60) is None


def test_without_a_known_operator_the_callback_goes_to_the_line():
    assert asked(operator=None) == "101"


def test_who_had_the_client_is_asked_though_the_line_does_not_list_them():
    assert asked(operator="900") == "900"
    assert asked(operator="900", busy={"900"}, waited_s=21) == "101"


def test_a_name_that_could_mean_something_in_a_dial_string_is_never_asked():
    for name in ("101&PJSIP/102", "101@evil", "101,60", "${X}", "", "1" * 65):
        assert asked(operator=name, of_line=(), waited_s=60) is None
