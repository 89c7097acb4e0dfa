"""A process without credentials logs a warning when its cache is first used."""

from __future__ import annotations

import asyncio
import os

import pytest

from continuum_upstash import AsyncUpstashCache, UpstashCache
from continuum_upstash.backend import CacheBackend
from continuum_upstash.transports import registry


@pytest.fixture(autouse=True)
def _no_credentials(monkeypatch):
    for name in [*os.environ]:
        if name.startswith(("UPSTASH", "KV_", "REDIS_URL", "CONTINUUM")):
            monkeypatch.delenv(name)
    registry.reset()
    yield
    registry.reset()


def test_a_warning_names_the_variables_once(caplog, monkeypatch):
    monkeypatch.setenv("STORAGE_KV_REST_API_URL", "https://db.upstash.io")
    cache, acache = CacheBackend("", {}), CacheBackend("", {})
    assert caplog.messages == []
    for _ in range(3):
        cache.set("k", 1)
        assert asyncio.run(acache.aget("k")) == 1
        cache.database.close()
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("continuum_upstash", "WARNING")
    assert record.getMessage() == (
        "cache 'default' (local): no database is configured, so each process has its own local "
        "store. Set UPSTASH_REDIS_REST_URL and UPSTASH_REDIS_REST_TOKEN (REST), or "
        "UPSTASH_REDIS_URL (TCP). STORAGE_KV_REST_API_URL is set: to use it, set ENV_PREFIX = "
        "'STORAGE_'."
    )


def test_the_async_client_warns_too(caplog):
    async def main():
        async with AsyncUpstashCache(env_prefix="SHOP_") as client:
            await asyncio.gather(*(client.get("k") for _ in range(5)))

    asyncio.run(main())
    (message,) = caplog.messages
    assert "Set SHOP_UPSTASH_REDIS_REST_URL" in message


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_each_process_warns(caplog):
    client = UpstashCache()
    client.get("k")
    pid = os.fork()
    if not pid:
        client.get("k")
        os._exit(len(caplog.messages))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 2


def test_local_mode_by_choice_is_silent(caplog):
    UpstashCache(mode="local").get("k")
    assert caplog.messages == []
