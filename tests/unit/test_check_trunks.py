"""`callsteward check` proposes how a trunk writes its numbers, by what it delivered."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from callsteward.calls.deliveries import Delivered, Deliveries
from callsteward.calls.tracker import Tracker
from callsteward.check.trunks import judged, proposed, trunks
from callsteward.clock import DAY_MS
from callsteward.config import CallbackSettings, Config, Endpoints, SiteSettings
from callsteward.config.hotline import TrunkNumbers
from callsteward.exceptions import StoreError
from callsteward.outgoing.check import callable_numbers
from callsteward.store.records import Store
from callsteward.stream.deliveries import DeliveryCounts
from callsteward.stream.trunk_numbers import KEPT_DAYS, KEPT_TRUNKS, TrunkNumberCounts
from callsteward.terminal.result import Status
from tests.unit.calls.stream import Stream

TRUNK = "PJSIP/trunk"


@pytest.mark.parametrize(
    ("kinds", "style"),
    [
        ({"national": 10}, "national"),
        ({"prefixed": 7, "abroad": 3, "ambiguous": 40}, "national"),
        ({"prefixed": 10, "own_code": 40}, "national"),
        ({"prefixed": 10, "own_code": 41}, None),
        ({"own_code": 10}, "e164"),
        ({"own_code": 9, "code": 1, "ambiguous": 3}, "e164"),
        ({"own_code": 300, "code": 51, "national": 7}, "e164"),
        ({"own_code": 300, "code": 50, "national": 7}, None),
        ({"national": 1000, "code": 1}, None),
        ({"own_code": 9}, None),
        ({"plus": 1000, "ambiguous": 5}, None),
    ],
)
def test_a_format_is_proposed_if_the_numbers_agree(kinds: Mapping[str, int], style: str | None) -> None:
    assert proposed(kinds).style == style


def test_numbers_that_can_be_two_peoples_are_warned_of_with_the_line_to_write() -> None:
    result = judged(Config(), {TRUNK: {"prefixed": 40, "ambiguous": 3}, "PJSIP/other": {"plus": 9}})
    assert result.status is Status.WARNING
    assert result.found == (
        "PJSIP/trunk: 3 of 43 numbers without a plus can be two people's: no callback (ambiguous_number),"
        " no client_ref, no do-not-call list"
    )
    assert result.mend == (
        'put "PJSIP/trunk" = "national" under [endpoints.numbers] (40 were as the region dials)'
    )


def test_no_format_is_proposed_for_a_trunk_that_mixes_them() -> None:
    result = judged(Config(), {TRUNK: {"prefixed": 40, "code": 2, "ambiguous": 3}})
    assert result.status is Status.WARNING
    assert str(result.mend).startswith(
        "PJSIP/trunk: it mixes formats: 2 with country code (2 of them foreign), 40 as the region dials;"
    )


def test_a_format_that_the_numbers_do_not_have_is_named() -> None:
    config = Config(endpoints=Endpoints(numbers={"PJSIP/*": TrunkNumbers(format="e164")}))
    result = judged(config, {TRUNK: {"prefixed": 40, "own_code": 100}})
    assert (result.status, result.found) == (
        Status.WARNING,
        "PJSIP/trunk: 40 of 140 numbers without a plus are not e164",
    )
    fine = judged(config, {TRUNK: {"prefixed": 2, "own_code": 100, "ambiguous": 9}})
    assert (fine.status, fine.found) == (
        Status.OK,
        "each number of the last 30 days was one person's: PJSIP/trunk (e164)",
    )


def test_an_unconfigured_prefix_is_suspected() -> None:
    result = judged(Config(), {TRUNK: {"unread": 40, "prefixed": 10}})
    assert result.found == "PJSIP/trunk: 40 of 50 numbers without a plus are not valid as they are"
    assert 'strip = "…"' in str(result.mend)


def test_the_fitting_format_is_named_before_it_is_needed() -> None:
    result = judged(Config(), {TRUNK: {"own_code": 40}})
    assert (result.status, result.found) == (
        Status.OK,
        (
            "each number of the last 30 days was one person's: PJSIP/trunk (no format set;"
            ' "PJSIP/trunk" = "e164" would fit)'
        ),
    )


async def test_counts_add_up_in_the_store_and_grow_old(tmp_path: Path) -> None:
    config = Config.model_validate({"store": {"url": f"sqlite:///{tmp_path}/calls.db"}})
    assert await trunks(config) is None
    store = await Store.open(config.store.url)
    try:
        counts = TrunkNumberCounts(store.engine, config.site.name)
        now_ms = 1_800_000_000_000
        await counts.add([Delivered(TRUNK, "plus", 2), Delivered(TRUNK, "national", 1)], now_ms=now_ms)
        await TrunkNumberCounts(store.engine, "another").add([Delivered(TRUNK, "plus", 5)], now_ms=now_ms)
        await counts.add([Delivered(TRUNK, "plus", 3)], now_ms=now_ms + 1)
        assert await counts.all(now_ms=now_ms) == {TRUNK: {"national": 1, "plus": 5}}
        later_ms = now_ms + 1 + KEPT_DAYS * DAY_MS
        assert await counts.all(now_ms=later_ms) == {TRUNK: {"plus": 5}}
        await counts.add([Delivered("SIP/x", "unread", 1)], now_ms=later_ms + 1)
        assert await counts.all(now_ms=0) == {"SIP/x": {"unread": 1}}
        many = [Delivered(f"SIP/guest{n:04}", "plus", 1) for n in range(KEPT_TRUNKS)]
        await counts.add(many, now_ms=later_ms + 2)
        kept = await counts.all(now_ms=0)
        assert len(kept) == KEPT_TRUNKS
        assert "SIP/x" not in kept
    finally:
        await store.close()


def test_names_that_callers_choose_do_not_fill_the_memory() -> None:
    deliveries = Deliveries()
    for n in range(2000):
        deliveries.note(f"SIP/guest{n}", "plus")
    deliveries.note("SIP/guest0", "")
    assert len(deliveries.take()) == 500
    assert deliveries.take() == []


def test_the_callable_numbers_are_named_with_the_exceptions() -> None:
    result = callable_numbers(Config())
    assert (result.status, result.found) == (
        Status.OK,
        (
            "mobile and fixed_line numbers of RU (+7);"
            " without Abkhazia (+7840, +7940), Baikonur (+733622), +7954"
        ),
    )
    both = callable_numbers(
        Config(callback=CallbackSettings(regions=("RU", "KZ"), allowed_prefixes=("+7840",)))
    )
    assert both.found == (
        "mobile and fixed_line numbers of RU (+7), KZ (+7), and +7840; without satellite and closed networks"
        " (+7760, +7761, +7762, +7763, +7764), Abkhazia (+7840, +7940), Baikonur (+733622), +7954"
    )


def test_a_territory_whose_own_mobiles_are_anothers_is_warned_of() -> None:
    result = callable_numbers(Config(site=SiteSettings(region="AX")))
    assert result.status is Status.WARNING
    assert "mobile numbers such as +358412345678 are refused (region_not_allowed)" in result.found
    mended = Config(site=SiteSettings(region="AX"), callback=CallbackSettings(regions=("AX", "FI")))
    assert callable_numbers(mended).status is Status.OK


def incoming(*numbers: str) -> Tracker:
    stream = Stream()
    for number in numbers:
        stream.bye(stream.incoming(number=number))
    tracker = Tracker(Config())
    stream.play(tracker)
    return tracker


def test_the_tracker_counts_each_caller_once() -> None:
    tracker = incoming("89031234567", "+79031234567", "9613123456", "anonymous", "101", "9613123456")
    assert sorted(tracker.take_deliveries()) == [
        (TRUNK, "ambiguous", 2),
        (TRUNK, "plus", 1),
        (TRUNK, "prefixed", 1),
    ]
    assert tracker.take_deliveries() == []


async def test_counts_are_stored_and_wait_while_the_store_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await Store.open(f"sqlite:///{tmp_path}/calls.db")
    try:
        counts = TrunkNumberCounts(store.engine, "main")
        tracker = incoming("89031234567")
        moved = DeliveryCounts(tracker, counts)

        async def fail(*_args: object) -> None:
            message = "disk full"
            raise StoreError(message)

        with monkeypatch.context() as patched:
            patched.setattr(counts, "add", fail)
            await moved.keep()
            await moved.last()
        assert await counts.all() == {}
        await moved.keep()
        await moved.last()
        assert await counts.all() == {TRUNK: {"prefixed": 1}}
        # What a journal told once more was counted before.
        again = DeliveryCounts(incoming("89031234567"), counts)
        again.forget()
        await again.last()
        assert await counts.all() == {TRUNK: {"prefixed": 1}}
    finally:
        await store.close()
