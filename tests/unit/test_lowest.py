"""`make test-lowest` runs what pyproject.toml says is enough: each bound is in its list, exactly."""

import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.lab.pbx_config import REPOSITORY

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
ASKED = [
    Requirement(text)
    for text in [
        *PROJECT["dependencies"],
        *(item for extra in PROJECT["optional-dependencies"].values() for item in extra),
    ]
]
LISTED = {
    canonicalize_name(name): Version(version)
    for name, version in (
        line.split("==")
        for line in (REPOSITORY / "constraints-lowest.txt").read_text().splitlines()
        if not line.startswith("#")
    )
}


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: asked.name)
def test_the_lowest_allowed_release_is_the_one_the_tests_run_with(asked):
    (bound,) = [Version(part.version) for part in asked.specifier if part.operator == ">="]
    assert LISTED[canonicalize_name(asked.name)] == bound


def test_no_place_of_this_machine_is_in_a_list():
    for name in ("constraints.txt", "constraints-lowest.txt"):
        assert "://" not in (REPOSITORY / name).read_text()


def test_the_lowest_releases_are_part_of_all_tests():
    makefile = (REPOSITORY / "Makefile").read_text()
    (test,) = [line for line in makefile.splitlines() if line.startswith("test:")]
    assert "test-lowest" in test.split("##")[0].split()
