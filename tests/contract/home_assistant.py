"""Home Assistant's own check of discovery messages (PyPI: homeassistant), in an environment of its own.

It is large, so no test fetches it: `python -m tests.contract.home_assistant` does, once, into the cache, and
from then on the tests ask it too. Without it they hold the messages against the keys its reference requires.
"""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

CACHE = Path.home() / ".cache" / "callsteward" / "home-assistant"
PYTHON = CACHE / "bin" / "python"
# The last version for Python 3.11; its broker client is a package Home Assistant fetches by itself.
PACKAGES = ("homeassistant==2024.3.3", "paho-mqtt==1.6.1") if sys.version_info < (3, 12) else (
    "homeassistant",
    "paho-mqtt",
)  # fmt: skip

_CHECK = """
import importlib, json, sys
from homeassistant.components.mqtt.const import DOMAIN
from homeassistant.helpers.template import Template

problems = []
for item in json.load(sys.stdin):
    module = importlib.import_module(f"homeassistant.components.mqtt.{item['component']}")
    try:
        module.DISCOVERY_SCHEMA({**item["settings"], "platform": DOMAIN})
        # A key that it does not know is left out without a word.
        known = {str(key) for key in module.PLATFORM_SCHEMA_MODERN.validators[-1].schema} \\
            if hasattr(module.PLATFORM_SCHEMA_MODERN, "validators") \\
            else {str(key) for key in module.PLATFORM_SCHEMA_MODERN.schema}
        unknown = set(item["settings"]) - known
        if unknown:
            problems.append(f"{item['topic']}: unknown keys {sorted(unknown)}")
    except Exception as error:
        problems.append(f"{item['topic']}: {error}")
json.dump(problems, sys.stdout)
"""


def there() -> bool:
    """True if it was fetched."""
    return PYTHON.exists()


def problems(items: list[dict[str, Any]]) -> list[str]:
    """The errors that Home Assistant finds in these: {topic, component, settings}."""
    done = subprocess.run(
        [PYTHON, "-c", _CHECK],
        input=json.dumps(items),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout)
    return found


def main() -> None:
    if not there():
        venv.create(CACHE, with_pip=True)
    subprocess.run([PYTHON, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)


if __name__ == "__main__":
    main()
