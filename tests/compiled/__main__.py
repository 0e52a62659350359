"""`python -m tests.compiled`: the replay, property and unit suites of the core against the compiled one."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.compiled.build import ROOT, NoCompiledCoreError, compiled_core, environment

SUITES = ("tests/replay", "tests/property", "tests/unit/calls", "tests/unit/standard")


def main() -> int:
    try:
        core = compiled_core()
    except NoCompiledCoreError as error:
        # As with the live tests: in CI what cannot run is a failure.
        if os.environ.get("CALLSTEWARD_REQUIRE_LIVE"):
            print(f"==> the compiled core cannot be tested: {error}", file=sys.stderr)
            return 1
        print(f"==> the compiled core is not tested: {error}", file=sys.stderr)
        return 0
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.compiled.loaded", "-p", "no:cacheprovider"]
    command += ["-n", "auto", "--dist", "loadscope"]
    return subprocess.run([*command, *SUITES], check=False, cwd=ROOT, env=environment(core)).returncode


if __name__ == "__main__":
    raise SystemExit(main())
