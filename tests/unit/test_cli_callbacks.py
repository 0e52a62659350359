"""`callbacks`, `dnc` and `lost` as an admin runs them."""

import asyncio
import json
import re
import sqlite3
from pathlib import Path

import msgspec
import pytest

from callsteward.callback.ledger import CallbackLedger
from callsteward.callback.states import CallbackState
from callsteward.lost.calls import LostCalls
from callsteward.outgoing.words import Actor
from callsteward.record.call import CallbackDecision, Decision, Direction, Outcome
from callsteward.record.facts import CallEnded
from callsteward.store.direct import flush
from callsteward.store.records import Store
from tests.unit.store.samples import RECORD
from tests.unit.test_cli import callsteward

AT_MS = 1_795_314_131_654
DUE = CallbackDecision(Decision.DUE, "mid_dialogue_drop")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "c.toml"
    file.write_text(f'[store]\nurl = "sqlite:///{tmp_path}/calls.db"\n[privacy]\nhmac_key = "key"\n')
    return file


@pytest.fixture
def ledger_with_two(config: Path, tmp_path: Path) -> Path:
    """One callback that was reached, one that is due."""

    async def fill() -> None:
        store = await Store.open(f"sqlite:///{tmp_path}/calls.db")
        ledger = CallbackLedger(store.engine, "main")
        for call_id in ("1.1", "1.2"):
            record = msgspec.structs.replace(RECORD, call_id=call_id)
            callback = await ledger.open(record, DUE, number="+79031234567", dropped_ms=AT_MS, at_ms=AT_MS)
            assert callback is not None
            if call_id == "1.1":
                for state in (CallbackState.OFFERED, CallbackState.DIALLING, CallbackState.REACHED):
                    await ledger.move(
                        callback,
                        state,
                        actor=Actor.ASTERISK,
                        at_ms=AT_MS,
                        asked="101",
                        evidence="Dial ANSWER",
                    )
        await store.close()

    asyncio.run(fill())
    return config


def rows(*arguments: object) -> list[dict[str, object]]:
    result = callsteward(*arguments)
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_callbacks_are_listed_newest_first_without_numbers(ledger_with_two):
    found = rows("callbacks", "-c", ledger_with_two)
    assert [(row["id"], row["state"]) for row in found] == [("1.2", "due"), ("1.1", "reached")]
    assert found[0]["client_masked"] == "+7903***4567"
    assert found[0]["dropped_at"] == "2026-11-22T02:22:11.654Z"
    assert b"9031234567" not in callsteward("callbacks", "-c", ledger_with_two).stdout


def test_callbacks_by_state(ledger_with_two):
    assert [row["id"] for row in rows("callbacks", "--state", "due", "-c", ledger_with_two)] == ["1.2"]
    both = rows("callbacks", "--state", "due", "--state", "reached", "-c", ledger_with_two)
    assert len(both) == 2
    assert callsteward("callbacks", "--state", "nonsense", "-c", ledger_with_two).returncode == 2


def test_callbacks_as_a_table(ledger_with_two):
    result = callsteward("callbacks", "--output", "table", "-c", ledger_with_two)
    text = result.stdout.decode()
    assert "+7903***4567" in text
    assert "reached" in text
    assert result.stderr == b"callbacks: 2\n"


def test_every_step_of_a_callback_is_shown(ledger_with_two):
    (shown,) = rows("callbacks", "show", "1.1", "-c", ledger_with_two)
    steps = shown["steps"]
    assert isinstance(steps, list)
    assert [step["state"] for step in steps] == ["due", "offered", "dialling", "reached"]
    assert (steps[-1]["actor"], steps[-1]["evidence"]) == ("asterisk", "Dial ANSWER")
    table = callsteward("callbacks", "show", "1.1", "--output", "table", "-c", ledger_with_two)
    assert b"Dial ANSWER" in table.stdout
    unknown = callsteward("callbacks", "show", "9.9", "-c", ledger_with_two)
    assert (unknown.returncode, unknown.stdout) == (1, b"")
    assert b"no callback 9.9" in unknown.stderr


