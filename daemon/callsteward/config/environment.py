"""Configuration from environment variables: CALLSTEWARD_SECTION__KEY."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource

from callsteward.config.errors import section_of
from callsteward.config.nearest import nearest

PREFIX = "CALLSTEWARD_"
BETWEEN = "__"
# A variable without a section is reported only if its name is this similar to one of ours: the tests have
# CALLSTEWARD_ variables of their own.
_ALIKE = 0.85


class Environment(EnvSettingsSource):
    """pydantic-settings' own source, but a value that is not JSON is left for validation to report."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            return value


def over(values: Mapping[str, Any], winning: Mapping[str, Any]) -> dict[str, Any]:
    """The values, overridden section by section by those of `winning`."""
    merged = dict(values)
    for key, value in winning.items():
        before = merged.get(key)
        both = isinstance(before, Mapping) and isinstance(value, Mapping)
        merged[key] = over(before, value) if both else value  # type: ignore[arg-type]
    return merged


def unknown(model: type[BaseModel]) -> Iterator[str]:
    """A message for each variable that is meant for callsteward and names no section of it."""
    for variable in sorted(os.environ):
        if not variable.upper().startswith(PREFIX):
            continue
        written = variable[len(PREFIX) :].lower()
        section, parted, key = written.partition(BETWEEN)
        if section in model.model_fields:
            continue
        if parted:
            names = [
                f"{PREFIX}{name.upper()}{BETWEEN}{key.upper()}" for name in nearest(section, _sections(model))
            ]
            mean = f"; did you mean {' or '.join(names)}?" if names else ""
            yield f"environment variable {variable}: no such section: {section}{mean}"
        elif (right := _right(written, model)) is not None:
            yield f"environment variable {variable}: no such key; did you mean {PREFIX}{right}?"


def _sections(model: type[BaseModel]) -> list[str]:
    return [name for name, field in model.model_fields.items() if section_of(field.annotation) is not None]


def _right(written: str, model: type[BaseModel]) -> str | None:
    """The right spelling of a variable without two underscores; None where it is not one of ours."""
    for name in _sections(model):
        inner = section_of(model.model_fields[name].annotation)
        key = written.removeprefix(f"{name}_")
        if inner is not None and key != written:
            near = difflib.get_close_matches(key, inner.model_fields, n=1, cutoff=_ALIKE)
            if near:
                return f"{name}{BETWEEN}{near[0]}".upper()
    near = difflib.get_close_matches(written, model.model_fields, n=1, cutoff=_ALIKE)
    return near[0].upper() if near else None
