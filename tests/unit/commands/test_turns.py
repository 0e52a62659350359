"""A sender of many commands waits behind their own, not in front of others."""

from __future__ import annotations

import asyncio

from callsteward.commands.rate import Rates
from callsteward.commands.turns import Turns


async def test_senders_have_their_turns_one_after_the_other() -> None:
    turns: Turns[str] = Turns(100, 50)
    for number in range(3):
        assert turns.put("a", f"a{number}")
    assert turns.put("b", "b0")
    assert turns.put("c", "c0")
    assert [await turns.get() for _ in range(5)] == ["a0", "b0", "c0", "a1", "a2"]


async def test_get_waits_for_the_next_one() -> None:
    turns: Turns[int] = Turns(2, 2)
    waiting = asyncio.create_task(turns.get())
    await asyncio.sleep(0)
    assert turns.put("a", 1)
    assert await waiting == 1


async def test_the_busiest_sender_makes_room_for_others() -> None:
    turns: Turns[str] = Turns(4, 3)
    assert [turns.put("a", f"a{number}") for number in range(4)] == [True, True, True, False]
    assert turns.put("b", "b0")
    # It is full: the newest item of `a` makes room.
    assert turns.put("c", "c0")
    assert turns.put("d", "d0")
    assert not turns.put("a", "a9")
    assert not turns.put("e", "e0")
    assert [await turns.get() for _ in range(4)] == ["a0", "b0", "c0", "d0"]


def test_a_rate_for_each_sender_and_one_for_all() -> None:
    rates = Rates(2, 2, known=10)
    assert [rates.take("mqtt", "a", 0.0) for _ in range(3)] == [True, True, False]
    assert [rates.take("mqtt", "b", 0.0) for _ in range(3)] == [True, True, False]
    # Four in all: made-up names get no more room.
    assert not rates.take("mqtt", "c", 0.0)
    assert rates.take("http", "c", 0.0)
    assert rates.take("mqtt", "a", 30.0)
