"""A configuration read anew (SIGHUP): what of it counts at once and what needs a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from callsteward.config import Config, Line
from callsteward.daemon import logs
from callsteward.exceptions import CallstewardError
from callsteward.health import ConfigState, Counters
from callsteward.notify import Notify

log = structlog.get_logger(__name__)

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
    """The settings on which the callback part depends: it is built once."""

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


class Reloads:
    """Takes over a new configuration each time that `hang_up` is set; a wrong one changes nothing.

    `load` reads it anew, None where it came from no file; `take_over` are given what it is to be from now on.
    """

    def __init__(
        self,
        config: Config,
        load: Callable[[], Config] | None,
        hang_up: asyncio.Event,
        *,
        counters: Counters,
        notify: Notify,
    ) -> None:
        self._config = config
        self._load = load
        self._hang_up = hang_up
        self._counters = counters
        self._notify = notify
        self._state: tuple[ConfigState, str] = ("current", "")

    def state(self) -> tuple[ConfigState, str]:
        """The result of the last reload, and its detail."""
        return self._state

    async def run(self, take_over: Sequence[Callable[[Config], None]]) -> None:
        """Work until cancelled."""
        while True:
            await self._hang_up.wait()
            self._hang_up.clear()
            if self._load is None:
                continue
            self._notify.reloading()
            await self._reload(self._load, take_over)
            self._notify.ready()

    async def _reload(
        self, load: Callable[[], Config], take_over: Sequence[Callable[[Config], None]]
    ) -> None:
        try:
            new = await asyncio.to_thread(load)
        except CallstewardError as error:
            self._counters.reload_errors += 1
            self._state = ("refused", str(error))
            log.error(  # noqa: TRY400
                "the new configuration is refused: going on with the old one",
                action="reload_refused",
                error=str(error),
            )
            return
        self._config, state, detail = reloaded(self._config, new)
        self._counters.reloads += 1
        self._state = (state, detail)
        for take in take_over:
            take(self._config)
        logs.set_level(self._config.log)
        log.info("configuration read anew", action="reloaded", detail=detail)
