"""Measures the core that this process has loaded: JSON on stdout, for `tests.bench`."""

from __future__ import annotations

import dataclasses
import json
import sys

from tests.bench import memory, scale, throughput
from tests.compiled.loaded import compiled


def main() -> None:
    calls, rounds = map(int, sys.argv[1:])
    rows, said = throughput.measure(calls, rounds)
    rows += [memory.measure(), scale.measure(rounds)]
    found = {"compiled": compiled(), "rows": [dataclasses.asdict(row) for row in rows], "said": said}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
