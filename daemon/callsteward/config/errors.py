"""What is wrong in a configuration, in an admin's words: file, key, what is wrong, what is allowed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, ValidationError

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
    "missing": "is missing and has no default",
    "string_pattern_mismatch": "empty, too long or with a character that is not allowed: {pattern}",
}
_SECRETS = ("password", "hmac_key")


def explain(error: ValidationError, model: type[BaseModel], file: str, values: Mapping[str, Any]) -> str:
    """One line for each wrong key of `model`. `file` names what `values` came from."""
    prefix = str(model.model_config.get("env_prefix", ""))
    lines = []
    for item in error.errors(include_url=False):
        location = item["loc"]
        variable = (prefix + "__".join(map(str, location))).upper()
        # The environment wins over the file, so a value that stands in both came from there.
        source = f"environment variable {variable}" if variable in os.environ else file
        if item["type"] == "extra_forbidden":
            wrong = f"no such key; allowed here: {', '.join(allowed_keys(model, location[:-1]))}"
        else:
            wrong = _wrong(item)
        lines.append(": ".join(part for part in (source, ".".join(_named(location, values)), wrong) if part))
    return "\n".join(lines)


def _named(location: tuple[int | str, ...], values: Mapping[str, Any]) -> Iterator[str]:
    """The parts of a key, an element of a list by its name where it has one, else by its number from 1."""
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
    hidden = any(secret in str(item["loc"][-1:]) for secret in _SECRETS)
    # A URL may hold a password.
    if hidden or not isinstance(given, str | int | float) or "@" in str(given):
        return wrong
    return f"{wrong} (is {given!r})"


def allowed_keys(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The keys a section may have."""
    for part in location:
        field = model.model_fields.get(str(part))
        if field is not None and (inner := _section(field.annotation)) is not None:
            model = inner
    return list(model.model_fields)


def _section(annotation: Any) -> type[BaseModel] | None:
    """The section in a type such as Site, tuple[Line, ...] or dict[str, Profile]."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _section(part)) is not None), None)
