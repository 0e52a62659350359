"""Builds the wheel with the compiled core and unpacks it into a folder of its own, once per sources.

Nothing of it lies in `daemon/`, where it would shadow an edited source.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build"
_MARK = ".callsteward-built"


class NoCompiledCoreError(Exception):
    """There is no compiler here; the message says what is missing."""


def _fingerprint() -> str:
    """Of all that the build depends on."""
    found = hashlib.sha256()
    package = (ROOT / "daemon").rglob("*")
    sources = sorted(path for path in package if path.is_file() and "__pycache__" not in path.parts)
    for path in (*sources, ROOT / "hatch_build.py", ROOT / "pyproject.toml"):
        found.update(f"{path.relative_to(ROOT)}\0".encode())
        found.update(path.read_bytes())
    # Types decide what is compiled to what.
    for name in ("mypy", "setuptools", "msgspec", "pydantic", "phonenumbers"):
        found.update(f"{name} {importlib.metadata.version(name)}\0".encode())
    found.update(f"{sys.version} {sysconfig.get_platform()}".encode())
    return found.hexdigest()[:12]


def compiled_core() -> Path:
    """The folder to put first on the path. Builds it where it is not there: about a minute.

    Raises NoCompiledCoreError without a compiler, CalledProcessError where the core does not compile.
    """
    folder = BUILD / f"compiled-{_fingerprint()}"
    BUILD.mkdir(exist_ok=True)
    with (BUILD / "compiled.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / _MARK).is_file():
            _build(folder)
    return folder


def _build(folder: Path) -> None:
    print("==> a C compiler, then the core (about a minute, once per change)", file=sys.stderr, flush=True)
    # It says on stderr what it installs, or what is missing.
    ready = subprocess.run(
        [ROOT / "scripts" / "compiler", sys.executable], check=False, text=True, stderr=subprocess.PIPE
    )
    if ready.returncode != 0:
        raise NoCompiledCoreError(ready.stderr.strip().removeprefix("==> ") or "no compiler")
    for old in BUILD.glob("compiled-*"):
        shutil.rmtree(old)
    began = time.monotonic()
    wheels = folder / "wheel"
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-build-isolation", f"--wheel-dir={wheels}", str(ROOT)],
        check=True,
        env={**os.environ, "CALLSTEWARD_COMPILE": "1"},
        stdout=sys.stderr,
    )
    (wheel,) = wheels.glob("callsteward-*.whl")
    subprocess.run([sys.executable, "-m", "zipfile", "-e", str(wheel), str(folder)], check=True)
    (folder / _MARK).touch()
    print(f"==> compiled in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def environment(core: Path | None) -> dict[str, str]:
    """For a process that is to import callsteward from there; None: from the sources."""
    path = str(core if core is not None else ROOT / "daemon")
    return {**os.environ, "PYTHONPATH": os.pathsep.join((path, str(ROOT)))}


if __name__ == "__main__":
    try:
        compiled_core()
    except NoCompiledCoreError as error:
        print(f"==> no compiled core: {error}", file=sys.stderr)
