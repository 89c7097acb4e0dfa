"""Stores keys of each type in the cache, so that the key browser of the admin has some to show."""

from __future__ import annotations

from decimal import Decimal

from django.core.cache import cache

_DAY = 24 * 60 * 60


def seed_keys() -> None:
    """Store the keys, once a day at most."""
    if not cache.add("browser:seeded", 1, _DAY):
        return
    cache.set("browser:dict", {"name": "tea", "price": Decimal("4.20"), "sizes": (50, 100)}, _DAY)
    cache.set("browser:text", "Text in another script: שלום, Zażółć, 你好", _DAY)
    cache.set("browser:large", "A value of 100,000 characters. " * 3_226, _DAY)
    cache.set("browser:tagged", {"title": "A tagged value"}, _DAY, tags=["articles"])
    cache.set("browser:api-token:ada", "not-a-real-token", _DAY)
    cache.hset("browser:hash", mapping={"tea": 2, "milk": 1})
    cache.sadd("browser:set", "ada", "bruno")
    cache.zadd("browser:sorted-set", {"ada": 120.0, "bruno": 95.5})
    cache.delete("browser:list")
    cache.rpush("browser:list", "first", "second")
