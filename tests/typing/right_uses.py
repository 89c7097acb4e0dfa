# pyright: strict
"""Code as users write it: mypy --strict and pyright accept every line."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, assert_type

import redis

from continuum_upstash import AsyncUpstashCache, UpstashCache
from continuum_upstash.backend import CacheBackend, get_cache, get_redis_connection
from continuum_upstash.client import Backend, ClientOptions
from continuum_upstash.errors import LockLost, Unavailable
from continuum_upstash.plans.effects import Plan, call
from continuum_upstash.plans.locks import AsyncLock, Lock


def read_token() -> str:
    return "token"


def count_keys() -> Plan[int]:
    size: int = yield from call("DBSIZE")
    return size


def use_cache() -> None:
    cache = get_cache()
    assert_type(cache, CacheBackend)
    assert_type(cache.current_backend, str)
    assert_type(cache.status.failures, int)
    assert_type(cache.add("k", 1, timeout=60), bool)
    assert_type(cache.get("k", default=0), Any)
    cache.set("k", {"a": 1}, 0.5)
    cache.set("k", [1], timeout=None, version=2)
    assert_type(cache.set("k", 1, nx=True), bool | None)
    assert_type(cache.expire("k", timedelta(hours=1)), bool)
    assert_type(cache.client.get_client(write=True), redis.Redis)
    assert_type(get_redis_connection("default"), redis.Redis)
    assert_type(cache.touch("k", 60), bool)
    assert_type(cache.delete("k"), bool)
    assert_type(cache.get_many(["a", "b"]), dict[Any, Any])
    assert_type(cache.get_or_set("k", lambda: 1, timeout=60), Any)
    assert_type(cache.has_key("k"), bool)
    assert_type("k" in cache, bool)
    assert_type(cache.incr("n", 2), int)
    assert_type(cache.decr("n"), int)
    assert_type(cache.set_many({"a": 1}, timeout=60), list[Any])
    cache.delete_many(key for key in "ab")
    cache.clear()
    assert_type(cache.incr_version("k"), int)
    assert_type(cache.ttl("k"), int | None)
    assert_type(cache.expire("k", timeout=1.5), bool)
    assert_type(cache.expire_at("k", datetime.now().astimezone() + timedelta(days=1)), bool)
    assert_type(cache.keys("report:*"), list[str])
    assert_type(list(cache.iter_keys()), list[str])
    assert_type(cache.delete_pattern("report:*", itersize=500), int)
    assert_type(cache.run(count_keys()), int)
    assert_type(cache.client.get("full:key"), Any)
    try:
        with cache.lock("report", timeout=30, blocking_timeout=5) as lock:
            assert_type(lock, Lock)
            lock.extend(60)
    except (LockLost, Unavailable):
        pass


async def use_cache_async() -> None:
    cache = get_cache("default")
    assert_type(await cache.aget("k", 0), Any)
    await cache.aset("k", 1, timeout=60)
    assert_type(await cache.aadd("k", 1), bool)
    assert_type(await cache.aincr("n"), int)
    assert_type(await cache.aget_many(["a"]), dict[Any, Any])
    assert_type(await cache.attl("k"), int | None)
    assert_type([key async for key in cache.aiter_keys("report:*")], list[str])
    assert_type(await cache.arun(count_keys()), int)
    async with cache.alock("report") as lock:
        assert_type(lock, AsyncLock)
        assert_type(await lock.owned(), bool)


def use_client() -> None:
    options: ClientOptions = {"pool_size": 20, "read_timeout": 1.5}
    with UpstashCache(
        rest_url="https://db.upstash.io",
        rest_token=read_token,
        mode="rest",
        fallback=False,
        **options,
    ) as client:
        assert_type(client, UpstashCache)
        assert_type(client.current_backend, Backend)
        assert_type(client.current_backend is Backend.REST, bool)
        assert_type(client.ping(), bool)
        assert_type(client.get("k"), Any)
        assert_type(client.set("k", 1, ttl=60), bool)
        assert_type(client.delete("a", "b"), int)
        assert_type(client.get_many(["a"]), dict[str, Any])
        assert_type(client.set_many({"a": 1}), list[str])
        assert_type(client.ttl("k"), int | None)
        assert_type(client.incr("n", 5), int)
        assert_type(client.info()["keys"], Any)
        assert_type(client.run(count_keys()), int)
        assert_type(client.pipeline().set("k", 1, ex=60).get("k").execute(), list[Any])
        assert_type(len(client.pipeline(atomic=True)), int)
        with client.lock("l", lease=30, wait=0) as lock:
            assert_type(lock, Lock)
            assert_type(lock.acquire(blocking=False), bool)


async def use_async_client() -> None:
    async with AsyncUpstashCache(redis_url="rediss://default:password@db.upstash.io") as client:
        assert_type(client, AsyncUpstashCache)
        assert_type(await client.get("k"), Any)
        assert_type(await client.set("k", 1, ttl=60), bool)
        assert_type(await client.arun(count_keys()), int)
        assert_type(await client.pipeline().incr("n").execute(raise_on_error=False), list[Any])
        async with client.lock("l", lease=30) as lock:
            assert_type(lock, AsyncLock)
        assert_type(await client.reconnect(), bool)


def decorate(cache: CacheBackend, load: Callable[[], list[str]]) -> list[str]:
    rows: list[str] = cache.get_or_set("rows", load)
    return rows
