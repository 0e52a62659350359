"""A configuration read anew (SIGHUP): what of it counts at once and what needs a restart. No IO."""

from __future__ import annotations

from callsteward.config import Config, Line
from callsteward.health import ConfigState

# What calls are held against and how they are named. The rest is connections, files and rules that
# are built once: `asterisk`, `endpoints` (whose phone is whose, kept by each channel), `mqtt`, `store` …
AT_ONCE = ("lines", "default_line", "profiles", "operators", "log")


def reloaded(now: Config, new: Config) -> tuple[Config, ConfigState, str]:
    """The configuration to go on with, and what of the new one waits for a restart."""
    went_on = now.model_copy(update={name: getattr(new, name) for name in AT_ONCE})
    waiting = [
        f"[{name}]"
        for name in Config.model_fields
        if name not in AT_ONCE and getattr(now, name) != getattr(new, name)
    ]
    if now.callback.enabled and _for_callbacks(now) != _for_callbacks(new):
        waiting.append("callbacks' view of [[lines]] and [operators]")
    if not waiting:
        return went_on, "current", ""
    return went_on, "needs_restart", f"to be had by a restart: {', '.join(waiting)}"


def _for_callbacks(config: Config) -> tuple[object, ...]:
    """What decides and carries out callbacks, which is built once."""

    def of_line(line: Line) -> tuple[object, ...]:
        return (
            line.name,
            line.timezone,
            line.operators,
            line.dids,
            line.callback_dial,
            line.callback_caller_id,
        )

    return (tuple(of_line(line) for line in config.lines), tuple(config.operators))
