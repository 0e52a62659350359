"""The page operators read says what is shipped: no code more, none less, none that means something else."""

import re
from pathlib import Path

import pytest

from callsteward.config import Tags
from callsteward.record.tag import Tag
from callsteward.statuses.asked import ACTIONS

ROOT = Path(__file__).parents[2]
DIALPLAN = (ROOT / "dialplan" / "callsteward-tags.conf").read_text(encoding="utf-8")
FEATURES = (ROOT / "config" / "asterisk" / "features.conf").read_text(encoding="utf-8")
PAGES = {
    name: (ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("operator.md", "operator.ru.md")
}
MEANT = {
    "*61": Tag.DROPPED,
    "*62": Tag.DNC,
    "*63": Tag.ATYPICAL,
    "*64": Tag.REGISTERED,
    "*66": Tag.TICKET,
    "*67": Tag.COMPLAINT,
}


STATUSES = (ROOT / "dialplan" / "callsteward-statuses.conf").read_text(encoding="utf-8")
DONE = {"*50": "back", "*51": "busy", "*52": "away", "*53": "ready"}


def dialled() -> dict[str, str]:
    plain = dict(re.findall(r"^exten => (\*\d+),1,Goto\(callsteward-code,(\w+),1\)$", DIALPLAN, re.MULTILINE))
    with_digits = re.findall(
        r"^exten => _(\*\d+)X\.,.*\n same => n,Goto\(callsteward-code,(\w+),1\)$", DIALPLAN, re.MULTILINE
    )
    return plain | dict(with_digits)


def pressed() -> dict[str, str]:
    return dict(
        re.findall(
            r'^callsteward-\w+ = (\*\d+),self,Gosub,"callsteward-key,s,1\((\w+)\)"$', FEATURES, re.MULTILINE
        )
    )


def test_the_dialplan_has_these_codes():
    assert dialled() == {code: tag.value for code, tag in MEANT.items()}


def test_the_status_codes_are_those_of_their_dialplan():
    plain = re.findall(
        r"^exten => (\*\d+),1,Goto\(callsteward-status-code,(\w+),1\)$", STATUSES, re.MULTILINE
    )
    assert dict(plain) == DONE
    assert "exten => _*51Z,1," in STATUSES
    assert set(DONE.values()) == ACTIONS


def test_during_the_call_they_mean_the_same_and_a_ticket_has_no_key():
    assert pressed() == {code: tag.value for code, tag in MEANT.items() if tag is not Tag.TICKET}
    group = FEATURES.partition("[callsteward-tags]\n")[2].split()
    assert [word for word in group if word != "="] == [f"callsteward-{tag}" for tag in pressed().values()]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_names_every_code_and_no_other(page: str):
    text = PAGES[page].replace("\\*", "*")
    rows = re.findall(r"^\| \*\*(\*\d+)\*\*", text, re.MULTILINE)
    assert sorted(rows) == sorted([*MEANT, *DONE])
    assert set(re.findall(r"\*5\d", text)) == set(DONE)
    assert set(re.findall(r"\*6\d", text)) == set(MEANT)


def test_the_pages_are_one_page_each_in_both_languages():
    english, russian = PAGES["operator.md"], PAGES["operator.ru.md"]
    assert english.count("\n|") == russian.count("\n|")
    assert english.count("\n## ") == russian.count("\n## ")
    assert max(len(page.splitlines()) for page in PAGES.values()) < 60


def test_the_minute_of_the_page_is_the_default():
    assert Tags().wrap_up_s == 60
    assert "within a minute" in PAGES["operator.md"]
    assert "в течение минуты" in PAGES["operator.ru.md"]
