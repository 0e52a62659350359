"""Where a relative path in the configuration begins: not where a command happens to be run."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# What the shipped unit has: StateDirectory=callsteward, and its configuration under /etc.
STATE = Path("/var/lib/callsteward")
CONFIGURATIONS = Path("/etc")

_RELATIVE = re.compile(r"^(sqlite(?:\+\w+)?:///)(?!/|:memory:|file:)([^?]+)(.*)$", re.DOTALL)


def data_folder(file: Path | None) -> Path:
    """Where the store's relative path begins: systemd's state folder, else the configuration's own.

    A command run by hand has no $STATE_DIRECTORY, but is to find what the daemon wrote: for a configuration
    under /etc the state folder of the shipped unit counts where it is there.
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
    """The URL of an SQLite database with its full path; any other as it is."""
    found = _RELATIVE.match(url)
    return url if found is None else f"{found[1]}{folder / found[2]}{found[3]}"


def in_working_folder(url: str) -> Path | None:
    """The database that a relative URL meant in earlier versions, where it is still there."""
    found = _RELATIVE.match(url)
    return Path(found[2]).absolute() if found is not None and os.path.isfile(found[2]) else None  # noqa: PTH113


def there(url: str) -> bool:
    """Whether the file of an SQLite database exists."""
    return os.path.exists(url.partition(":///")[2].partition("?")[0])  # noqa: PTH110


def beside(values: Mapping[str, Any], file: Path) -> dict[str, Any]:
    """The configuration's values with each relative file that lies beside it by its full path.

    One that does not is left to the working folder, where earlier versions looked for it.
    """
    found = dict(values)
    for key, value in values.items():
        if isinstance(value, Mapping):
            found[key] = beside(value, file)
        elif key.endswith("_file") and isinstance(value, str) and not Path(value).is_absolute():
            near = file.absolute().parent / value
            found[key] = str(near) if value and os.path.exists(near) else value  # noqa: PTH110
    return found
