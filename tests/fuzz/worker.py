"""One target under atheris, which ends the process itself. `python -m tests.fuzz.worker TARGET OPTION…`."""

from __future__ import annotations

import logging
import sys

import atheris
import structlog

with atheris.instrument_imports(include=["callsteward"]):
    from tests.fuzz.targets import TARGETS

if __name__ == "__main__":
    name, *options = sys.argv[1:]
    # Each input would have its warnings, and writing them takes longer than the input.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    atheris.Setup([sys.argv[0], *options], TARGETS[name].one)
    atheris.Fuzz()
