"""continuum-upstash: the Django backend and the plain client."""

from __future__ import annotations

from typing import ClassVar

from benchmarks.clients.baselines import TOKEN


def resolve_target(servers, target):
    if target == "redis":
        return servers.redis, {}
    if target == "redis_tls":
        return servers.redis_tls, {"CA_FILE": servers.ca_file}
    if target == "local":
        return "", {"MODE": "local"}
    return getattr(servers, target), {"TOKEN": TOKEN, "CA_FILE": servers.ca_file}


class Backend:
    """CacheBackend, sync."""

    path = "continuum_upstash.backend.CacheBackend"
    options: ClassVar = {}

    def __init__(self, servers, target):
        from django.utils.module_loading import import_string

        location, options = resolve_target(servers, target)
        params = {"OPTIONS": options | self.options, "KEY_PREFIX": type(self).__name__}
        self.cache = import_string(self.path)(location, params)

    def __getattr__(self, name):
        # Set as an attribute, so that the next calls do not go through this method.
        method = getattr(self.cache, name)
        setattr(self, name, method)
        return method


class NearBackend(Backend):
    """CacheBackend with a near cache."""

    options: ClassVar = {"NEAR": {"value:": 300, "many:": 300}}


class GetOrSet(Backend):
    """Hits of `get_or_set`."""

    arguments: ClassVar = {}

    def set(self, key, value):
        self.value = value
        self.cache.delete(key)

    def get(self, key):
        return self.cache.get_or_set(key, lambda: self.value, 300, **self.arguments)


class GetOrSetProtected(GetOrSet):
    """Hits of `get_or_set` with protection against stampedes."""

    arguments: ClassVar = {"early": 1, "grace": 60}


class GetOrSetTagged(GetOrSet):
    """Hits of `get_or_set` with a tag, which is read in the same command."""

    arguments: ClassVar = {"tags": ["tag"]}


class DjangoRedisGetOrSet(GetOrSet):
    """Hits of django-redis' `get_or_set`."""

    path = "django_redis.cache.RedisCache"


class AsyncBackend:
    """CacheBackend, async; commands of one event-loop tick are sent in one request."""

    is_async = True
    coalesce = True

    def __init__(self, servers, target):
        from continuum_upstash.backend import CacheBackend

        location, options = resolve_target(servers, target)
        options["COALESCE"] = self.coalesce
        cache = CacheBackend(location, {"OPTIONS": options, "KEY_PREFIX": "continuum"})
        self.get, self.set = cache.aget, cache.aset
        self.get_many, self.set_many = cache.aget_many, cache.aset_many


class AsyncBackendUncoalesced(AsyncBackend):
    """CacheBackend, async, one request for each command."""

    coalesce = False


class PlainClient:
    """UpstashCache, the plain client."""

    def __init__(self, servers, target):
        from continuum_upstash import UpstashCache

        location, options = resolve_target(servers, target)
        if target == "redis":
            self.cache = UpstashCache(redis_url=location)
        else:
            self.cache = UpstashCache(
                rest_url=location, rest_token=TOKEN, ca_file=options["CA_FILE"]
            )

    # The peers write plain text under the same names, so this client needs its own prefix.

    def get(self, key):
        return self.cache.get(f"plain:{key}")

    def set(self, key, value):
        return self.cache.set(f"plain:{key}", value, 300)

    def get_many(self, keys):
        found = self.cache.get_many([f"plain:{key}" for key in keys])
        return {key[6:]: value for key, value in found.items()}

    def set_many(self, values):
        return self.cache.set_many({f"plain:{k}": v for k, v in values.items()}, 300)
