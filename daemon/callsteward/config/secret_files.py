"""Files that secrets are read from, and who else could read them."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from callsteward.config import secret_words
from callsteward.exceptions import ConfigError


def credential(name: str) -> Path | None:
    """The file of a systemd credential (systemd.exec(5), LoadCredential=), None where there is none."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        return None
    file = Path(folder) / name
    return file if file.is_file() else None


def read(file: Path) -> str:
    """The secret in a file of its own.

    Raises ConfigError if the file cannot be read, or everybody can read it.
    """
    try:
        secret = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not text"
        message = f"cannot read the secret file {file}: {why}"
        raise ConfigError(message) from error
    if _open_to_all(file):
        message = f"{file}: everybody can read this secret; run: chmod o= {file}"
        raise ConfigError(message)
    secret_words.keep_back(secret)
    return secret


def refuse_open(file: Path, values: Mapping[str, Any]) -> None:
    """Raise ConfigError if a configuration file holds secrets and everybody can read it."""
    found = sorted({secret.where for secret in secret_words.secrets(values)})
    if found and _open_to_all(file):
        message = (
            f"{file}: it holds secrets ({', '.join(found)}) and everybody can read it; run: chmod o= {file}"
        )
        raise ConfigError(message)


def exposed(mode: int) -> bool:
    """True if everybody may read or write a file with this mode."""
    return stat.S_ISREG(mode) and bool(mode & (stat.S_IROTH | stat.S_IWOTH))


def _open_to_all(file: Path) -> bool:
    """True if others may read the file. A pipe (process substitution) belongs to nobody else."""
    mode = file.stat().st_mode
    return stat.S_ISREG(mode) and bool(mode & stat.S_IROTH)