def test_a_callback_is_cancelled_once(ledger_with_two):
    cancel = ("callbacks", "cancel", "1.2", "--comment", "spoken to", "-c", ledger_with_two)
    assert callsteward(*cancel).returncode == 0
    (shown,) = rows("callbacks", "show", "1.2", "-c", ledger_with_two)
    steps = shown["steps"]
    assert isinstance(steps, list)
    assert (steps[-1]["state"], steps[-1]["actor"]) == ("cancelled", "admin")
    assert steps[-1]["evidence"].endswith(": spoken to")
    assert callsteward(*cancel).returncode == 1
    over = callsteward("callbacks", "cancel", "1.1", "-c", ledger_with_two)
    assert b"callback 1.1 is reached: it cannot be cancelled any more" in over.stderr


def dnc_of(tmp_path: Path, ways: str) -> tuple[object, ...]:
    if ways == "add":
        return ("dnc", "add", "8 (903) 123-45-67")
    file = tmp_path / "list.csv"
    file.write_text("8 (903) 123-45-67\n+79000000001\n")
    return ("dnc", "import", file)


@pytest.mark.parametrize("way", ["add", "import"])
def test_a_client_put_on_the_list_is_not_called_back(ledger_with_two, tmp_path, way):
    """Told on the feed, too: what a daemon is to publish lies in the outbox."""
    result = callsteward(*dnc_of(tmp_path, way), "-c", ledger_with_two)
    assert result.stderr.decode().strip().endswith("on the list already 0; cancelled: callbacks 1")
    (shown,) = rows("callbacks", "show", "1.2", "-c", ledger_with_two)
    steps = shown["steps"]
    assert isinstance(steps, list)
    last = steps[-1]
    assert (last["state"], last["actor"], last["reason"]) == ("cancelled", "admin", "do_not_call")
    # What was over stays what it was.
    (reached,) = rows("callbacks", "show", "1.1", "-c", ledger_with_two)
    assert reached["state"] == "reached"
    connection = sqlite3.connect(tmp_path / "calls.db")
    told = [
        json.loads(payload) for (payload,) in connection.execute("SELECT payload FROM outbox ORDER BY id")
    ]
    connection.close()
    assert [(body["state"], body["reason"]) for body in told] == [("cancelled", "do_not_call")]
    again = callsteward(*dnc_of(tmp_path, way), "-c", ledger_with_two)
    assert again.stderr.decode().startswith("added 0")
    assert b"cancelled" not in again.stderr


def test_do_not_call_knows_a_number_however_it_is_written(config, tmp_path):
    added = callsteward("dnc", "add", "+7 903 123-45-67", "89000000001", "--comment", "asked", "-c", config)
    assert added.stderr == b"added 2, on the list already 0\n"
    again = callsteward("dnc", "add", "8 (903) 123-45-67", "-c", config)
    assert again.stderr == b"added 0, on the list already 1\n"
    found = rows("dnc", "list", "-c", config)
    assert sorted(str(row["client_masked"]) for row in found) == ["+7900***0001", "+7903***4567"]
    assert {row["comment"] for row in found} == {"asked"}
    assert callsteward("dnc", "remove", "9031234567", "-c", config).returncode == 0
    gone = callsteward("dnc", "remove", "9031234567", "-c", config)
    assert (gone.returncode, b"not on the list" in gone.stderr) == (1, True)
    assert b"+7900***0001" in callsteward("dnc", "list", "--output", "table", "-c", config).stdout
    connection = sqlite3.connect(tmp_path / "calls.db")
    assert connection.execute("SELECT number FROM do_not_call").fetchall() == [("+79000000001",)]
    connection.close()


@pytest.mark.parametrize("number", ["anonymous", "12", "7903&1234567", ""])
def test_texts_that_are_no_numbers_are_named(config, tmp_path, number):
    result = callsteward("dnc", "add", "79031234567", number, "-c", config)
    assert result.returncode == 2
    assert b"no telephone number" in result.stderr
    assert not (tmp_path / "calls.db").exists()


