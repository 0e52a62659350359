"""The parts of a JSON Schema on which a subscriber builds, and a check that a newer one has them still.

A field may be added. Removing one, changing its type (also: letting it be null) or making it one that may be
missing needs a new schema version: `callsteward.call/2` beside `callsteward.call/1`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SNAPSHOTS = Path(__file__).with_name("snapshots")

Shape = dict[str, str]


def shape(schema: dict[str, Any]) -> Shape:
    """Each field's path (`holds[].by`) and its type, with `?` where the field may be missing."""
    found: Shape = {}
    _describe(schema, schema, "", found)
    return found


def breaks(before: Shape, now: Shape) -> list[str]:
    """The changes that would break a subscriber to the older shape, in words."""
    found = []
    for path, kind in before.items():
        if path not in now:
            found.append(f"{path} was removed")
        elif now[path] != kind:
            found.append(f"{path} was {kind}, is {now[path]}")
    return found


def snapshot_of(name: str) -> Path:
    return SNAPSHOTS / f"{name.replace('/', '.')}.json"


def load(name: str) -> Shape:
    shape: Shape = json.loads(snapshot_of(name).read_text())
    return shape


def save(name: str, now: Shape) -> None:
    SNAPSHOTS.mkdir(exist_ok=True)
    snapshot_of(name).write_text(json.dumps(now, indent=1, sort_keys=True) + "\n")


def _resolved(node: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        target: Any = root
        for key in node["$ref"].removeprefix("#/").split("/"):
            target = target[key]
        node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
    return node


def _kind(node: dict[str, Any], root: dict[str, Any]) -> str:
    node = _resolved(node, root)
    if "anyOf" in node:
        return " or ".join(sorted({_kind(item, root) for item in node["anyOf"]}))
    if "enum" in node:
        # Which values there are may grow: what they are made of may not change.
        return " or ".join(sorted({type(value).__name__ for value in node["enum"]}))
    if "const" in node:
        return type(node["const"]).__name__
    if node.get("type") == "array":
        return f"array of {_kind(node['items'], root)}" if "items" in node else "array"
    kind = str(node.get("type", "any"))
    return {"string": "str", "integer": "int"}.get(kind, kind)


def _describe(node: dict[str, Any], root: dict[str, Any], path: str, found: Shape) -> None:
    node = _resolved(node, root)
    for alternative in node.get("anyOf", ()):
        _describe(alternative, root, path, found)
    if "items" in node:
        _describe(node["items"], root, f"{path}[]", found)
    required = node.get("required", ())
    for name, inner in node.get("properties", {}).items():
        own = f"{path}.{name}".lstrip(".")
        found[own] = _kind(inner, root) + ("" if name in required or "default" in inner else "?")
        _describe(inner, root, own, found)
    for pattern, inner in node.get("patternProperties", {}).items():
        found[f"{path}.{pattern}".lstrip(".")] = _kind(inner, root)
