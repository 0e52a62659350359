"""Which core a process has loaded. As a pytest plugin: the suite stops where it is not the compiled one."""

from __future__ import annotations

import importlib
import tomllib
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def modules() -> list[str]:
    """The modules that the wheel's build compiles."""
    settings = tomllib.loads(PYPROJECT.read_text())
    listed = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]["modules"]
    return [name.removesuffix(".py").replace("/", ".") for name in listed]


def compiled() -> bool:
    """True if this process has the compiled core. Raises RuntimeError if it has only a part of it."""
    files = [str(importlib.import_module(name).__file__) for name in modules()]
    extensions = [file for file in files if file.endswith(tuple(EXTENSION_SUFFIXES))]
    if extensions and len(extensions) < len(files):
        message = f"half a compiled core: {sorted(set(files) - set(extensions))}"
        raise RuntimeError(message)
    return bool(extensions)


def pytest_configure() -> None:
    if not compiled():
        message = "the compiled core is not what this process has loaded"
        raise pytest.UsageError(message)


def pytest_report_header() -> str:
    import callsteward.calls.tracker

    return f"compiled core: {callsteward.calls.tracker.__file__}"
