"""Where each channel is by its events, held against Asterisk's lists."""

from __future__ import annotations

from callsteward.ari.census import Census
from callsteward.ari.events import (
    Bridge,
    Channel,
    ChannelCreated,
    ChannelDestroyed,
    ChannelEnteredBridge,
    ChannelLeftBridge,
    ChannelStateChange,
    Event,
    Snapshot,
)


def channel(name: str, state: str = "Up") -> Channel:
    return Channel(name, f"PJSIP/{name}", state)


def bridge(*inside: str, name: str = "b") -> Bridge:
    return Bridge(name, channels=inside)


def after(*events: Event) -> Census:
    census = Census()
    for event in events:
        census.observe(event)
    return census


ONE_TALKS = (
    ChannelCreated(channel=channel("1", "Ring")),
    ChannelStateChange(channel=channel("1")),
    ChannelEnteredBridge(bridge=bridge("1"), channel=channel("1")),
)


def test_they_agree_on_a_channel_its_state_and_its_bridge() -> None:
    census = after(*ONE_TALKS)
    assert census.disagreement([channel("1")], [bridge("1")]) == frozenset()


def test_without_bridges_only_the_channels_are_compared() -> None:
    census = after(*ONE_TALKS)
    assert census.disagreement([channel("1", "Down")]) == frozenset()
    assert census.disagreement([channel("1"), channel("2")]) == {"2"}
    assert census.disagreement([]) == {"1"}


def test_another_state_or_another_bridge_is_a_disagreement() -> None:
    census = after(*ONE_TALKS)
    assert census.disagreement([channel("1", "Ringing")], [bridge("1")]) == {"1"}
    assert census.disagreement([channel("1")], [bridge()]) == {"1"}
    assert census.disagreement([channel("1")], [bridge("1", name="c")]) == {"1"}
    assert census.disagreement([], [bridge("1")]) == {"1"}


def test_a_channel_that_left_is_in_no_bridge() -> None:
    """Whoever was in a bridge leaves it, if need be after its end: a bridge that is gone says nothing."""
    census = after(*ONE_TALKS, ChannelLeftBridge(bridge=bridge(), channel=channel("1")))
    assert census.disagreement([channel("1")], []) == frozenset()


def test_a_moved_channel_is_in_its_new_bridge_even_if_it_leaves_the_old_one_later() -> None:
    census = after(
        *ONE_TALKS,
        ChannelEnteredBridge(bridge=bridge("1", name="c"), channel=channel("1")),
        ChannelLeftBridge(bridge=bridge(), channel=channel("1")),
    )
    assert census.disagreement([channel("1")], [bridge("1", name="c")]) == frozenset()


def test_a_snapshot_replaces_all_channels_and_bridges() -> None:
    census = after(*ONE_TALKS, Snapshot(channels=(channel("2"),), bridges=(bridge("2"),)))
    assert census.disagreement([channel("2")], [bridge("2")]) == frozenset()


def test_a_gone_channel_is_not_brought_back_by_a_late_event() -> None:
    census = after(
        *ONE_TALKS,
        ChannelDestroyed(channel=channel("1")),
        ChannelStateChange(channel=channel("1")),
        ChannelEnteredBridge(bridge=bridge()),
    )
    assert census.disagreement([], []) == frozenset()
