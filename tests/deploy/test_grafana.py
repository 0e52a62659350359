"""The shipped dashboards: whole, asking for metrics and fields that there are, in PromQL that parses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from callsteward import features
from callsteward.feed import contract
from callsteward.feed.topics import Topics
from tests.deploy.exported import exported_names, used_names
from tests.deploy.promtool import run
from tests.lab.pbx_config import REPOSITORY

FOLDER = REPOSITORY / "deploy" / "grafana"
DASHBOARDS = sorted(FOLDER.glob("*.json"))
# Dashboard variables as PromQL would see them once Grafana has filled them in.
_FILLED = {"$__rate_interval": "5m", "$__range": "24h", "$line": ".*"}
_TOPICS = Topics("callsteward", "main")
_SCHEMA_OF_TOPIC = {
    _TOPICS.line_now("support"): "callsteward.line-now/1",
    _TOPICS.operator_now("101"): "callsteward.operator-now/1",
    _TOPICS.of("calls", "support", "events"): "callsteward.call-event/1",
    _TOPICS.of("calls", "support", "ended"): "callsteward.call/1",
    _TOPICS.of("callbacks", "support"): "callsteward.callback/1",
    _TOPICS.status: "callsteward.status/1",
    "callsteward/main/alerts/support/+": "callsteward.alert/1",
}


def load(path: Path) -> dict[str, Any]:
    dashboard: dict[str, Any] = json.loads(path.read_text())
    return dashboard


def panels(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return (panel for panel in dashboard["panels"] if panel["type"] != "row")


def test_three_dashboards_are_shipped() -> None:
    assert [path.stem for path in DASHBOARDS] == [
        "callsteward-history",
        "callsteward-live",
        "callsteward-records",
    ]


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_is_whole(path: Path) -> None:
    dashboard = load(path)
    assert dashboard["uid"] == path.stem
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    taken: dict[tuple[int, int], str] = {}
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, f"{panel['title']} lies over {taken[x, y]}"
                taken[x, y] = panel["title"]
    for panel in panels(dashboard):
        assert panel["description"], f"{panel['title']} does not say what it shows"
        assert panel["targets"], panel["title"]
    # InfluxQL's own: Grafana fills in the span of time, and the value of a tag in a name.
    text = re.sub(r"\$timeFilter|\$tag_\w+", "", json.dumps(dashboard["panels"]))
    asked = set(re.findall(r"\$\{?([a-z]+)\}?", text))
    assert asked <= variables, "a variable that the dashboard does not have"


def _queries() -> list[str]:
    history = load(FOLDER / "callsteward-history.json")
    return [target["expr"] for panel in panels(history) for target in panel["targets"]]


def test_queries_ask_only_for_what_is_exported() -> None:
    used = used_names(" ".join(_queries()))
    assert len(used) >= 15
    assert used <= exported_names()


def test_queries_parse(promtool: Path, tmp_path: Path) -> None:
    rules = []
    for number, query in enumerate(_queries()):
        for variable, value in _FILLED.items():
            query = query.replace(variable, value)  # noqa: PLW2901 - filled in step by step
        rules.append({"record": f"q:{number}", "expr": query})
    file = tmp_path / "queries.json"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    code, said = run(promtool, "check", "rules", file)
    assert code == 0, said


def _live() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Title, topic with the variables' defaults filled in, and the fields asked for, of each panel."""
    live = load(FOLDER / "callsteward-live.json")
    values = {
        variable["name"]: variable["query"]
        for variable in live["templating"]["list"]
        if variable["type"] == "textbox"
    }
    for panel in panels(live):
        fields: set[str] = set()
        chosen = panel["options"].get("reduceOptions", {}).get("fields", "")
        if found := re.fullmatch(r"/\^(\w+)\$/", chosen):
            fields.add(found[1])
        for step in panel.get("transformations", ()):
            if step["id"] == "filterFieldsByName":
                fields.update(step["options"]["include"]["names"])
        for target in panel["targets"]:
            topic = re.sub(r"\$(\w+)", lambda match: values[match[1]], target["topic"])
            # The plugin's own column.
            yield panel["title"], topic, tuple(sorted(fields - {"Time"}))


@pytest.mark.parametrize(("title", "topic", "fields"), list(_live()), ids=lambda value: str(value)[:30])
def test_a_live_panel_shows_fields_of_its_topics_message(
    title: str, topic: str, fields: tuple[str, ...]
) -> None:
    schema = contract.json_schemas(features.topics())[_SCHEMA_OF_TOPIC[topic]]
    definition = schema["$defs"][schema["$ref"].rpartition("/")[2]]
    assert fields, f"{title} shows nothing"
    assert set(fields) <= set(definition["properties"])
