"""Where secrets are read from, and who else could read them there."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from callsteward.exceptions import ConfigError

_KEYS = frozenset({"password", "hmac_key", "token", "secret"})
# What the shipped example holds in place of a secret.
_PLACEHOLDER = "CHANGE_ME"


def credential(name: str) -> Path | None:
    """The file of a systemd credential (systemd.exec(5), LoadCredential=), None where there is none."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        return None
    file = Path(folder) / name
    return file if file.is_file() else None


def read(file: Path) -> str:
    """The secret in a file of its own. Raises ConfigError where it cannot be read, or everybody can."""
    try:
        secret = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not text"
        message = f"cannot read the secret file {file}: {why}"
        raise ConfigError(message) from error
    if _open_to_all(file):
        message = f"{file}: everybody can read this secret; run: chmod o= {file}"
        raise ConfigError(message)
    return secret


def refuse_open(file: Path, values: Mapping[str, Any]) -> None:
    """Raise ConfigError where a configuration file has secrets in it and everybody can read it."""
    found = sorted(_secrets(values, ""))
    if found and _open_to_all(file):
        message = (
            f"{file}: it holds secrets ({', '.join(found)}) and everybody can read it; run: chmod o= {file}"
        )
        raise ConfigError(message)


def exposed(mode: int) -> bool:
    """Whether a file of this mode is open to everybody, to read or to write."""
    return stat.S_ISREG(mode) and bool(mode & (stat.S_IROTH | stat.S_IWOTH))


def _open_to_all(file: Path) -> bool:
    """Whether others may read it; a pipe (process substitution) is nobody else's."""
    mode = file.stat().st_mode
    return stat.S_ISREG(mode) and bool(mode & stat.S_IROTH)


def _secrets(values: Mapping[str, Any], path: str) -> Iterator[str]:
    """The keys that hold a secret."""
    for key, value in values.items():
        where = f"{path}.{key}" if path else key
        if isinstance(value, Mapping):
            yield from _secrets(value, where)
        elif isinstance(value, str) and _is_secret(key, value):
            yield where


def _is_secret(key: str, value: str) -> bool:
    if key in _KEYS:
        return value not in {"", _PLACEHOLDER}
    return key == "url" and _has_password(value)


def _has_password(url: str) -> bool:
    # A third of what --help takes; that, a replay and a wrong option look at no store's address.
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return bool(make_url(url).password)
    except (ArgumentError, ValueError):
        return False
