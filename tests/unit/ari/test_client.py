import asyncio

import aiohttp

from callsteward.ari.events import Snapshot, decode, epoch_ms
from callsteward.config import Operator
from tests.unit.ari.conftest import linked

STAMP = "2026-11-22T02:01:%02d.000+0000"


def event(second: int, kind: str = "ChannelHold", channel: str = "1.1") -> str:
    stamp = STAMP % second
    return f'{{"type":"{kind}","timestamp":"{stamp}","channel":{{"id":"{channel}","name":"PJSIP/101-1"}}}}'


def snapshot(raw: bytes) -> Snapshot:
    found = decode(raw)
    assert isinstance(found, Snapshot)
    return found


async def test_it_filters_then_subscribes_then_lists(ari):
    async with linked(ari, operators={"101": Operator(), "SIP/7": Operator()}) as link:
        await link.count(1)
    assert ari.calls == [
        "GET /ari/events",
        "PUT /ari/applications/callsteward/eventFilter",
        "POST /ari/applications/callsteward/subscription",
        "GET /ari/channels",
        "GET /ari/bridges",
    ]
    assert ari.sources == ["channel:", "bridge:", "deviceState:PJSIP/101", "deviceState:SIP/7"]


async def test_the_first_snapshot_lists_the_channels_and_knows_no_gap(ari):
    ari.channels["1.1"] = {"id": "1.1", "name": "PJSIP/101-1", "state": "Up"}
    async with linked(ari) as link:
        found = snapshot((await link.count(1))[0])
    assert [channel.id for channel in found.channels] == ["1.1"]
    assert found.gap_from == ""
    assert link.states == [(True, "")]


async def test_the_first_snapshot_continues_from_the_journal(ari):
    async with linked(ari, gap_from=STAMP % 7) as link:
        assert snapshot((await link.count(1))[0]).gap_from == STAMP % 7


async def test_events_that_arrive_while_the_lists_are_read_come_after_the_snapshot(ari):
    async def during(_kind: str) -> None:
        await ari.send(event(1))

    ari.on_list = during
    async with linked(ari) as link:
        got = await link.count(3)
    assert snapshot(got[0])
    assert got[1:] == [event(1).encode()] * 2


async def test_after_a_drop_it_subscribes_anew_and_the_snapshot_names_the_gap(ari):
    async with linked(ari) as link:
        await link.count(1)
        await ari.send(event(5))
        await link.count(2)
        for rudely in (False, True):
            ari.calls.clear()
            await ari.drop(rudely=rudely)
            await link.until(lambda: len(ari.calls) == 6)
            await ari.connected()
        got = await link.count(4)
        await ari.send(event(9))
        assert (await link.count(5))[4] == event(9).encode()
    assert [snapshot(raw).gap_from for raw in got[2:4]] == [STAMP % 5] * 2
    assert [up for up, _ in link.states] == [True, False, True, False, True]
    assert link.frames.counters.connects == 3


async def test_an_asterisk_that_restarts_is_found_again(ari):
    async with linked(ari) as link:
        await link.count(1)
        await ari.stop()
        await link.until(lambda: len(link.states) >= 3)
        assert "does not answer" in link.states[-1][1]
        await ari.start()
        await link.count(2)
    assert link.states[-1] == (True, "")


async def test_a_refused_login_is_reported_and_tried_again(ari):
    ari.refuse_status = 401
    async with linked(ari) as link:
        await link.until(lambda: len(link.states) >= 2)
        assert all(not up and "refused the ARI user" in why for up, why in link.states)
        ari.refuse_status = None
        await link.count(1)
    assert link.states[-1] == (True, "")


async def test_a_socket_lost_while_the_lists_are_read_loses_no_event(ari):
    failed = False

    async def during(kind: str) -> None:
        nonlocal failed
        if kind == "bridges" and not failed:
            failed = True
            await ari.send(event(3))
            await asyncio.sleep(0.05)
            await ari.drop(rudely=True)
            await asyncio.sleep(0.2)

    ari.on_list = during
    async with linked(ari) as link:
        got = await link.count(2)
    assert got[0] == event(3).encode()
    assert snapshot(got[1]).gap_from == STAMP % 3