@pytest.mark.parametrize(
    ("text", "comment"),
    [
        ("number,why\n+79031234567,asked\n89000000001,asked\n", "asked"),
        ("\ufeffТелефон;Причина\n+7 903 123-45-67;просил\n\n8 (900) 000-00-01;просил\n", "просил"),
        ("79031234567\n79000000001", "list.csv"),
    ],
)
def test_a_list_is_imported_from_csv(config, tmp_path, text, comment):
    file = tmp_path / "list.csv"
    file.write_text(text, encoding="utf-8")
    result = callsteward("dnc", "import", file, "-c", config)
    assert result.stderr == b"added 2, on the list already 0\n"
    assert {row["comment"] for row in rows("dnc", "list", "-c", config)} == {comment}


def test_an_import_with_a_row_that_is_no_number_imports_nothing(config, tmp_path):
    file = tmp_path / "list.csv"
    file.write_text("number\n79031234567\nnonsense\n")
    result = callsteward("dnc", "import", file, "-c", config)
    assert result.returncode == 1
    assert b"list.csv:3: 'nonsense' is no telephone number\nnothing was imported" in result.stderr
    assert not (tmp_path / "calls.db").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        # Taken for a heading it would be lost, and its client called.
        ("790312345,asked\n79000000001,asked\n", "list.csv:1: '790312345' is no telephone number"),
        (",asked\n79000000001,asked\n79031,asked\n", "list.csv:3: '79031' is no telephone number"),
        ('79000000001\n"' + "7" * 200_000, "list.csv:2: not CSV: field larger than field limit"),
    ],
    ids=["the first line", "after a heading without a word", "a cell without end"],
)
def test_an_import_loses_no_line_that_is_wrong(config, tmp_path, text, said):
    file = tmp_path / "list.csv"
    file.write_text(text)
    result = callsteward("dnc", "import", file, "-c", config)
    assert result.returncode == 1
    assert said in result.stderr.decode()
    assert not (tmp_path / "calls.db").exists()


def test_a_number_that_can_be_two_is_asked_about(config, tmp_path):
    result = callsteward("dnc", "add", "9613123456", "-c", config)
    assert result.returncode == 2
    said = " ".join(re.sub(r"[│╭╮╰╯─]", " ", result.stderr.decode()).split())
    assert "'9613123456' can be +9613123456 or +79613123456: write it so, or say with --numbers how" in said
    assert not (tmp_path / "calls.db").exists()
    for style, masked in (("national", "+7961***3456"), ("e164", "+9613***3456")):
        added = callsteward("dnc", "add", "9613123456", "--numbers", style, "-c", config)
        assert added.stderr == b"added 1, on the list already 0\n"
        (row,) = rows("dnc", "list", "-c", config)
        assert row["client_masked"] == masked
        assert callsteward("dnc", "remove", "9613123456", "--numbers", style, "-c", config).returncode == 0


def test_a_list_without_country_codes_is_imported_with_its_style_given(config, tmp_path):
    file = tmp_path / "list.csv"
    file.write_text("number\n9031234567\n9613123456\n8 (495) 000-00-00\n")
    result = callsteward("dnc", "import", file, "-c", config)
    assert result.returncode == 1
    say = (
        "say how the list writes numbers, --numbers national (as dialled in RU) or --numbers e164 (with"
        " country code)"
    )
    assert result.stderr.decode().splitlines() == [
        f"callsteward: {file}:3: '9613123456' can be +9613123456 or +79613123456: {say}",
        f"{file}:4: '8 (495) 000-00-00' can be +84950000000 or +74950000000: {say}",
        "nothing was imported",
    ]
    assert not (tmp_path / "calls.db").exists()
    done = callsteward("dnc", "import", file, "--numbers", "national", "-c", config)
    assert done.stderr == b"added 3, on the list already 0\n"
    found = rows("dnc", "list", "-c", config)
    assert sorted(str(row["client_masked"]) for row in found) == [
        "+7495***0000",
        "+7903***4567",
        "+7961***3456",
    ]
    zones = tmp_path / "zones.csv"
    zones.write_text("9613123456,Asia/Yekaterinburg\n")
    assert b"--numbers national" in callsteward("zones", "import", zones, "-c", config).stderr
    put = callsteward("zones", "import", zones, "--numbers", "national", "-c", config)
    assert put.stderr == b"imported 1\n"
    assert callsteward("zones", "remove", "+79613123456", "-c", config).returncode == 0


