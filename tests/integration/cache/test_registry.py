"""Connections exist once per process and event loop, and are new after a fork."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from weakref import ref

import pytest
from django.core.cache import caches
from django.test import override_settings

from continuum_upstash import AsyncUpstashCache, UpstashCache
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
    assert len(cache._database._loops.list_loops()) <= 1


@pytest.mark.parametrize("transport", ["rest", "tcp"])
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_loops_that_are_dropped_without_being_closed_leave_nothing_open(transport, make_cache):
    cache = make_cache(transport)
    before = count_open_files()
    for number in range(5):
        loop = asyncio.new_event_loop()
        assert loop.run_until_complete(_set_and_get(cache, number)) == number
        del loop
    gc.collect()
    assert cache._database._loops.list_loops() == []
    assert count_open_files() <= before


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


OPEN_FILES = Path("/proc/self/fd")


def count_open_files():
    return len([*OPEN_FILES.iterdir()])


def make_entry(transport, emulator, **params):
    is_rest = transport == "rest"
    return {
        "BACKEND": "continuum_upstash.backend.CacheBackend",
        "LOCATION": emulator.rest_url if is_rest else emulator.redis_url,
        "OPTIONS": {"TOKEN": emulator.token} if is_rest else {},
        **params,
    }


@pytest.mark.skipif(not OPEN_FILES.exists(), reason="no /proc on this platform")
@pytest.mark.parametrize("transport", ["rest", "tcp"])
def test_changed_settings_close_what_is_no_longer_configured(transport, emulator):
    entry = make_entry(transport, emulator)
    with override_settings(CACHES={"default": entry}):
        kept = caches["default"]
        kept.set("k", 1)
        before = count_open_files()
        for number in range(20):
            other = make_entry(transport, emulator, KEY_PREFIX=f"p{number}")
            other["OPTIONS"] = {**other["OPTIONS"], "POOL_SIZE": number + 20}
            with override_settings(CACHES={"default": entry, "other": other}):
                caches["other"].set("k", number)
                assert caches["default"].database is kept.database
        assert count_open_files() <= before
        assert kept.get("k") == 1
    assert kept.database not in registry.list_databases()
    assert kept.get("k") == 1  # a reference that is used again opens a new connection


@pytest.mark.parametrize("transport", ["rest", "tcp"])
def test_changed_settings_close_the_connections_of_a_running_loop(transport, emulator):
    async def main():
        with override_settings(CACHES={"default": make_entry(transport, emulator)}):
            await caches["default"].aset("k", 1)
            database = caches["default"].database
            assert database._loops.list_loops()
        await asyncio.sleep(0)
        await asyncio.gather(*database._closing)
        assert not database._loops.list_loops()

    asyncio.run(main())


@pytest.fixture
def make_client_arguments(emulator):
    """Return a function that returns the arguments of a client of its own configuration."""

    def make(transport, number):
        timeout = {"read_timeout": 10 + number}
        if transport == "tcp":
            return {"redis_url": emulator.redis_url, **timeout}
        return {"rest_url": emulator.rest_url, "rest_token": emulator.token, **timeout}

    return make


@pytest.mark.parametrize("transport", ["rest", "tcp"])
def test_closed_clients_are_forgotten(transport, api, make_client_arguments, runner):
    async def use(number):
        async with AsyncUpstashCache(**make_client_arguments(transport, number)) as client:
            await client.set("k", number)
            return ref(client._database)

    def use_sync(number):
        with UpstashCache(**make_client_arguments(transport, number)) as client:
            client.set("k", number)
            return ref(client._database)

    before = registry.list_databases()
    used = [use_sync(n) if api == "sync" else runner.run(use(n)) for n in range(20)]
    gc.collect()
    assert registry.list_databases() == before
    assert {database() for database in used} == {None}


def test_a_closed_client_that_is_used_again_shares_its_database(make_client_arguments):
    arguments = make_client_arguments("rest", 0)
    first = UpstashCache(**arguments)
    first.set("k", 1)
    first.close()
    assert first._database not in registry.list_databases()
    assert UpstashCache(**arguments)._database is first._database
    assert first._database in registry.list_databases()
    first.close()
    assert first.get("k") == 1
    assert first._database in registry.list_databases()
    first.close()


def test_a_closed_client_with_keys_to_unlink_is_kept(make_client_arguments, emulator):
    arguments = make_client_arguments("rest", 0)
    with UpstashCache(**arguments) as client, emulator.fault("refuse"):
        client.set("k", 1)
    assert client._database in registry.list_databases()
    del client
    gc.collect()
    with UpstashCache(**arguments) as client:
        assert client.status.dirty_keys == 1
        client._database.failover.breaker.reset()
        assert client.get("k") is None
    assert client._database not in registry.list_databases()


def test_changed_settings_leave_plain_clients_and_local_stores_alone(emulator):
    client = UpstashCache(rest_url=emulator.rest_url, rest_token=emulator.token)
    local = {"BACKEND": "continuum_upstash.backend.CacheBackend", "OPTIONS": {"MODE": "local"}}
    with override_settings(CACHES={"default": local}):
        caches["default"].set("k", 1)
        with override_settings(CACHES={"default": make_entry("rest", emulator)}):
            client.set("k", 2)
        assert caches["default"].get("k") == 1
    assert client._database in registry.list_databases()
