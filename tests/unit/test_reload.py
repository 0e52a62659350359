"""SIGHUP: what counts at once, what waits for a restart, and that a wrong file changes nothing."""

import asyncio

import pytest

from callsteward.config import CallbackSettings, Config, Line, Mqtt, Operator
from callsteward.config.profile import Profile
from callsteward.daemon.reload import reloaded

NOW = Config()


def test_a_reloaded_profile_takes_effect_at_once():
    new = Config(
        lines=(Line(name="sales", queues=("sales",), profile="patient"),),
        profiles={"patient": Profile(hold_limit_s=300)},
        operators={"101": Operator(grade="senior")},
        default_line="sales",
    )
    config, state, detail = reloaded(NOW, new)
    assert config == new
    assert (state, detail) == ("current", "")


def test_a_connection_waits_for_a_restart_and_is_named():
    new = Config(mqtt=Mqtt(host="elsewhere"), lines=(Line(name="sales"),))
    config, state, detail = reloaded(NOW, new)
    assert config.mqtt == NOW.mqtt
    assert config.lines == new.lines
    assert (state, detail) == ("needs_restart", "to be had by a restart: [mqtt]")


@pytest.mark.parametrize(
    ("line", "state"),
    [
        (Line(name="sales", operators=("101",)), "needs_restart"),
        (Line(name="sales", title="Sales"), "current"),
    ],
)
def test_callbacks_keep_their_lines_until_a_restart(line, state):
    now = Config(callback=CallbackSettings(enabled=True), lines=(Line(name="sales"),))
    new = now.model_copy(update={"lines": (line,)})
    assert reloaded(now, new)[1] == state


async def test_a_daemon_takes_over_a_new_profile_and_keeps_it_when_the_next_file_is_wrong(tmp_path):
    from callsteward.config import Asterisk, StoreSettings, load
    from callsteward.daemon.app import Daemon
    from tests.unit.test_app import KeptFeed

    file = tmp_path / "c.toml"
    file.write_text("[profiles.standard]\nhold_limit_s = 60\n")
    config = Config(
        asterisk=Asterisk(url="http://127.0.0.1:9"),
        mqtt=Mqtt(enabled=False),
        store=StoreSettings(url=f"sqlite:///{tmp_path}/calls.db"),
    )
    feed = KeptFeed()
    daemon = Daemon(config, feed=feed, load=lambda: load(file))
    stop = asyncio.Event()
    running = asyncio.create_task(daemon.run(stop))

    async def until(condition) -> None:
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    try:
        await until(lambda: feed.links)
        daemon.hang_up.set()
        await until(lambda: daemon.counters.reloads == 1)
        assert feed.config.profile("any").hold_limit_s == 60
        await until(lambda: feed.healths[-1].config == "needs_restart")
        assert "[store]" in feed.healths[-1].config_detail
        file.write_text("[profiles.standard]\nhold_limit_s = -1\n")
        daemon.hang_up.set()
        await until(lambda: daemon.counters.reload_errors == 1)
        await until(lambda: feed.healths[-1].config == "refused")
        assert "hold_limit_s: must be at least 0" in feed.healths[-1].config_detail
        assert feed.config.profile("any").hold_limit_s == 60
    finally:
        stop.set()
        await running
