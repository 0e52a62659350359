"""README and docs: each command that stands there does what the page says, and each link leads somewhere."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from callsteward import config
from callsteward.callback.ledger import CallbackLedger
from callsteward.rating.complaints import Complaints
from callsteward.record.call import CallbackDecision, Decision
from callsteward.recording.replay import ReplayCounts, replay
from callsteward.store.records import Store
from tests.lab.pbx_config import REPOSITORY

PAGES = [
    *(REPOSITORY / f"{name}.md" for name in ("README", "ARCHITECTURE", "CONTRIBUTING")),
    *sorted((REPOSITORY / "docs").glob("*.md")),
]
PROGRAM = ".venv/bin/callsteward"
CALL_ID = "1795313835.6"
AT_MS = 1_795_313_852_525
# Neither daemon nor Asterisk nor broker is there, nor a second daemon: the command says so.
FAILS = ("check", "status", "feed undiscover", "standby")
# Goes on until it is stopped; the live tests run it.
ENDLESS = {"run"}


def commands(page: Path) -> Iterator[str]:
    for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            yield line.strip()


WRITTEN = [(page.name, line) for page in PAGES for line in commands(page)]
OURS = [(page, line) for page, line in WRITTEN if line.startswith(PROGRAM)]
MAKE = sorted({line.split()[1] for _, line in WRITTEN if line.startswith("make ")})


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with the shipped configuration and a day that had the call of the README."""
    folder = tmp_path_factory.mktemp("docs")
    (folder / "config").mkdir()
    settings = folder / "config" / "callsteward.toml"
    shutil.copy(REPOSITORY / "config" / "callsteward.toml", settings)
    settings.chmod(0o600)
    (folder / "tests").symlink_to(REPOSITORY / "tests")
    (folder / "list.csv").write_text("Name,Phone\nA client,+7 900 000-00-01\n")
    asyncio.run(_fill(config.load(settings)))
    return folder


def _broken(number: int, error: Exception) -> None:
    raise AssertionError(number, error)


async def _fill(settings: config.Config) -> None:
    lines = (REPOSITORY / "tests/replay/captures/netdrop.jsonl").read_bytes().splitlines()
    async with contextlib.AsyncExitStack() as stack:
        store = await Store.open(settings.store.url)
        stack.push_async_callback(store.close)
        await _fill_store(store, settings, lines)


async def _fill_store(store: Store, settings: config.Config, lines: list[bytes]) -> None:
    (record,) = replay(lines, settings, ReplayCounts(), _broken)
    assert record.call_id == CALL_ID
    await store.save([record])
    opened = await CallbackLedger(store.engine, settings.site.name).open(
        record,
        CallbackDecision(Decision.DUE, "mid_dialogue_drop"),
        number="+79031234567",
        dropped_ms=AT_MS,
        at_ms=AT_MS,
    )
    assert opened is not None
    await Complaints(store.engine, settings.site.name).raise_(
        call_id=CALL_ID,
        line=record.line,
        operator=record.operator,
        client_masked=record.client_masked,
        client_ref=record.client_ref,
        reason="tag",
        score=None,
        at_ms=AT_MS,
    )


def environment(site: Path) -> dict[str, str]:
    outside = {key: value for key, value in os.environ.items() if not key.startswith("CALLSTEWARD_")}
    return {**outside, "HOME": str(site), "COLUMNS": "120"}


@pytest.mark.parametrize(("page", "line"), OURS)
def test_each_command_does_what_the_page_says(site: Path, page: str, line: str) -> None:
    written, _, _ = line.partition(" | ")
    arguments = shlex.split(written, comments=True)[1:]
    arguments = [item.replace("/var/lib/callsteward", str(site)) for item in arguments]
    if arguments[0] in ENDLESS:
        arguments = [arguments[0], "--help"]
    if arguments[0] == "prompts" and shutil.which("espeak-ng") is None:
        arguments = ["prompts", "--help"]
    result = subprocess.run(
        [REPOSITORY / PROGRAM, *arguments],
        cwd=site,
        env=environment(site),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
        check=False,
    )
    said = (result.stdout + result.stderr).decode()
    assert result.returncode == " ".join(arguments).startswith(FAILS), said
    assert "Traceback" not in said


@pytest.mark.parametrize("target", MAKE)
def test_each_make_target_is_there(target: str) -> None:
    assert re.search(rf"^{target}:.*## ", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in target:
            continue
        name, _, place = target.partition("#")
        file = (page.parent / name) if name else page
        assert file.exists(), target
        if place:
            headings = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
            places = {re.sub(r"[^\w -]", "", item).lower().replace(" ", "-") for item in headings}
            assert place in places, target


def test_the_readme_is_short_and_leads_to_every_page() -> None:
    text = PAGES[0].read_text()
    assert len(text.splitlines()) <= 200
    for page in PAGES[1:]:
        assert re.search(rf"\]\({page.relative_to(REPOSITORY)}[#)]", text), page.name
