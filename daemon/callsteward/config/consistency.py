"""Checks across the whole configuration: whether values that are right by themselves fit together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from callsteward.config.hotline import DEFAULT_PROFILE
from callsteward.config.nearest import meant
from callsteward.config.profile import Profile

if TYPE_CHECKING:
    from callsteward.config import Config

DEFAULT_LINE = "default"
_IN_MEMORY = ("sqlite:", "sqlite:///:memory:")
# The languages that `callsteward prompts` speaks (rating.prompts.TEXTS, which is too much to import here).
SPOKEN = ("ru", "en")


def contradictions(config: Config) -> Iterator[str]:
    """Contradictions: with these no daemon could work."""
    if config.rating.app == config.asterisk.app:
        yield "rating.app: must differ from asterisk.app, since the observer owns no channels"
    if config.standby.instance is not None and config.store.url.startswith("sqlite"):
        yield (
            "standby.instance: two daemons share one database, and an SQLite file has one daemon: set"
            " store.url to a PostgreSQL database (postgresql://…), or leave [standby] out"
        )
    known = {DEFAULT_PROFILE, *config.profiles}
    names: set[str] = set()
    line_of: dict[tuple[str, str], str] = {}
    for line in config.lines:
        if line.profile not in known:
            yield (
                f"lines.{line.name}.profile: no profile {line.profile!r}{meant(line.profile, sorted(known))}"
            )
        if line.name in names:
            yield f"lines: {line.name!r} is there twice; a line's name must be unique"
        names.add(line.name)
        for key in ("queues", "dids", "contexts"):
            for value in getattr(line, key):
                other = line_of.setdefault((key, value), line.name)
                if other != line.name:
                    yield (
                        f"lines.{line.name}.{key}: {value!r} belongs to line {other!r} already;"
                        " each belongs to one line"
                    )


def mistakes(config: Config) -> Iterator[str]:
    """Mistakes that would go unnoticed, such as a name that nothing else has."""
    if config.store.url.rstrip("/") in _IN_MEMORY:
        yield ("store.url: a database in memory keeps nothing; name a file, such as sqlite:///callsteward.db")
    if config.commands.http and not config.web.enabled:
        yield "commands.http: no server is on for it: set enabled = true and a token under [web]"
    if config.web.enabled and not (config.web.metrics or config.commands.http):
        yield (
            "web.enabled: there is nothing to serve: set metrics = true under [web], http = true under"
            " [commands], or enabled = false"
        )
    codes = config.statuses.enabled and config.statuses.codes
    for name, profile in config.profiles.items():
        for key in () if codes else ("wrap_up_s", "away_after_unanswered"):
            if getattr(profile, key):
                yield (
                    f"profiles.{name}.{key}: nobody would be paused, or could get back: set codes = true"
                    " under [statuses]"
                )
    lines = [line.name for line in config.lines]
    if lines and config.default_line not in {DEFAULT_LINE, *lines}:
        yield (
            f"default_line: no line {config.default_line!r} among the [[lines]]"
            f"{meant(config.default_line, [*lines, DEFAULT_LINE])}"
        )
    grades = {
        grade for profile in (Profile(), *config.profiles.values()) for grade in profile.hold_limit_by_grade_s
    }
    for name, operator in config.operators.items():
        if operator.grade and operator.grade not in grades:
            yield (
                f"operators.{name}.grade: no profile has a limit for the grade {operator.grade!r}"
                f"{meant(operator.grade, sorted(grades))} (a profile's hold_limit_by_grade_s names it)"
            )


def without_prompts(config: Config) -> Iterator[str]:
    """Languages of the rating for which there are no prompts. Looks into rating.prompts_dir."""
    # While ratings are off, the language may be for the dialplan's questions alone.
    if config.rating.enabled or not config.agi.enabled:
        yield from _unspoken("rating.language", config.rating.language, config)
    if config.rating.enabled:
        for line in config.lines:
            if line.language is not None and config.profile(line.name).rating != "off":
                yield from _unspoken(f"lines.{line.name}.language", line.language, config)


def _unspoken(key: str, language: str, config: Config) -> Iterator[str]:
    folder = Path(config.rating.prompts_dir) / language
    if language not in SPOKEN and not _may_be_there(folder):
        yield (
            f"{key}: there are no prompts in {language!r}{meant(language, SPOKEN)} (recordings of your own"
            f" belong into {folder})"
        )


def _may_be_there(folder: Path) -> bool:
    try:
        folder.stat()
    except PermissionError:
        return True
    except OSError:
        return False
    return True
