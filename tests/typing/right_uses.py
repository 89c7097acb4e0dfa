# pyright: strict
"""Code as users write it: mypy --strict and pyright accept every line."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, assert_type

import redis
from django.contrib.auth.models import User

from continuum_upstash import AsyncUpstashCache, UpstashCache
from continuum_upstash.backend import CacheBackend, get_cache, get_redis_connection
from continuum_upstash.client import Backend, ClientOptions
from continuum_upstash.decorators import cached
from continuum_upstash.errors import LockLost, Unavailable
from continuum_upstash.plans.effects import Plan, call
from continuum_upstash.plans.locks import AsyncLock, Lock
from continuum_upstash.signals import invalidate_on_save


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
    cache.get_or_set("k", lambda: 1, 60, early=True, grace=3600, wait=0.5, tags=["a", "b"])
    cache.set("k", 1, 60, tags=("a",))
    assert_type(cache.delete_tags("a", "b"), None)
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
    assert_type(cache.hset("h", "field", [1]), int)
    assert_type(cache.hgetall("h"), dict[str, Any])
    assert_type(cache.rpush("l", 1, "two"), int)
    assert_type(cache.smembers("s"), set[Any])
    assert_type(list(cache.sscan_iter("s", match="a*")), list[Any])
    assert_type(cache.zadd("z", {"member": 1.5}, nx=True), int | float | None)
    assert_type(cache.zscore("z", "member"), float | None)
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
    assert_type(await cache.ahget("h", "field"), Any)
    assert_type([each async for each in cache.asscan_iter("s")], list[Any])
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


@cached(timeout=300, key="rows:{user_id}", early=True, grace=3600, tags=("user:{user_id}",))
def load_rows(user_id: int, *, draft: bool = False) -> list[str]:
    return [str(user_id), str(draft)]


@cached(wait=2, cache_none=False, vary_on_language=True)
async def load_row(user_id: int) -> str | None:
    return str(user_id)


def list_tags(account: Account, year: int) -> list[str]:
    return [f"account:{account.pk}", f"year:{year}"]


class Account:
    pk = 1

    @cached(key="account:{self.pk}:{year}", tags=list_tags)
    def sum_up(self, year: int) -> int:
        return year

    @cached(key="account:{self.pk}")
    async def fetch(self) -> float:
        return 0.5

    @staticmethod
    @cached()
    def parse(text: str) -> int:
        return int(text)


def use_cached_functions() -> None:
    assert_type(load_rows(7, draft=True), list[str])
    assert_type(load_rows.refresh(user_id=7), list[str])
    assert_type(load_rows.invalidate(7), bool)
    assert_type(load_rows.cache_key(7), str)
    assert_type(load_row.invalidate(7), bool)
    assert_type(Account().sum_up(2026), int)
    assert_type(Account().sum_up.invalidate(year=2026), bool)
    assert_type(Account.sum_up.cache_key(Account(), 2026), str)
    assert_type(Account.parse("7"), int)
    assert_type(Account.parse.refresh("7"), int)


async def use_cached_functions_async() -> None:
    assert_type(await load_row(7), str | None)
    assert_type(await load_row.refresh(7), str | None)
    assert_type(await load_row.ainvalidate(7), bool)
    assert_type(await load_rows.ainvalidate(7), bool)
    assert_type(await Account().fetch(), float)


def invalidate_models() -> None:
    disconnect = invalidate_on_save(User, tags=("user:{pk}",))
    invalidate_on_save(User, tags=lambda user: [f"user:{user.username}"], using="pages")
    disconnect()
