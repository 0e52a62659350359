"""Builds the wheel with a compiled core where CALLSTEWARD_COMPILE=1 says so.

Without it the wheel is plain Python and needs no compiler. With it mypyc turns the modules listed in
pyproject.toml (the tracker and the rules) into extension modules; they lie beside the same modules in
Python and do the same, about twice as fast. An editable install is never compiled: an edited source
would be shadowed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SWITCH = "CALLSTEWARD_COMPILE"
GROUP = "callsteward_core"


def switched_on() -> bool:
    """Whether the environment asks for the compiled core."""
    return os.environ.get(SWITCH, "").lower() in {"1", "true", "yes", "on"}


class CompiledCore(BuildHookInterface):  # type: ignore[type-arg]
    """Compiles the core in a folder of its own and puts the extension modules into the wheel."""

    PLUGIN_NAME = "custom"
    _folder: Path | None = None

    def dependencies(self) -> list[str]:
        """What the build needs more than hatchling: mypyc, and for the types what callsteward runs on."""
        if not switched_on():
            return []
        return ["mypy>=1.13", "setuptools>=65", *self.metadata.core.dependencies]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable" or not switched_on():
            return
        self._folder = Path(tempfile.mkdtemp(prefix="callsteward-core-"))
        root = Path(self.root)
        shutil.copytree(root / "daemon" / "callsteward", self._folder / "callsteward")
        built = compiled(self._folder, list(self.config["modules"]), root / "pyproject.toml")
        build_data["force_include"].update(built)
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


def compiled(folder: Path, modules: list[str], mypy_config: Path) -> dict[str, str]:
    """Compiles modules of the package that lies in a folder: each file made, and its place in the wheel.

    Exits with mypy's messages where the types are wrong; raises what setuptools raises without a compiler.
    """
    from mypyc.build import mypycify
    from setuptools import Distribution
    from setuptools.command.build_ext import build_ext

    out = folder / "out"
    # mypyc and setuptools speak of their progress on stdout, which belongs to the caller of the build.
    with contextlib.chdir(folder), contextlib.redirect_stdout(sys.stderr):
        extensions = mypycify(
            [f"--config-file={mypy_config}", *modules],
            group_name=GROUP,
            # Level 3 makes the code bigger and, between a daemon's other work, slower.
            opt_level="2",
            debug_level="0",
            target_dir=str(folder / "c"),
        )
        if sys.platform == "linux":
            # Calls within the core need not go through the linker's table: nothing is put in between.
            for extension in extensions:
                extension.extra_compile_args += ["-fno-semantic-interposition"]
                extension.extra_link_args += ["-Wl,-Bsymbolic"]
        command = build_ext(Distribution({"name": GROUP, "ext_modules": extensions}))
        command.build_lib, command.build_temp = str(out), str(folder / "temp")
        command.ensure_finalized()
        command.run()
    return {str(file): str(file.relative_to(out)) for file in sorted(out.rglob("*")) if file.is_file()}
