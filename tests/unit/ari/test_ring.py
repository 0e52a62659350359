"""The frames that were read last, and how the next process uses them."""

import os
import random
import socket

import pytest

from callsteward.ari import ring as ring_module
from callsteward.ari.ring import CHUNK_BYTES, RING_BYTES, Ring

COOKIE = 77


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def ring():
    found = Ring.new()
    yield found
    found.close()


def successor(ring: Ring) -> Ring:
    """As the next process has it: another mapping of the same memory."""
    found = Ring.found(os.dup(ring.file))
    assert found is not None
    return found


def received(ring: Ring, pair, data: bytes) -> None:
    ours, theirs = pair
    theirs.sendall(data)
    left = len(data)
    while left:
        left -= len(ring.receive(ours))


def test_read_bytes_that_are_not_done_are_found_again(ring: Ring, pair):
    ring.begin(COOKIE, 300)
    received(ring, pair, b"first|second|third")
    ring.done = 300 + len("first|")
    after = successor(ring)
    assert after.resume(COOKIE, 300 + 18) == b"second|third"
    assert (after.read, after.done) == (318, 306)
    after.close()


def test_wrapping_around_the_rings_end_loses_nothing(ring: Ring, pair):
    rng = random.Random(5)
    ring.begin(COOKIE, 0)
    total = 0
    sent = bytearray()
    while total < 2.5 * RING_BYTES:
        data = rng.randbytes(rng.randrange(1, 60_000))
        received(ring, pair, data)
        sent += data
        total += len(data)
        ring.done = max(0, total - rng.randrange(200_000))
        after = successor(ring)
        assert after.resume(COOKIE, total) == bytes(sent[ring.done :])
        after.close()


def test_a_process_killed_between_reading_and_saying_so_has_read_all_the_same(ring: Ring, pair):
    ring.begin(COOKIE, 0)
    received(ring, pair, b"told")
    told = ring._head[3]
    received(ring, pair, b", untold")
    ring._head[3] = told
    after = successor(ring)
    assert after.resume(COOKIE, 12) == b"told, untold"
    after.close()


@pytest.mark.parametrize("why", ["another connection", "read by another", "too much", "half a request"])
def test_a_connection_that_cannot_be_gone_on_with(ring: Ring, pair, why: str):
    ring.begin(COOKIE, 0)
    received(ring, pair, b"some")
    cookie, consumed = COOKIE, 4
    if why == "another connection":
        cookie = 78
    elif why == "read by another":
        consumed += CHUNK_BYTES + 1
    elif why == "half a request":
        ring.torn = True
    else:
        for _ in range(RING_BYTES // 65536):
            received(ring, pair, b"x" * 65536)
            consumed += 65536
    assert ring.torn is (why == "half a request")
    assert ring.resume(cookie, consumed) is None


def test_positions_of_an_older_connection_mean_nothing_to_a_newer(ring: Ring, pair):
    ring.begin(COOKIE, 10)
    received(ring, pair, b"a" * 90)
    ring.begin(COOKIE + 1, 20)
    assert (ring.read, ring.done) == (120, 120)
    ring.done = 100
    assert ring.done == 120
    received(ring, pair, b"new")
    assert ring.resume(COOKIE, 23) is None
    assert ring.resume(COOKIE + 1, 23) == b"new"


def test_the_connections_end_is_empty(ring: Ring, pair):
    ours, theirs = pair
    ring.begin(COOKIE, 0)
    theirs.shutdown(socket.SHUT_WR)
    assert len(ring.receive(ours)) == 0


def test_a_file_that_is_no_ring_is_rejected(tmp_path, ring: Ring):
    file = os.open(tmp_path / "short", os.O_RDWR | os.O_CREAT)
    assert Ring.found(file) is None
    os.ftruncate(file, ring_module._HEAD_BYTES + RING_BYTES)
    assert Ring.found(file) is None
    os.close(file)
    ring._head[0] += 1
    assert Ring.found(ring.file) is None
