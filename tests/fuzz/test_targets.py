"""The fuzz targets without a fuzzer: their seeds, what was found once, and some inputs of any kind."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.targets import FOUND, TARGETS

FOUND_ONCE = sorted(path for path in FOUND.glob("*/*") if path.is_file())
"""Inputs that were harmful once, in a folder for each target; none there is good news."""


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_and_earlier_findings_are_harmless_inputs_of_their_target(name: str) -> None:
    target = TARGETS[name]
    seeds = list(target.seeds())
    assert seeds
    for seed in seeds:
        assert len(seed) <= target.max_len
        target.one(seed)
    for path in FOUND_ONCE:
        if path.parent.name == name:
            try:
                target.one(path.read_bytes())
            except Exception as error:
                error.add_note(f"found once: {path}")
                raise


def test_each_found_input_belongs_to_an_existing_target() -> None:
    assert {path.parent.name for path in FOUND_ONCE} <= set(TARGETS)


@pytest.mark.parametrize("name", TARGETS)
@given(data=st.data())
def test_bytes_spliced_into_seeds_are_harmless(name: str, data: st.DataObject) -> None:
    target = TARGETS[name]
    seed = data.draw(st.sampled_from(list(target.seeds())))
    at = data.draw(st.integers(0, len(seed)))
    target.one(seed[:at] + data.draw(st.binary(max_size=20)) + seed[at + data.draw(st.integers(0, 20)) :])
