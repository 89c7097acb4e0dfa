"""Connections exist once per process and event loop, and are new after a fork."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import textwrap
import threading

import pytest

from continuum_upstash.backend import CacheBackend
from continuum_upstash.config.resolve import Config
from continuum_upstash.transports import registry


@pytest.fixture(autouse=True)
def fresh():
    registry.reset()
    yield
    registry.reset()


@pytest.mark.parametrize("transport", ["rest", "tcp"])
def test_a_hundred_backends_in_threads_open_no_more_than_the_pool(transport, make_cache, emulator):
    cache = make_cache(transport, OPTIONS={"POOL_SIZE": 4})
    location = emulator.rest_url if transport == "rest" else emulator.redis_url
    params = {"OPTIONS": {"POOL_SIZE": 4}}
    if transport == "rest":
        params["OPTIONS"]["TOKEN"] = emulator.token
    failures = []

    def work():
        try:
            backend = CacheBackend(location, params)
            backend.set("k", 1)
            assert backend.get("k") == 1
        except Exception as error:
            failures.append(error)

    cache.set("k", 1)
    with emulator.count() as spent:
        threads = [threading.Thread(target=work) for _ in range(100)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not failures
    # All backends of one alias share one database.
    assert max(spent.connections, spent.tcp_connections) <= 4


@pytest.mark.parametrize("transport", ["rest", "tcp"])
@pytest.mark.parametrize(("coalesce", "most"), [(True, 2), (False, 4)])
def test_a_hundred_async_requests_open_one_or_two_connections_or_the_pool(
    transport, coalesce, most, make_cache, emulator
):
    cache = make_cache(transport, OPTIONS={"POOL_SIZE": 4, "COALESCE": coalesce})

    async def request():
        for number in range(5):
            await cache.aset(f"k{number}", number)
            assert await cache.aget(f"k{number}") == number

    async def main():
        await asyncio.gather(*(request() for _ in range(100)))
        for _ in range(20):
            await request()
        await cache._database.aclose()

    with emulator.count() as spent:
        asyncio.run(main())
    assert 1 <= spent.connections + spent.tcp_connections <= most


@pytest.mark.parametrize("transport", ["rest", "tcp", "local"])
def test_closed_loops_leave_nothing_behind(transport, make_cache):
    cache = make_cache(transport)
    for number in range(30):
        assert asyncio.run(_set_and_get(cache, number)) == number
    gc.collect()
    assert len(cache._database._loops) <= 1


async def _set_and_get(cache, number):
    await cache.aset("k", number)
    return await cache.aget("k")


def test_equal_configurations_share_one_database():
    one, other = Config(alias="a"), Config(alias="a", pool_size=11)
    assert registry.get_database(one) is registry.get_database(Config(alias="a"))
    assert registry.get_database(one) is not registry.get_database(other)
    assert len(registry.list_databases()) == 2


@pytest.mark.parametrize("transport", ["rest", "tcp", "local"])
def test_a_forked_child_has_connections_of_its_own(transport, emulator):
    options = {
        "rest": {"rest_url": emulator.rest_url, "rest_token": emulator.token},
        "tcp": {"redis_url": emulator.redis_url},
        "local": {"mode": "local"},
    }[transport]
    script = f"""
        import asyncio, os
        from continuum_upstash import AsyncUpstashCache, UpstashCache

        cache = UpstashCache(**{options!r})
        acache = AsyncUpstashCache(**{options!r})

        async def both(number):
            await acache.set(f"a{{number}}", number)
            return await acache.get(f"a{{number}}")

        cache.set("parent", 0)
        assert asyncio.run(both(0)) == 0
        children = []
        for number in range(1, 5):
            pid = os.fork()
            if not pid:
                for turn in range(50):
                    cache.set(f"k{{number}}", (number, turn))
                    assert cache.get(f"k{{number}}") == (number, turn)
                assert asyncio.run(both(number)) == number
                os._exit(0)
            children.append(pid)
        for turn in range(50):
            assert cache.get("parent") == 0
        codes = [os.waitpid(pid, 0)[1] for pid in children]
        assert codes == [0] * 4, codes
        assert cache.get("parent") == 0
        cache.close()
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, timeout=60)