async def test_unneeded_events_are_kept_back_by_asterisk(ari):
    async with linked(ari) as link:
        await link.count(1)
        await ari.send(event(1, "ChannelVarset"))
        await ari.send(event(2))
        assert (await link.count(2))[1] == event(2).encode()


async def test_an_asterisk_without_an_event_filter_is_followed_all_the_same(ari):
    ari.has_event_filter = False
    async with linked(ari) as link:
        await link.count(1)
        await ari.send(event(1, "ChannelVarset"))
        assert (await link.count(2))[1] == event(1, "ChannelVarset").encode()


async def test_an_overflowing_queue_cuts_the_link_until_it_is_worked_off(ari):
    async with linked(ari, limit_bytes=2_000) as link:
        await link.count(1)
        for second in range(40):
            await ari.send(event(second))
        async with asyncio.timeout(60):
            while not link.states[-1][1].startswith("the daemon is too slow"):  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        await link.until(lambda: link.states[-1][0])
        await link.pull()
    assert link.frames.counters.overflows == 1
    assert snapshot(link.got[-1]).gap_from > STAMP % 1


REPLACED = '{"type":"ApplicationReplaced","timestamp":"2026-11-22T02:01:21.181+0000"}'


async def test_another_daemon_on_the_same_application_is_named_and_left_alone(ari, monkeypatch, capsys):
    """Asterisk keeps the first one's socket open, and sends nothing on it any more."""
    monkeypatch.setattr("callsteward.ari.client.LEFT_ALONE_S", 0.5)
    monkeypatch.setattr("callsteward.ari.client.LOOK_AGAIN_S", 0.02)
    async with linked(ari) as link:
        await link.count(1)
        # Whoever took it, and is listed from now on.
        async with (
            aiohttp.ClientSession() as other,
            other.ws_connect(
                f"{ari.url}/ari/events?app=callsteward", headers={"Authorization": ari._authorization}
            ),
        ):
            began = asyncio.get_running_loop().time()
            await ari.send(REPLACED)
            await link.until(lambda: not link.states[-1][0])
            assert link.states[-1][1].startswith("another process took this ARI application: only one daemon")
            await link.until(lambda: link.frames.counters.connects == 2)
            assert asyncio.get_running_loop().time() - began >= 0.5
    assert "only one daemon may use it; stop that one, or give asterisk.app" in capsys.readouterr().out


async def test_an_application_that_nobody_has_any_more_is_taken_back_at_once(ari, monkeypatch):
    monkeypatch.setattr("callsteward.ari.client.LOOK_AGAIN_S", 0.02)
    async with linked(ari) as link:
        await link.count(1)
        await ari.send(REPLACED)
        await link.until(lambda: link.frames.counters.connects == 2)
        await link.pull()
        # What went by meanwhile nobody saw, and the Snapshot says so.
        assert snapshot(link.got[-1]).gap_from == "2026-11-22T02:01:21.181+0000"


async def test_a_caller_named_like_that_event_ends_no_link(ari):
    async with linked(ari) as link:
        await link.count(1)
        await ari.send('{"variable":"X","value":"ApplicationReplaced","type":"StasisEnd","timestamp":"x"}')
        await ari.send(event(2))
        await link.count(3)
        assert link.frames.counters.connects == 1


async def test_the_snapshot_is_stamped_by_asterisks_clock_where_ours_differs(ari):
    ari.now_ms = epoch_ms(STAMP % 30)
    async with linked(ari) as link:
        found = snapshot((await link.count(1))[0])
    assert abs(epoch_ms(found.timestamp) - ari.now_ms) <= 1_000


async def test_a_subscription_that_asterisk_lost_is_noticed_and_made_anew(ari, monkeypatch):
    monkeypatch.setattr("callsteward.ari.client.FIRST_LOOK_S", 0.05)
    async with linked(ari) as link:
        await link.count(1)
        ari.sources.clear()
        await link.until(lambda: link.frames.counters.connects == 2)
        assert ari.sources == ["channel:", "bridge:"]
    assert (False, "Asterisk had lost our subscriptions") in link.states
