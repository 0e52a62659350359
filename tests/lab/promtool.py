"""Debian's promtool, taken out of its package: nothing is installed and no Prometheus is started."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.lab.errors import LabUnavailable
from tests.lab.packages import cache_folder

_PACKAGE = "prometheus"


def ensure_promtool() -> Path:
    """The program, from the cache or from Debian. Raises LabUnavailable where it cannot be had."""
    if installed := shutil.which("promtool"):
        return Path(installed)
    program = cache_folder() / "promtool"
    if program.is_file():
        return program
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        message = "promtool is missing and this is no Debian: install Prometheus"
        raise LabUnavailable(message)
    cache_folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_folder()) as folder:
        if not _download(folder):
            # A machine that has never read its package lists.
            _run(["apt-get", "update"], folder)
            if not _download(folder):
                message = f"apt-get cannot download the package {_PACKAGE}"
                raise LabUnavailable(message)
        package = next(Path(folder).glob("*.deb"))
        _run(["dpkg-deb", "--extract", str(package), folder], folder)
        (Path(folder) / "usr" / "bin" / "promtool").replace(program)
    return program


def _download(folder: str) -> bool:
    return _run(["apt-get", "download", _PACKAGE], folder) and any(Path(folder).glob("*.deb"))


def _run(command: list[str], folder: str) -> bool:
    result = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=300
    )
    return result.returncode == 0
