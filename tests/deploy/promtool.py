"""Running promtool."""

from __future__ import annotations

import subprocess
from pathlib import Path


def run(promtool: Path, *arguments: str | Path, stdin: bytes = b"") -> tuple[int, str]:
    """Its exit code and all it said."""
    result = subprocess.run(
        [promtool, *map(str, arguments)], input=stdin, capture_output=True, check=False, timeout=60
    )
    return result.returncode, (result.stdout + result.stderr).decode()
