"""The folder to which a relative path in the configuration belongs: not where a command happens to run."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# The shipped unit has StateDirectory=callsteward, and its configuration lies under /etc.
STATE = Path("/var/lib/callsteward")
CONFIGURATIONS = Path("/etc")

_RELATIVE = re.compile(r"^(sqlite(?:\+\w+)?:///)(?!/|:memory:|file:)([^?]+)(.*)$", re.DOTALL)


def data_folder(file: Path | None) -> Path:
    """The folder for a relative store.url: systemd's state folder, else the configuration's own.

    A command run by hand has no $STATE_DIRECTORY, but has to find what the daemon wrote. So for a
    configuration under /etc it is the state folder of the shipped unit, where that exists.
    """
    told = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if told:
        return Path(told)
    if file is None or not file.is_file():  # none, or a pipe
        return Path.cwd()
    own = file.absolute().parent
    if ".." in own.parts:
        own = own.resolve()
    if own.is_relative_to(CONFIGURATIONS) and os.path.lexists(STATE):
        return STATE
    return own


def placed(url: str, folder: Path) -> str:
    """The URL of an SQLite database with its full path; any other URL unchanged."""
    found = _RELATIVE.match(url)
    return url if found is None else f"{found[1]}{folder / found[2]}{found[3]}"


def in_working_folder(url: str) -> Path | None:
    """The database that a relative URL meant in earlier versions, if it is still there."""
    found = _RELATIVE.match(url)
    return Path(found[2]).absolute() if found is not None and os.path.isfile(found[2]) else None  # noqa: PTH113


def there(url: str) -> bool:
    """True if the file of an SQLite database exists."""
    return os.path.exists(url.partition(":///")[2].partition("?")[0])  # noqa: PTH110


def beside(values: Mapping[str, Any], file: Path) -> dict[str, Any]:
    """The configuration's values, with the full path of each relative file that lies beside it.

    Any other relative file stays relative to the working folder, where earlier versions looked for it.
    """
    found = dict(values)
    for key, value in values.items():
        if isinstance(value, Mapping):
            found[key] = beside(value, file)
        elif key.endswith("_file") and isinstance(value, str) and not Path(value).is_absolute():
            near = file.absolute().parent / value
            found[key] = str(near) if value and os.path.exists(near) else value  # noqa: PTH110
    return found
