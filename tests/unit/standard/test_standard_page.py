"""docs/standard.md and its Russian twin: every rule, and every default as the profile has it."""

from __future__ import annotations

import re
import tomllib
from datetime import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from callsteward.config.profile import Profile
from callsteward.config.services import CallbackSettings
from callsteward.intervals.measures import MEASURES
from callsteward.record.call import Direction, Party
from callsteward.standard.rules import Measured, Rules

DOCS = Path(__file__).parents[3] / "docs"
PAGES = {name: (DOCS / name).read_text() for name in ("standard.md", "standard.ru.md")}


def rules() -> list[str]:
    """The rules of a record, in its order."""
    call = Measured(
        direction=Direction.INBOUND,
        hung_up_first=Party.UNKNOWN,
        connected=False,
        answer_latency_s=None,
        longest_ring_s=None,
        first_operator_word_s=None,
        greeting_heard=False,
        longest_silence_s=None,
        holds_s=(),
        consultation_s=None,
        operator_interruptions=None,
        transfers=0,
    )
    return [check.rule for check in Rules(Profile()).evaluate(call)]


def rows(page: str) -> list[str]:
    """The names that rows of the page's first table begin with."""
    table = page.partition("\n## ")[2].partition("\n## ")[0]
    return re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)


def settings(page: str) -> dict[str, Any]:
    """Each `key = value` that stands on the page."""
    found = re.findall(r"`(?:\[\w+\] )?(\w+ = [^`]+)`", page)
    return {key: value for text in found for key, value in tomllib.loads(text).items()}


def default(of: type[BaseModel], key: str) -> Any:
    return getattr(of(), key)


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_each_rule_of_a_record_has_its_row_in_the_records_order(page: str) -> None:
    assert rows(page) == rules()


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_each_default_is_the_one_in_force(page: str) -> None:
    said = settings(page)
    assert len(said) > 15
    for key, value in said.items():
        of = Profile if key in Profile.model_fields else CallbackSettings
        assert default(of, key) == value, key


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_settings_named_without_a_default_exist(page: str) -> None:
    assert default(Profile, "interruptions_limit") is None
    assert "`interruptions_limit`" in page
    assert default(CallbackSettings, "hours_from") == time(9)
    assert default(CallbackSettings, "hours_to") == time(20)
    assert "09:00" in page
    assert "20:00" in page
    assert {"calls_with_hold", "answered"} <= {measure.name for measure in MEASURES}


def test_both_languages_say_the_same_settings() -> None:
    english, russian = PAGES.values()
    assert settings(english) == settings(russian)


def test_each_rule_that_the_code_cites_stands_on_the_page() -> None:
    package = Path(__file__).parents[3] / "daemon" / "callsteward"
    cited = {
        name
        for file in package.rglob("*.py")
        for name in re.findall(r"docs/standard\.md,\s+`(\w+)`", file.read_text())
    }
    assert {"one_callback", "calling_hours", "rating", "complaint_escalated", "no_contact_lost"} <= cited
    for page in PAGES.values():
        assert cited <= set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
