"""AsyncAPI's official parser (npm: @asyncapi/parser), fetched once into the cache.

Node is asked for by `npm` alone: where it is missing, and apt and root are there, Debian's is installed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).with_name("asyncapi_parser.mjs")
CACHE = Path.home() / ".cache" / "callsteward" / "asyncapi"
PACKAGE = "@asyncapi/parser@3"
INSTALL_S = 240


class NoParserError(Exception):
    """The parser cannot be had here: why."""


def parse(document: str, folder: Path) -> dict[str, Any]:
    """The parser's result for a document. Raises NoParserError if there is no parser."""
    modules = _modules()
    file = folder / "asyncapi.json"
    file.write_text(document, encoding="utf-8")
    done = subprocess.run(
        ["node", SCRIPT, modules, file], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def _modules() -> Path:
    if shutil.which("npm") is None:
        _install_node()
    if not (CACHE / "node_modules" / "@asyncapi" / "parser" / "package.json").exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        # No package needs its install script, and none is run.
        options = ["--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(CACHE)]
        command = ["npm", "install", *options, PACKAGE]
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S, check=False)
        if done.returncode:
            message = f"npm cannot install {PACKAGE}: {done.stderr.strip()[-300:]}"
            raise NoParserError(message)
    return CACHE


def _install_node() -> None:
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        message = "no npm here, and no right to install it: apt-get install nodejs npm"
        raise NoParserError(message)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", "nodejs", "npm"]):
        done = subprocess.run(
            ["apt-get", *command], env=environment, capture_output=True, text=True, timeout=600, check=False
        )
        if done.returncode:
            message = f"apt-get {command[0]} failed: {done.stderr.strip()[-300:]}"
            raise NoParserError(message)
