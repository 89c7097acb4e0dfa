"""Comparable libraries: upstash-redis, redis-py, and other Django cache backends."""

from __future__ import annotations

import os
from typing import ClassVar

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
        self.get = self.redis.get

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

        self.redis = redis.Redis.from_url(get_redis_url(servers, target), decode_responses=True)
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


class AsyncRedisPy:
    """redis-py asyncio with hiredis, without Django: text values."""

    is_async = True

    def __init__(self, servers, target):
        import redis.asyncio

        url = get_redis_url(servers, target)
        self.redis = redis.asyncio.Redis.from_url(url, decode_responses=True)
        self.get = self.redis.get

    async def set(self, key, value):
        return await self.redis.set(key, value, px=300_000)

    async def get_many(self, keys):
        return dict(zip(keys, await self.redis.mget(keys), strict=True))

    async def set_many(self, values):
        pipeline = self.redis.pipeline(transaction=False)
        for key, value in values.items():
            pipeline.set(key, value, px=300_000)
        return await pipeline.execute()


def get_redis_url(servers, target):
    url = getattr(servers, target)
    return f"{url}?ssl_ca_certs={servers.ca_file}" if url.startswith("rediss:") else url


class DjangoBackend:
    """Another Django cache backend."""

    options: ClassVar = {}

    def __init__(self, servers, target):
        from django.utils.module_loading import import_string

        location = "bench" if target == "local" else get_redis_url(servers, target)
        params = {"KEY_PREFIX": type(self).__name__, "OPTIONS": self.options}
        cache = import_string(self.path)(location, params)
        self.get, self.set = cache.get, cache.set
        self.get_many, self.set_many = cache.get_many, cache.set_many


class AsyncDjangoBackend:
    """The async methods of another Django cache backend."""

    is_async = True

    def __init__(self, servers, target):
        from django.utils.module_loading import import_string

        cache = import_string(self.path)(
            get_redis_url(servers, target), {"KEY_PREFIX": type(self).__name__}
        )
        self.get, self.set = cache.aget, cache.aset
        self.get_many, self.set_many = cache.aget_many, cache.aset_many


class DjangoRedis(DjangoBackend):
    """django-redis."""

    path = "django_redis.cache.RedisCache"


class AsyncDjangoRedis(AsyncDjangoBackend):
    """django-redis, in threads."""

    path = DjangoRedis.path


class DjangoRedisCache(DjangoBackend):
    """Django's own RedisCache."""

    path = "django.core.cache.backends.redis.RedisCache"


class AsyncDjangoRedisCache(AsyncDjangoBackend):
    """Django's own RedisCache, in threads."""

    path = DjangoRedisCache.path


class DjangoValkey(DjangoBackend):
    """django-valkey."""

    path = "django_valkey.cache.ValkeyCache"


class AsyncDjangoValkey(AsyncDjangoBackend):
    """django-valkey's async backend."""

    path = "django_valkey.async_cache.cache.AsyncValkeyCache"


class DjangoVcache(DjangoBackend):
    """django-vcache, whose connection is written in Rust."""

    path = "django_vcache.backend.ValkeyCache"


class AsyncDjangoVcache(AsyncDjangoBackend):
    """django-vcache, async."""

    path = DjangoVcache.path


class AsyncAcache(AsyncDjangoBackend):
    """action0-django-acache."""

    path = "action0.django_acache.RedisCache"


class LocMemCache(DjangoBackend):
    """Django's LocMemCache, with room for all keys."""

    path = "django.core.cache.backends.locmem.LocMemCache"
    options: ClassVar = {"MAX_ENTRIES": 10_000}
