"""Concurrent requests of an ASGI site, without the server: `caches` builds one backend for each."""

from __future__ import annotations

from benchmarks.clients import peers
from benchmarks.clients.peers import get_redis_url

TEXT = "x" * 100


class Requests:
    """Each request sets and gets five keys."""

    is_async = True

    def __init__(self, servers, target):
        from django.core.cache import CacheHandler

        location = get_redis_url(servers, target)
        self.caches = CacheHandler({"default": {"BACKEND": self.path, "LOCATION": location}})
        _ = self.caches["default"]

    async def serve_request(self):
        cache = self.caches["default"]
        for number in range(5):
            await cache.aset(f"key:{number}", TEXT)
            assert await cache.aget(f"key:{number}") == TEXT


class Continuum(Requests):
    path = "continuum_upstash.backend.CacheBackend"


class DjangoRedis(Requests):
    path = peers.DjangoRedis.path


class DjangoRedisCache(Requests):
    path = peers.DjangoRedisCache.path


class DjangoValkey(Requests):
    path = peers.AsyncDjangoValkey.path


class DjangoVcache(Requests):
    path = peers.DjangoVcache.path


class Acache(Requests):
    path = peers.AsyncAcache.path
