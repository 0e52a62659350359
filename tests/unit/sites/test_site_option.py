"""`--site`: one site of a database that several share, or all of them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from callsteward.callback.ledger import CallbackLedger
from callsteward.lost.calls import LostCalls
from callsteward.rating.complaints import Complaints
from callsteward.record.call import CallbackDecision, Decision, Outcome, Rating
from callsteward.record.facts import CallEnded, CallTagged
from callsteward.record.tag import Given, Source, Tag
from callsteward.store.direct import flush
from callsteward.store.records import Store
from callsteward.tags.book import TagBook
from tests.unit import forked
from tests.unit.store.samples import RECORD

SITES = ("main", "south", "west")
DUE = CallbackDecision(Decision.DUE, "mid_dialogue_drop")
AT_MS = 1_795_314_131_654


async def _fill(url: str) -> None:
    store = await Store.open(url)
    for place, site in enumerate(SITES):
        talk = msgspec.structs.replace(RECORD, site=site, rating=Rating("answered", "stay", 3 + place))
        lost = msgspec.structs.replace(
            RECORD,
            site=site,
            call_id="1.2",
            outcome=Outcome.ABANDONED,
            started_at=f"2026-11-22T0{5 - place}:00:00.000Z",
        )
        await store.save([talk, lost])
        list_ = LostCalls(store.engine, site)
        list_.note([CallEnded(lost, "")], lambda _: None)
        await flush(store.engine)
        await CallbackLedger(store.engine, site).open(
            talk, DUE, number=None, dropped_ms=1, at_ms=AT_MS - place
        )
        tagged = CallTagged(
            call_id="1.1", line="support", tag=Tag.REGISTERED, by="101", source=Source.AGI,
            at_ms=AT_MS - place,
        )  # fmt: skip
        await TagBook(store.engine, site).add(tagged, Given(Tag.REGISTERED))
        await Complaints(store.engine, site).raise_(
            call_id="1.1", line="support", operator=None, client_masked=None, client_ref=None,
            reason="tagged", score=None, at_ms=AT_MS - place,
        )  # fmt: skip
    await store.close()


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sites")
    url = f"sqlite:///{folder}/calls.db"
    file = folder / "callsteward.toml"
    file.write_text(
        f'[site]\nname = "main"\ntimezone = "Etc/UTC"\n[store]\nurl = "{url}"\n'
        '[[lines]]\nname = "support"\n[operators.101]\n'
    )
    file.chmod(0o600)
    asyncio.run(_fill(url))
    return file


def told(*arguments: object) -> tuple[list[dict[str, Any]], str]:
    done = forked.run(*arguments, "--output", "jsonl")
    assert done.returncode == 0, done.stderr.decode()
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr.decode()


def sites(*arguments: object) -> list[str]:
    return [row["site"] for row in told(*arguments)[0]]


LISTS = {
    # By the command: the sites of its rows, in order.
    ("callbacks",): list(SITES),
    ("lost",): list(reversed(SITES)),
    ("complaints", "list"): list(reversed(SITES)),
    ("tags",): list(SITES),
}


@pytest.mark.parametrize("command", LISTS)
def test_a_list_is_the_sites_own_another_ones_or_all(config: Path, command: tuple[str, ...]) -> None:
    assert sites(*command, "-c", config) == ["main"]
    assert sites(*command, "-c", config, "--site", "south") == ["south"]
    assert sites(*command, "-c", config, "--site", "all") == LISTS[command]


@pytest.mark.parametrize(
    "command", [("calls",), ("report", "calls", "--from", "2026-11-22", "--to", "2026-11-22")]
)
def test_calls_are_of_all_sites_or_of_one(config: Path, command: tuple[str, ...]) -> None:
    assert set(sites(*command, "-c", config)) == set(SITES)
    assert set(sites(*command, "-c", config, "--site", "all")) == set(SITES)
    assert set(sites(*command, "-c", config, "--site", "west")) == {"west"}


@pytest.mark.parametrize("kind", ["intervals", "operators"])
def test_a_report_is_of_one_site_or_of_each(config: Path, kind: str) -> None:
    day = ("report", kind, "--from", "2026-11-22", "--to", "2026-11-22", "--every", "day", "-c", config)
    assert set(sites(*day)) == {"main"}
    assert set(sites(*day, "--site", "south")) == {"south"}
    of_each = sites(*day, "--site", "all")
    assert (set(of_each), of_each) == (set(SITES), sorted(of_each))


def test_ratings_over_all_sites_keep_their_operators_apart(config: Path) -> None:
    def sums(*more: object) -> list[tuple[str, int, int]]:
        rows, _ = told("report", "ratings", "-c", config, *more)
        return [(row["operator"], row["answered"], row["score_sum"]) for row in rows if row["asked"]]

    assert sums() == [("101", 1, 3)]
    assert sums("--site", "west") == [("101", 1, 5)]
    assert sums("--site", "all") == [
        ("main/101", 1, 3), ("south/101", 1, 4), ("west/101", 1, 5), ("all", 3, 12),
    ]  # fmt: skip


@pytest.mark.parametrize("command", [("calls",), ("lost",), ("report", "ratings")])
def test_a_site_that_the_database_does_not_know_is_named(config: Path, command: tuple[str, ...]) -> None:
    rows, said = told(*command, "-c", config, "--site", "sout")
    assert rows == []
    assert "warning: the database has no call of the site 'sout'" in said


def test_the_sites_of_a_database_are_those_that_have_calls(config: Path) -> None:
    async def known() -> list[str]:
        store = await Store.open(f"sqlite:///{config.parent}/calls.db")
        try:
            return await store.sites()
        finally:
            await store.close()

    assert asyncio.run(known()) == list(SITES)
