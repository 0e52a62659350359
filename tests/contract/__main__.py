"""Writes the snapshots of all schemas; refuses what would break a subscriber (see `compatibility`)."""

from __future__ import annotations

import sys

from callsteward import features
from callsteward.feed import contract
from tests.contract import compatibility


def main() -> int:
    broken = False
    for name, schema in contract.json_schemas(features.topics()).items():
        now = compatibility.shape(schema)
        if compatibility.snapshot_of(name).exists():
            for problem in compatibility.breaks(compatibility.load(name), now):
                print(f"{name}: {problem}: give it a new schema version", file=sys.stderr)
                broken = True
        if not broken:
            compatibility.save(name, now)
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())
