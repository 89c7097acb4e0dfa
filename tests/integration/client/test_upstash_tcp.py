"""TCP to a host of Upstash: its own commands are used, and replaced where they are missing."""

import asyncio
import socket
from urllib.parse import urlsplit

import pytest

from continuum_upstash import AsyncUpstashCache, UpstashCache
from continuum_upstash.emulator.process import running

HOST = "test-db.upstash.io"


@pytest.fixture(scope="module", params=["upstash", "upstash-2025", "fly"])
def database(request):
    with running(f"--profile={request.param}") as emulator:
        yield request.param, emulator


@pytest.fixture
def url(database, monkeypatch):
    """A URL with a host of Upstash, whose address is the emulator's."""
    resolve = socket.getaddrinfo

    def resolve_to_emulator(host, *args, **kwargs):
        return resolve("127.0.0.1" if host == HOST else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve_to_emulator)
    parts = urlsplit(database[1].redis_url)
    return f"redis://default:{parts.password}@{HOST}:{parts.port}"


async def use_async(url, name):
    async with AsyncUpstashCache(redis_url=url, fallback=False) as cache:
        await cache.set("k", {"a": 1}, ttl=60)
        assert await cache.get("k") == {"a": 1}
        async with cache.lock(name, lease=30) as lock:
            await lock.extend(60)
            assert await lock.owned()
        assert not await lock.locked()


def use_sync(url, name):
    with UpstashCache(redis_url=url, fallback=False) as cache:
        cache.set("k", {"a": 1}, ttl=60)
        assert cache.get("k") == {"a": 1}
        with cache.lock(name, lease=30) as lock:
            lock.extend(60)
            assert lock.owned()
        assert not lock.locked()


@pytest.mark.parametrize("use", [use_sync, lambda *args: asyncio.run(use_async(*args))])
def test_a_lock_is_released_whether_or_not_the_server_has_delex(database, url, use):
    profile, emulator = database
    with emulator.count() as spent:
        use(url, "lock")
    # SET, GET; SET NX, SET IFEQ, GET; DELEX, EXISTS. In place of SET IFEQ and DELEX, scripts with
    # two commands each.
    assert spent.billed == (7 if profile != "upstash-2025" else 11)


def test_scripts_have_the_flag_of_upstash(url):
    with UpstashCache(redis_url=url, fallback=False) as cache:
        cache.set("n", 1, ttl=60)
        assert cache.incr("n") == 2  # plain Valkey rejects the flag
