"""continuum-upstash, as Django and as a plain program use it."""

from __future__ import annotations

from benchmarks.clients.baselines import TOKEN


def options(servers, target):
    if target == "redis":
        return servers.redis, {}
    if target == "local":
        return "", {"MODE": "local"}
    return getattr(servers, target), {"TOKEN": TOKEN, "CA_FILE": servers.ca_file}


class Backend:
    """CacheBackend, called as `django.core.cache.cache`."""

    def __init__(self, servers, target):
        from continuum_upstash.backend import CacheBackend

        location, opts = options(servers, target)
        self.cache = CacheBackend(location, {"OPTIONS": opts, "KEY_PREFIX": "ours"})
        self.get, self.set = self.cache.get, self.cache.set
        self.get_many, self.set_many = self.cache.get_many, self.cache.set_many


class AsyncBackend:
    """The same, awaited; commands of one tick travel together."""

    is_async = True
    coalesce = True

    def __init__(self, servers, target):
        from continuum_upstash.backend import CacheBackend

        location, opts = options(servers, target)
        opts["COALESCE"] = self.coalesce
        cache = CacheBackend(location, {"OPTIONS": opts, "KEY_PREFIX": "ours"})
        self.get, self.set = cache.aget, cache.aset
        self.get_many, self.set_many = cache.aget_many, cache.aset_many


class AsyncBackendSingly(AsyncBackend):
    """The same without coalescing: a request for each command."""

    coalesce = False


class Client:
    """UpstashCache, the plain client."""

    def __init__(self, servers, target):
        from continuum_upstash import UpstashCache

        location, opts = options(servers, target)
        if target == "redis":
            self.cache = UpstashCache(redis_url=location)
        else:
            self.cache = UpstashCache(rest_url=location, rest_token=TOKEN, ca_file=opts["CA_FILE"])

    # The peers write the same names as plain text: full keys need a space of their own.

    def get(self, key):
        return self.cache.get(f"client:{key}")

    def set(self, key, value):
        return self.cache.set(f"client:{key}", value, 300)

    def get_many(self, keys):
        found = self.cache.get_many([f"client:{key}" for key in keys])
        return {key[7:]: value for key, value in found.items()}

    def set_many(self, values):
        return self.cache.set_many({f"client:{k}": v for k, v in values.items()}, 300)
