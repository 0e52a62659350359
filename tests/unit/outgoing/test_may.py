"""May a client be called? Asked in one place for callbacks and rating calls."""

from __future__ import annotations

import pytest

from callsteward.config import CallbackSettings, Config
from callsteward.outgoing.may import May, Standing
from callsteward.outgoing.zones import ClientZones
from callsteward.store.records import Store

AFTERNOON = 1_795_345_200_000  # 2026-11-22 14:00 in Moscow
HOUR = 3_600_000
NUMBER = "+79031234567"


def may(store: Store) -> May:
    return May.of(Config(callback=CallbackSettings(zones="line", denied_prefixes=("+7954",))), store.engine)


@pytest.mark.parametrize(
    ("raw", "never"),
    [("", "no_number"), ("112", "emergency_number"), ("+79540000000", "denied_prefix")],
)
async def test_a_number_that_the_guard_refuses_is_never_called(store: Store, raw: str, never: str) -> None:
    assert await may(store).call(raw, "support", at_ms=AFTERNOON) == Standing(None, never, now=False)


async def test_a_client_on_the_list_is_never_called_at_any_hour(store: Store) -> None:
    from callsteward.outgoing.do_not_call import DoNotCall

    await DoNotCall(store.engine).add([NUMBER], by="cli")
    asked = may(store)
    assert await asked.call(NUMBER, "support", at_ms=AFTERNOON) == Standing(NUMBER, "do_not_call")
    at_night = await asked.call("89031234567", "support", at_ms=AFTERNOON - 9 * HOUR)
    assert at_night == Standing(NUMBER, "do_not_call", now=False)
    assert await asked.forbidden(NUMBER)
    assert not await asked.forbidden(None)


async def test_the_hours_hold_but_soon_after_a_drop(store: Store) -> None:
    asked = may(store)
    night = AFTERNOON - 9 * HOUR
    assert await asked.call(NUMBER, "support", at_ms=AFTERNOON) == Standing(NUMBER)
    assert await asked.call(NUMBER, "support", at_ms=night) == Standing(NUMBER, now=False)
    soon = await asked.call(NUMBER, "support", at_ms=night, dropped_ms=night - 60_000)
    assert soon == Standing(NUMBER)
    late = await asked.call(NUMBER, "support", at_ms=night, dropped_ms=night - HOUR)
    assert late == Standing(NUMBER, now=False)


async def test_the_clients_own_zone_counts(store: Store) -> None:
    asked = may(store)
    evening = AFTERNOON + 3 * HOUR  # 17:00 in Moscow
    assert await asked.call(NUMBER, "support", at_ms=evening) == Standing(NUMBER)
    # It is midnight in the client's zone by then.
    await ClientZones(store.engine).put({NUMBER: "Asia/Vladivostok"}, by="cli")
    assert await asked.call(NUMBER, "support", at_ms=evening) == Standing(NUMBER, now=False)
