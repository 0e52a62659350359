"""Root folders with a real Asterisk in them, built once with mmdebstrap and cached.

Debian's stable release may have no Asterisk, and a lab must not put a running PBX
or broker on the host: so every server lives in a root folder of its own and is
started with chroot. ``python -m tests.lab.roots`` builds all of them, and has espeak-ng
speak the rating's prompts.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from tests.lab.errors import LabUnavailable
from tests.lab.packages import Progress, cache_folder, ensure_program, only_one, run_logged, say

__all__ = ["ensure_root", "is_built", "root_folder", "say"]

STAMP = ".callsteward-root"
"""Written last: a folder without it was not finished and is built again."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """The contents of one root folder."""

    version: str
    suite: str
    packages: tuple[str, ...]
    options: tuple[str, ...] = (
        "--variant=minbase",
        # Archived suites keep package lists past their expiry date.
        '--aptopt=Acquire::Check-Valid-Until "false"',
        '--aptopt=Apt::Install-Recommends "false"',
    )

    @property
    def folder_name(self) -> str:
        """Holds a hash of the recipe, so that a changed recipe is a new folder."""
        text = "\n".join((self.suite, *self.packages, *self.options))
        return f"asterisk-{self.version}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"

    def command(self, folder: Path) -> list[str]:
        include = f"--include={','.join(self.packages)}"
        return ["mmdebstrap", *self.options, include, self.suite, str(folder)]


_SOUNDS = ("asterisk-core-sounds-en-gsm", "asterisk-core-sounds-ru-gsm", "ca-certificates")
RECIPES = {
    # Mosquitto and sipp come with it, so that the host never gets a system broker.
    "22": Recipe("22", "forky", ("asterisk", *_SOUNDS, "mosquitto", "sip-tester")),
    "16": Recipe("16", "bullseye", ("asterisk", *_SOUNDS)),
}


def root_folder(version: str) -> Path:
    """The folder of this version, built or not."""
    return cache_folder() / RECIPES[version].folder_name


def is_built(version: str) -> bool:
    """True when the root is complete."""
    return (root_folder(version) / STAMP).is_file()


def ensure_root(version: str = "22", progress: Progress = say) -> Path:
    """Return the root folder of Asterisk ``version`` ("22" or "16"), building it if missing.

    Raises LabUnavailable when this machine cannot build it.
    """
    folder = root_folder(version)
    # Also where it is built already: what is in it is started with chroot.
    if os.geteuid() != 0:
        message = "the lab needs root (chroot, mmdebstrap); run it as root"
        raise LabUnavailable(message)
    if is_built(version):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with only_one(folder, progress):
        if not is_built(version):
            _build(RECIPES[version], folder, progress)
    return folder


def _build(recipe: Recipe, folder: Path, progress: Progress) -> None:
    ensure_program("mmdebstrap", progress)
    if folder.exists():
        progress(f"{folder.name}: a half-built folder is removed")
        shutil.rmtree(folder)
    log = folder.with_suffix(".log")
    started = time.monotonic()
    status = run_logged(
        recipe.command(folder),
        log,
        f"building Asterisk {recipe.version} from Debian {recipe.suite}",
        progress,
    )
    if status != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-12:])
        shutil.rmtree(folder, ignore_errors=True)
        message = f"mmdebstrap failed ({status}), see {log}:\n{tail}"
        raise LabUnavailable(message)
    (folder / "lab").mkdir(exist_ok=True)
    (folder / STAMP).write_text(" ".join(recipe.command(Path(folder.name))) + "\n")
    progress(f"{folder.name}: ready after {time.monotonic() - started:.0f} s")


def main() -> int:
    """Build every root (or those named), two at a time, and get what speaks the prompts."""
    versions = sys.argv[1:] or list(RECIPES)
    failures: list[str] = []

    def build(version: str) -> None:
        try:
            print(ensure_root(version), flush=True)
        except LabUnavailable as error:
            failures.append(str(error))

    threads = [threading.Thread(target=build, args=(version,)) for version in versions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    try:
        ensure_program("espeak-ng")
    except LabUnavailable as error:
        say(f"{error}; until then the lab's prompts are tones, and the tests of spoken ones are skipped")
        # In CI nothing is left out.
        if os.environ.get("CALLSTEWARD_REQUIRE_LIVE") == "1":
            failures.append(f"without espeak-ng: {error}")
    for failure in failures:
        say(failure)
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
