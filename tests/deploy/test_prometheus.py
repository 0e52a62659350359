"""The shipped alert rules, held against promtool and against what the daemon really exports."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.deploy.exported import exported_names, scrape, used_names
from tests.deploy.promtool import run
from tests.lab.pbx_config import REPOSITORY

RULES = REPOSITORY / "deploy" / "prometheus" / "callsteward.rules.yml"
CASES = Path(__file__).with_name("callsteward.rules-test.yml")


def judged(promtool: Path, folder: Path, rules: str) -> tuple[int, str]:
    """The cases run against some rules."""
    (folder / "rules.yml").write_text(rules)
    cases = folder / "cases.yml"
    cases.write_text(CASES.read_text().replace("RULES", str(folder / "rules.yml")))
    return run(promtool, "test", "rules", cases)


def test_the_rules_are_rules(promtool: Path) -> None:
    code, said = run(promtool, "check", "rules", RULES)
    assert code == 0, said


def test_each_alert_fires_on_what_it_is_for(promtool: Path, tmp_path: Path) -> None:
    code, said = judged(promtool, tmp_path, RULES.read_text())
    assert code == 0, said


ALERTS = re.findall(r"- alert: (\w+)", RULES.read_text())


@pytest.mark.parametrize("alert", ALERTS)
def test_the_cases_would_notice_a_missing_alert(promtool: Path, tmp_path: Path, alert: str) -> None:
    code, said = judged(promtool, tmp_path, RULES.read_text().replace(f"alert: {alert}", "alert: Another"))
    assert code != 0, said


def test_rules_ask_only_for_what_is_exported() -> None:
    used = used_names(RULES.read_text())
    assert len(used) >= 10
    assert used <= exported_names()


def test_a_scrape_is_clean_by_promtools_rules(promtool: Path) -> None:
    code, said = run(promtool, "check", "metrics", stdin=scrape())
    assert code == 0, said
