"""Binary values are restored exactly and stored identically by every transport.

TEST_LENGTH=10 makes it 10,000 values instead of 1,000.
"""

from __future__ import annotations

import asyncio
import os
import random

import pytest

from continuum_upstash.plans.effects import Batch
from continuum_upstash.transports import registry

VALUES = 1000 * int(os.environ.get("TEST_LENGTH", "1"))
ONE_BY_ONE = 120
random.seed(20261123)


def random_values():
    for _ in range(VALUES):
        length = random.choice([0, 1, 2, 7, 31, 200, 1000])
        yield random.randbytes(length)
    yield bytes(range(256)) * 40_000


def test_random_values_are_restored_exactly(transport, api, make_cache, runner):
    """Write and read values one by one (with and without expiry, with NX) and many at once."""
    cache = make_cache(transport)
    values = list(random_values())

    async def use(name, *args):
        return await getattr(cache, f"a{name}")(*args)

    def call(name, *args):
        if api == "sync":
            return getattr(cache, name)(*args)
        return runner.run(use(name, *args))

    for start in range(0, ONE_BY_ONE, 3):
        first, second, third = values[start : start + 3]
        call("set", "a", first, 60)
        call("set", "b", second, None)
        call("delete", "c")
        assert call("add", "c", third, 60) is True
        assert call("add", "c", first, 60) is False
        assert [call("get", key) for key in "abc"] == [first, second, third]
    for number, start in enumerate(range(ONE_BY_ONE, len(values), 500)):
        named = {f"k{start + i}": value for i, value in enumerate(values[start : start + 500])}
        assert call("set_many", named, 60 if number % 2 else None) == []
        assert call("get_many", named) == named


def test_each_transport_stores_a_value_as_the_same_bytes_or_as_its_text(make_cache, emulator):
    rest, tcp = (make_cache(transport, KEY_PREFIX="same") for transport in ("rest", "tcp"))
    for value in (b"\x00\xff", {"a": 1.5}, "text", 5, None, (1, "ü"), b"x" * 100_000):
        for write in ("set", "add"):
            for timeout in (None, 60):
                stored = []
                for cache in (rest, tcp):
                    tcp.delete("k")
                    getattr(cache, write)("k", value, timeout)
                    (raw,) = tcp._database.send(Batch([("GET", tcp.make_key("k"))]))
                    stored.append(raw)
                    assert rest.get("k") == tcp.get("k") == value
                    assert (rest.ttl("k") is None) is (timeout is None)
                # A flag such as NX is not sent in a query: the value is then text in JSON.
                as_text = b'"text"' if value == "text" else b"~"
                assert stored[0] == stored[1] or (write == "add" and stored[0].startswith(as_text))


def test_values_written_in_one_event_loop_tick_are_all_readable(make_cache, runner, emulator):
    rest, tcp = (make_cache(transport, KEY_PREFIX="tick") for transport in ("rest", "tcp"))
    values = {f"k{number}": random.randbytes(50) for number in range(50)}

    async def write():
        await asyncio.gather(*(rest.aset(key, value) for key, value in values.items()))

    with emulator.count() as spent:
        runner.run(write())
    assert spent.requests == 1
    assert tcp.get_many(values) == rest.get_many(values) == values


@pytest.fixture(autouse=True)
def close():
    yield
    registry.reset()
