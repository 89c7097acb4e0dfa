"""Mistakes that mypy and pyright report, each with a text that both messages contain."""

from __future__ import annotations

from continuum_upstash import AsyncUpstashCache, UpstashCache
from continuum_upstash.backend import get_cache
from continuum_upstash.decorators import cached
from continuum_upstash.plans.effects import call

cache = get_cache()
client = UpstashCache()
async_client = AsyncUpstashCache()


def misspell_arguments() -> None:
    UpstashCache(rest_ulr="https://db.upstash.io")  # expect: rest_ulr
    AsyncUpstashCache(pool_sise=5)  # expect: pool_sise
    client.lock("l", lese=3)  # expect: lese
    async_client.lock("l", lese=3)  # expect: lese
    client.set("k", 1, timeout=60)  # expect: timeout
    cache.set("k", 1, ttl=60)  # expect: "set"
    cache.lock("l", lease=60)  # expect: lease
    client.pipeline(atomik=True)  # expect: atomik
    client.pipeline().set("k", 1, ttl=60)  # expect: ttl


def pass_wrong_types() -> None:
    UpstashCache(mode="tcp")  # expect: mode
    UpstashCache(pool_size="20")  # expect: pool_size
    UpstashCache("https://db.upstash.io")  # expect: positional
    cache.set("k", 1, "60")  # expect: "set"
    cache.incr("n", 0.5)  # expect: float
    client.get(5)  # expect: str
    client.get_many(5)  # expect: Sequence[str]
    client.run(call)  # expect: Plan[


def misuse_results() -> None:
    seconds: int = client.ttl("k")  # expect: int
    del seconds
    stored: bool = cache.set("k", 1)  # expect: None
    del stored
    name: str = client.current_backend  # expect: Backend
    del name


async def mix_sync_and_async() -> None:
    await cache.get_many(["a"])  # expect: dict[Any, Any]
    with cache.alock("l"):  # expect: AsyncLock
        pass
    with async_client.lock("l"):  # expect: AsyncLock
        pass
    await async_client.set("k", 1, ex=60)  # expect: ex


def use_what_is_private() -> None:
    client.plan_get("k")  # expect: plan_get
    client.on(cache.database)  # expect: on
    cache.aget_ttl("k")  # expect: aget_ttl


@cached(key="rows:{user_id}")
def load_rows(user_id: int) -> list[str]:
    return [str(user_id)]


class Account:
    @cached(key="account:{year}")
    def sum_up(self, year: int) -> int:
        return year


def misuse_cached_functions() -> None:
    cached(tiemout=60)  # expect: tiemout
    load_rows("7")  # expect: int
    load_rows.invalidate()  # expect: user_id
    load_rows.refresh(7, draft=True)  # expect: draft
    Account().sum_up("2026")  # expect: int
    Account().sum_up.cache_key()  # expect: year
    total: str = Account().sum_up(2026)  # expect: int
    del total
