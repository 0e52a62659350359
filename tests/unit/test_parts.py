"""The parts of a daemon as one: who is asked, in which order, and what becomes of a judge that fails."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from callsteward.config import Config
from callsteward.exceptions import StoreError
from callsteward.part import Feature, Part, Site
from callsteward.record.facts import CallEnded, CallTagged, Fact
from callsteward.record.tag import Source, Tag
from callsteward.store.records import Store
from callsteward.testing import StandIn
from tests.unit.store.samples import RECORD


def ended(call_id: str) -> CallEnded:
    return CallEnded(msgspec.structs.replace(RECORD, call_id=call_id))


def tagged(call_id: str, *, repeated: bool = False) -> CallTagged:
    return CallTagged(
        call_id=call_id,
        line="support",
        tag=Tag.TICKET,
        at_ms=1,
        by="101",
        source=Source.PHONE,
        repeated=repeated,
    )


def names(facts: Sequence[Fact]) -> list[str]:
    return [fact.record.call_id if isinstance(fact, CallEnded) else "tag" for fact in facts]


class Judge(Feature):
    """Writes down what it is asked, and fails as often as it is told to."""

    def __init__(self, name: str, asked: list[tuple[str, list[str]]], fails: int = 0) -> None:
        self.name = name  # type: ignore[misc]
        self.asked = asked
        self.fails = fails

    def open(self, site: Site) -> Part:
        feature = self

        class Judging(Part):
            async def judge(self, facts: Sequence[Fact]) -> Sequence[Fact]:
                if feature.fails:
                    feature.fails -= 1
                    message = "the disk is full"
                    raise StoreError(message)
                feature.asked.append((feature.name, names(facts)))
                return facts

        return Judging()


async def test_a_tag_is_judged_by_all_before_the_fact_behind_it(store: Store) -> None:
    asked: list[tuple[str, list[str]]] = []
    site = StandIn(store, Config(), [Judge("first", asked), Judge("second", asked)])
    facts: list[Fact] = [ended("1"), ended("2"), tagged("2"), ended("3")]
    assert await site.judge(facts) == facts
    assert asked == [
        ("first", ["1", "2"]),
        ("second", ["1", "2"]),
        ("first", ["tag"]),
        ("second", ["tag"]),
        ("first", ["3"]),
        ("second", ["3"]),
    ]


async def test_after_a_failure_the_part_that_failed_is_asked_again_and_no_other(store: Store) -> None:
    asked: list[tuple[str, list[str]]] = []
    site = StandIn(store, Config(), [Judge("first", asked), Judge("second", asked, fails=2)])
    facts: list[Fact] = [ended("1"), tagged("1")]
    for _ in range(2):
        with pytest.raises(StoreError):
            await site.judge(facts)
    assert await site.judge(facts) == facts
    assert asked == [("first", ["1"]), ("second", ["1"]), ("first", ["tag"]), ("second", ["tag"])]


async def test_a_list_that_is_filled_again_is_judged_again(store: Store) -> None:
    """As the pump does while it runs a journal again."""
    asked: list[tuple[str, list[str]]] = []
    site = StandIn(store, Config(), [Judge("only", asked)])
    facts: list[Fact] = [ended("1")]
    assert names(await site.judge(facts)) == ["1"]
    facts.clear()
    facts.append(ended("2"))
    assert names(await site.judge(facts)) == ["2"]
    facts.clear()
    assert names(await site.judge(facts)) == []
    assert asked == [("only", ["1"]), ("only", ["2"])]


async def test_a_repeated_fact_passes_the_judges_and_is_not_told_again(store: Store) -> None:
    asked: list[tuple[str, list[str]]] = []
    site = StandIn(store, Config(), [Judge("only", asked)])
    assert await site.judge([tagged("1", repeated=True), tagged("1")]) == [tagged("1")]
    assert asked == [("only", ["tag"]), ("only", ["tag"])]
