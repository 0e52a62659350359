"""The globals that lead a client who calls again to the operator they had."""

import pytest

from callsteward.callback.states import CallbackState
from callsteward.callback.sticky import written
from callsteward.exceptions import AriError
from callsteward.outgoing.words import Actor
from callsteward.record.numbering import NumberFormat
from tests.unit.callback.test_execution import NOON, Hotline

KEYS = {"79031234567", "89031234567", "9031234567"}
UNTIL = NOON // 1000 + 1800


@pytest.fixture
def hotline(store):
    hotline = Hotline(store, sticky=True)
    hotline.busy = ["101", "102"]
    return hotline


def told(hotline: Hotline) -> dict[str, str]:
    return {name.removeprefix("CALLSTEWARD_STICKY_"): value for name, value in hotline.pbx.globals.items()}


async def test_the_dialplan_knows_the_operator_however_the_line_writes_the_number(hotline):
    await hotline.drop()
    await hotline.work()
    assert told(hotline) == dict.fromkeys(KEYS, f"101:{UNTIL}")


async def test_off_by_default(store):
    hotline = Hotline(store)
    await hotline.drop()
    await hotline.work()
    assert told(hotline) == {}


async def test_for_a_client_who_calls_again_it_stays_until_it_counts_no_more(hotline):
    await hotline.drop()
    await hotline.work()
    hotline.now_ms += 1000
    await hotline.calls("2.2")
    await hotline.work()
    assert await hotline.state() is CallbackState.CANCELLED
    assert told(hotline).keys() == KEYS
    await hotline.work(1800)
    assert told(hotline) == {}


async def test_the_global_of_a_callback_that_is_over_is_removed(hotline):
    await hotline.drop()
    await hotline.work()
    callback = await hotline.ledger.find("1.1")
    assert await hotline.ledger.move(callback, CallbackState.CANCELLED, actor=Actor.ADMIN, at_ms=NOON)
    await hotline.work(1)
    assert told(hotline) == {}


async def test_after_a_restart_of_asterisk_the_globals_are_set_again(hotline):
    await hotline.drop()
    await hotline.work()
    hotline.pbx.globals.clear()
    hotline.execution.link(False)
    await hotline.work()
    assert told(hotline) == {}
    hotline.execution.link(True)
    await hotline.work()
    assert told(hotline).keys() == KEYS


async def test_a_global_that_asterisk_refuses_is_set_later(hotline):
    await hotline.drop()
    hotline.pbx.refuse = AriError("Asterisk does not answer")
    await hotline.work()
    assert told(hotline) == {}
    hotline.pbx.refuse = None
    await hotline.work()
    assert told(hotline).keys() == KEYS


async def test_of_two_callbacks_the_one_that_is_open_counts(hotline):
    await hotline.drop()
    await hotline.work()
    hotline.now_ms += 1000
    await hotline.calls("2.2")
    hotline.now_ms += 60_000
    await hotline.drop("2.2", operator="102")
    await hotline.work()
    until = UNTIL + 61
    assert told(hotline) == dict.fromkeys(KEYS, f"102:{until}")
    await hotline.work(1740)
    assert told(hotline) == dict.fromkeys(KEYS, f"102:{until}")


@pytest.mark.parametrize("operator", [None, "101&PJSIP/102", "101:9", "${EVIL}"])
async def test_a_name_that_may_stand_in_no_dial_string_is_not_told(hotline, operator):
    await hotline.drop(operator=operator)
    await hotline.work()
    assert told(hotline) == {}


def test_a_number_of_elsewhere_has_its_country_code():
    assert written("+79031234567", "RU") == ["79031234567", "89031234567", "9031234567"]
    assert written("+79031234567", "FR") == ["79031234567"]
    assert written("+493012345678", "RU") == ["493012345678"]


def test_ambiguous_digits_do_not_lead_to_the_clients_operator():
    assert written("+79613123456", "RU") == ["79613123456", "89613123456"]
    assert written("+79613123456", "RU", [NumberFormat("national")])[-1] == "9613123456"
    assert written("+4930123456", "RU") == []
    assert written("+4930123456", "RU", [NumberFormat("e164")]) == ["4930123456"]
