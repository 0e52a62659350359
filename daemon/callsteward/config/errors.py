"""Mistakes in a configuration in an admin's words: the file, the key, what is wrong, what is allowed."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from callsteward.config.nearest import meant, nearest
from callsteward.config.secret_words import is_secret, masked

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

# pydantic's error types (docs: "Validation Errors") in words that name a TOML value.
_WORDS = {
    "bool": "must be true or false",
    "int": "must be a whole number",
    "float": "must be a number",
    "finite": "must be a finite number",
    "string_type": 'must be a text in quotes: "…"',
    "path": 'must be a path in quotes: "…"',
    "tuple": 'must be a list: ["…", "…"]',
    "frozen": "must be a list: […]",
    "model": "must be a section",
    "dict": "must be a section",
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "time": "must be a time of day, such as 09:00:00",
    "too_short": "needs at least {min_length}",
    "too_long": "may have at most {max_length}",
    "string_too_long": "may have at most {max_length} characters",
    "missing": "is missing and has no default",
    "string_pattern_mismatch": "empty, too long or with a character that is not allowed: {pattern}",
}
_AS_JSON = ("tuple", "model", "dict")
# A line whose name is wrong gets this name for the time being.
_NO_NAME = "-"


def explain(
    error: ValidationError, model: type[BaseModel], file: str, values: Mapping[str, Any]
) -> list[str]:
    """One message for each wrong key of `model`. `file` names where `values` came from."""
    prefix = str(model.model_config.get("env_prefix", ""))
    lines = []
    for item in error.errors(include_url=False):
        location = item["loc"]
        variable = (prefix + "__".join(map(str, location))).upper()
        # The environment overrides the file, so a value that is in both came from the environment.
        source = f"environment variable {variable}" if variable in os.environ else file
        if item["type"] == "extra_forbidden":
            wrongs = [_unknown(model, location)]
        elif source != file and item["type"].startswith(_AS_JSON):
            wrongs = ['in the environment a list or a section is JSON, such as ["100", "200"]']
        else:
            wrongs = _wrong(item).split("\n")
        lines += [
            ": ".join(part for part in (source, ".".join(_named(location, values)), wrong) if part)
            for wrong in wrongs
        ]
    return lines


def without(values: Mapping[str, Any], error: ValidationError) -> dict[str, Any]:
    """The values without the ones that the error names, so that mistakes hidden behind them are found."""
    left: dict[str, Any] = copy.deepcopy(dict(values))
    # From the last to the first: removing an element of a list moves those behind it.
    for item in reversed(error.errors(include_url=False)):
        *way, last = item["loc"] or (None,)
        here: Any = left
        try:
            for part in way:
                here = here[part]
            if item["loc"][0:1] == ("lines",) and last == "name":
                here[last] = f"{_NO_NAME}{way[-1]}"
            else:
                del here[last]
        except (KeyError, IndexError, TypeError):
            # A wrong key of a table, such as a profile's name: loc ends with "[key]".
            _drop(left, item["loc"])
    return left


def _drop(values: Any, location: tuple[int | str, ...]) -> None:
    """Remove the innermost part of `location` that exists."""
    here: Any = None
    place: Any = None
    for part in location:
        if not isinstance(values, dict | list):
            break
        try:
            inner: Any = values[part]  # type: ignore[index]
        except (KeyError, IndexError, TypeError):
            break
        here, place, values = values, part, inner
    if here is not None:
        del here[place]


def _named(location: tuple[int | str, ...], values: Mapping[str, Any]) -> Iterator[str]:
    """The parts of a key.

    An element of a list has its name where it has one, else its number, counted from 1.
    """
    here: Any = values
    for part in location:
        try:
            here = here[part]
        except (KeyError, IndexError, TypeError):
            here = None
        if isinstance(part, str):
            yield part
        else:
            name = here.get("name") if isinstance(here, Mapping) else None
            yield name if isinstance(name, str) else f"#{part + 1}"


def _wrong(item: ErrorDetails) -> str:
    kind = item["type"]
    if item["loc"] == ("lines",) and kind.startswith("tuple"):
        return "each line is a table of its own, headed [[lines]] in double brackets"
    if kind == "value_error":
        wrong = item["msg"].removeprefix("Value error, ")
    else:
        words = next((text for start, text in _WORDS.items() if kind.startswith(start)), item["msg"])
        wrong = words.format(**item.get("ctx", {}))
    given = item["input"]
    hidden = any(isinstance(part, str) and is_secret(part) for part in item["loc"])
    # A value with an @ may hold a password, even if it is not a URL.
    if hidden or not isinstance(given, str | int | float) or "@" in str(given):
        return wrong
    return f"{wrong} (is {masked(given, whole=True) if isinstance(given, str) else given!r})"


def _unknown(model: type[BaseModel], location: tuple[int | str, ...]) -> str:
    """The message for a key that does not exist: the nearest key, or the section it belongs to."""
    key = str(location[-1])
    allowed = allowed_keys(model, location[:-1])
    near = nearest(key, allowed)
    homes = [] if near else _homes(model, key)
    if homes:
        return f"no such key here; it belongs to {' or '.join(homes)}"
    if near:
        return f"no such key{meant(key, allowed)}"
    mean = meant(key, allowed) or "; `callsteward config-schema` prints all there are"
    return f"no such key{mean}"


def _homes(model: type[BaseModel], key: str) -> list[str]:
    """The sections that have this key."""
    if key in model.model_fields:
        return (
            [f"the top of the file, above the first section ({key} = …)"]
            if _alone(model, key)
            else [f"[{key}]"]
        )
    return [
        _heading(name, field.annotation)
        for name, field in model.model_fields.items()
        if (inner := section_of(field.annotation)) is not None and key in inner.model_fields
    ][:3]


def _alone(model: type[BaseModel], key: str) -> bool:
    return section_of(model.model_fields[key].annotation) is None


def _heading(name: str, annotation: Any) -> str:
    kind = get_origin(annotation)
    if kind is tuple:
        return f"[[{name}]]"
    return f"[{name}.NAME]" if kind is dict else f"[{name}]"


def allowed_keys(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The keys a section may have."""
    for part in location:
        field = model.model_fields.get(str(part))
        if field is not None and (inner := section_of(field.annotation)) is not None:
            model = inner
    return list(model.model_fields)


def section_of(annotation: Any) -> type[BaseModel] | None:
    """The section in a type such as Site, tuple[Line, ...] or dict[str, Profile]."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := section_of(part)) is not None), None)