# --- lost calls ------------------------------------------------------------------------------------------


@pytest.fixture
def hotline(config: Path, tmp_path: Path) -> Path:
    """Three clients lost; one has been called since, one called again and was lost again."""

    def call(call_id: str, minute: int, client: str | None, outcome: Outcome, **more: object):
        answered = outcome is Outcome.COMPLETED
        return msgspec.structs.replace(
            RECORD,
            **(
                {
                    "call_id": call_id,
                    "client_ref": client,
                    "outcome": outcome,
                    "started_at": f"2026-11-22T08:{minute:02d}:00.000Z",
                    "answered_at": f"2026-11-22T08:{minute:02d}:09.000Z" if answered else None,
                }
                | more
            ),
        )

    async def fill() -> None:
        store = await Store.open(f"sqlite:///{tmp_path}/calls.db")
        records = [
            call("1", 0, "aa", Outcome.ABANDONED),
            call("2", 1, "bb", Outcome.SHORT_ABANDONED),
            call("3", 2, "cc", Outcome.NO_ANSWER, line="sales"),
            call("4", 3, "aa", Outcome.COMPLETED, direction=Direction.OUTBOUND),
            call("5", 4, "bb", Outcome.BUSY),
            call("6", 5, "dd", Outcome.COMPLETED),
            call("7", 6, None, Outcome.ABANDONED),
            call("8", 7, "ee", Outcome.NO_ANSWER, direction=Direction.OUTBOUND),
        ]
        LostCalls(store.engine, "main").note([CallEnded(record) for record in records], lambda _: None)
        await flush(store.engine)
        await store.save(records)
        await store.close()

    asyncio.run(fill())
    return config


def lost(*arguments: object) -> list[object]:
    return [row["call_id"] for row in rows("lost", *arguments)]


def test_a_lost_call_stays_listed_until_the_client_has_been_spoken_to(hotline):
    assert lost("-c", hotline) == ["2", "3", "5", "7"]
    assert lost("--line", "sales", "-c", hotline) == ["3"]


def test_a_lost_call_is_settled_with_a_comment(hotline):
    assert callsteward("lost", "settle", "3", "--comment", "wrote an e-mail", "-c", hotline).returncode == 0
    assert lost("-c", hotline) == ["2", "5", "7"]
    again = callsteward("lost", "settle", "3", "--comment", "x", "-c", hotline)
    assert (again.returncode, b"3 is not among the lost calls" in again.stderr) == (1, True)
    assert callsteward("lost", "settle", "2", "-c", hotline).returncode == 2


def test_lost_calls_as_a_table(hotline):
    result = callsteward("lost", "--output", "table", "-c", hotline)
    assert b"abandoned" in result.stdout
    assert result.stderr == b"lost calls: 4\n"


# --- clients' zones --------------------------------------------------------------------------------------


def test_zones_are_imported_listed_and_removed(config, tmp_path):
    file = tmp_path / "zones.csv"
    file.write_text("number,zone\n+7 903 123-45-67,Asia/Omsk\n89000000001,Europe/Samara\n")
    assert callsteward("zones", "import", file, "-c", config).stderr == b"imported 2\n"
    found = rows("zones", "list", "-c", config)
    assert [(row["client_masked"], row["zone"]) for row in found] == [
        ("+7900***0001", "Europe/Samara"),
        ("+7903***4567", "Asia/Omsk"),
    ]
    file.write_text("79031234567,Asia/Tomsk\n79000000001,Nowhere\n")
    wrong = callsteward("zones", "import", file, "-c", config)
    assert wrong.returncode == 1
    assert b"zones.csv:2: 'Nowhere' is no IANA time zone" in wrong.stderr
    assert b"nothing was imported" in wrong.stderr
    assert callsteward("zones", "remove", "89000000001", "-c", config).returncode == 0
    gone = callsteward("zones", "remove", "89000000001", "-c", config)
    assert (gone.returncode, b"not on the list" in gone.stderr) == (1, True)
    table = callsteward("zones", "list", "--output", "table", "-c", config)
    assert b"Asia/Omsk" in table.stdout
    assert table.stderr == b"clients: 1\n"
