"""Comparable libraries: upstash-redis, redis-py, django-redis and Django's own backends."""

from __future__ import annotations

import os

from benchmarks.clients.baselines import TOKEN


class UpstashSdk:
    """upstash-redis, Upstash's own client: text values only, no timeouts."""

    def __init__(self, servers, target):
        os.environ["SSL_CERT_FILE"] = servers.ca_file
        from upstash_redis import Redis

        self.redis = Redis(getattr(servers, target), TOKEN, allow_telemetry=False)
        self.get = self.redis.get

    def set(self, key, value):
        return self.redis.set(key, value, px=300_000)

    def get_many(self, keys):
        return dict(zip(keys, self.redis.mget(*keys), strict=True))

    def set_many(self, values):
        pipeline = self.redis.pipeline()
        for key, value in values.items():
            pipeline.set(key, value, px=300_000)
        return pipeline.exec()


class AsyncUpstashSdk:
    """upstash-redis, async."""

    is_async = True

    def __init__(self, servers, target):
        os.environ["SSL_CERT_FILE"] = servers.ca_file
        from upstash_redis.asyncio import Redis

        self.redis = Redis(getattr(servers, target), TOKEN, allow_telemetry=False)
        self.get, self.close = self.redis.get, self.redis.close

    async def set(self, key, value):
        return await self.redis.set(key, value, px=300_000)

    async def get_many(self, keys):
        return dict(zip(keys, await self.redis.mget(*keys), strict=True))

    async def set_many(self, values):
        pipeline = self.redis.pipeline()
        for key, value in values.items():
            pipeline.set(key, value, px=300_000)
        return await pipeline.exec()


class RedisPy:
    """redis-py with hiredis, without Django: text values."""

    def __init__(self, servers, target):
        import redis

        self.redis = redis.Redis.from_url(getattr(servers, target), decode_responses=True)
        self.get = self.redis.get

    def set(self, key, value):
        return self.redis.set(key, value, px=300_000)

    def get_many(self, keys):
        return dict(zip(keys, self.redis.mget(keys), strict=True))

    def set_many(self, values):
        pipeline = self.redis.pipeline(transaction=False)
        for key, value in values.items():
            pipeline.set(key, value, px=300_000)
        return pipeline.execute()


class DjangoBackend:
    """Another Django cache backend."""

    def __init__(self, servers, target):
        from django.utils.module_loading import import_string

        location = getattr(servers, target) if target != "local" else "bench"
        cache = import_string(self.path)(location, {"KEY_PREFIX": type(self).__name__})
        self.get, self.set = cache.get, cache.set
        self.get_many, self.set_many = cache.get_many, cache.set_many


class DjangoRedis(DjangoBackend):
    """django-redis."""

    path = "django_redis.cache.RedisCache"


class DjangoRedisBackend(DjangoBackend):
    """Django's own RedisCache."""

    path = "django.core.cache.backends.redis.RedisCache"


class LocMemCache(DjangoBackend):
    """Django's LocMemCache."""

    path = "django.core.cache.backends.locmem.LocMemCache"
