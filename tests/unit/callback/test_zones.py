"""Clients' own zones: imported whole or not at all, and stronger than the zones of the number."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from callsteward.config import CallbackSettings, Config
from callsteward.exceptions import CallstewardError
from callsteward.outgoing import number_file
from callsteward.outgoing.guard import Guard
from callsteward.outgoing.hours import Hours
from callsteward.outgoing.zones import ClientZones, read_list

MOBILE = "+79031234567"
read = Guard(Config()).read


@pytest.mark.parametrize(
    "text",
    [
        "+7 903 123-45-67,Asia/Vladivostok\n8 900 000-00-01,Europe/Samara\n",
        "Телефон;Пояс\n+7 903 123-45-67;Asia/Vladivostok\n\n;\n8 900 000-00-01; Europe/Samara ;Иван\n",
        "number,zone\n79031234567,Asia/Vladivostok\n79000000001,Europe/Samara\n89031234567,Asia/Vladivostok",
    ],
)
def test_a_list_is_read(text):
    assert read_list(text, "z.csv", read) == {MOBILE: "Asia/Vladivostok", "+79000000001": "Europe/Samara"}


def test_every_wrong_line_is_named():
    text = "number,zone\nabc,Asia/Omsk\n79031234567,Mars/Base\n79000000001\n79000000002,Asia/Omsk\n"
    text += "79000000002,Europe/Samara\n"
    with pytest.raises(CallstewardError) as error:
        read_list(text, "z.csv", read)
    assert str(error.value).splitlines() == [
        "z.csv:2: 'abc' is no telephone number",
        "z.csv:3: 'Mars/Base' is no IANA time zone, such as Asia/Yekaterinburg",
        "z.csv:4: number and zone are needed, such as +79031234567,Asia/Yekaterinburg",
        "z.csv:6: this number has the zone Asia/Omsk further up",
        "nothing was imported",
    ]


def test_of_many_wrong_lines_the_first_ten_are_named():
    with pytest.raises(CallstewardError) as error:
        read_list("x,y\n" + "1,Asia/Omsk\n" * 25, "z.csv", read)
    lines = str(error.value).splitlines()
    assert (lines[0], lines[9], lines[10]) == (
        "z.csv:2: '1' is no telephone number",
        "z.csv:11: '1' is no telephone number",
        "… and 15 more",
    )


def test_a_first_line_with_a_wrong_number_is_no_heading():
    with pytest.raises(CallstewardError, match=r"z\.csv:1: '790312345' is no telephone number"):
        read_list("790312345,Asia/Omsk\n", "z.csv", read)


def test_a_list_without_end_is_refused(monkeypatch):
    monkeypatch.setattr(number_file, "MOST_ROWS", 2)
    text = "".join(f"7900000000{index},Asia/Omsk\n" for index in range(4))
    with pytest.raises(CallstewardError, match=r"z\.csv:3: more than 2 numbers"):
        read_list(text, "z.csv", read)


def test_a_file_that_is_no_csv_is_reported():
    with pytest.raises(CallstewardError, match=r"z\.csv:1: not CSV"):
        read_list('79031234567,"' + "x" * 200_000, "z.csv", read)


async def test_an_import_changes_only_the_clients_it_names(store):
    listed = ClientZones(store.engine)
    await listed.put({MOBILE: "Asia/Omsk", "+79000000001": "Europe/Samara"}, by="admin")
    await listed.put({MOBILE: "Asia/Vladivostok"}, by="other")
    assert [(item.number, item.zone, item.added_by) for item in await listed.listed()] == [
        ("+79000000001", "Europe/Samara", "admin"),
        (MOBILE, "Asia/Vladivostok", "other"),
    ]
    assert await listed.of(MOBILE) == ZoneInfo("Asia/Vladivostok")
    assert await listed.remove(MOBILE)
    assert not await listed.remove(MOBILE)
    assert await listed.of(MOBILE) is None


async def test_a_zone_this_machine_has_not_counts_for_nothing(store):
    listed = ClientZones(store.engine)
    await listed.put({MOBILE: "Atlantis/Capital"}, by="admin")
    assert await listed.of(MOBILE) is None


@pytest.mark.parametrize("rule", ["number", "line"])
@pytest.mark.parametrize(
    ("at", "expected"),
    [
        # 09:00 and 20:00 in Vladivostok.
        ("2026-11-21T22:59:00+00:00", False),
        ("2026-11-21T23:00:00+00:00", True),
        ("2026-11-22T09:59:00+00:00", True),
        ("2026-11-22T10:00:00+00:00", False),
    ],
)
def test_the_clients_own_zone_wins_over_the_numbers_and_the_lines(rule, at, expected):
    hours = Hours(Config(callback=CallbackSettings(zones=rule)))
    at_ms = int(datetime.fromisoformat(at).timestamp() * 1000)
    own = ZoneInfo("Asia/Vladivostok")
    assert hours.allow(MOBILE, "support", dropped_ms=0, at_ms=at_ms, own=own) is expected
