"""One target under atheris, which ends the process itself. `python -m tests.fuzz.worker TARGET OPTION…`."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["callsteward"]):
    from tests.fuzz.targets import TARGETS

if __name__ == "__main__":
    name, *options = sys.argv[1:]
    atheris.Setup([sys.argv[0], *options], TARGETS[name].one)
    atheris.Fuzz()
