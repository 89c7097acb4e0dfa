"""A Django cache object that runs plans: from its CACHES entry to drivers."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from asgiref.sync import sync_to_async
from django.core.cache import caches
from django.core.cache.backends.base import (
    MEMCACHE_MAX_KEY_LENGTH,
    BaseCache,
    memcached_error_chars_re,
)
from django.core.exceptions import ImproperlyConfigured, SynchronousOnlyOperation
from django.utils.module_loading import import_string

from continuum_upstash.cache.codec_types import EXT_TYPES, pickle_keys
from continuum_upstash.cache.timeouts import Timeouts
from continuum_upstash.client.upstash_cache import AsyncUpstashCache, UpstashCache
from continuum_upstash.codec.codec import Codec
from continuum_upstash.config.resolve import Config, resolve
from continuum_upstash.errors import ConfigurationError
from continuum_upstash.plans.effects import Plan
from continuum_upstash.plans.keyvalue import Operations
from continuum_upstash.plans.runner import AsyncRunner, Runner, arun, run
from continuum_upstash.transports.failover.policy import Status
from continuum_upstash.transports.registry import Database, get_database

if TYPE_CHECKING:
    from redis import ConnectionPool

R = TypeVar("R")

# Django's pattern, out of the lazy object that costs more than the search.
_unportable = re.compile(memcached_error_chars_re.pattern).search


class ImproperlyConfiguredCache(ConfigurationError, ImproperlyConfigured):
    """A CACHES entry is wrong."""


class UpstashBaseCache(BaseCache):
    """What the backend's methods stand on.

    Nothing that costs lives here, for Django makes a backend per thread and per task: it is all
    in the `Database` of the configuration.
    """

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)
        alias = _alias(location, params)
        try:
            config = resolve(params.get("OPTIONS", {}), os.environ, alias=alias, location=location)
        except ConfigurationError as error:
            raise ImproperlyConfiguredCache(str(error)) from None
        self._config = config
        self._codec = codec = _codec(config, pickle_keys() if config.pickle == "signed" else ())
        self._timeouts = Timeouts(self.default_timeout, config.ttl_by_prefix)
        reverse = params.get("REVERSE_KEY_FUNCTION")
        self._reverse = import_string(reverse) if isinstance(reverse, str) else reverse
        self._database = get_database(config, _pool_for)
        self._plans = Operations(codec, alias=alias, max_value_bytes=config.max_value_bytes)
        self._runner = Runner(self._database.send, codec.encode, self._database.once)
        self._async_runner = AsyncRunner(
            self._database.asend,
            codec.encode,
            self._database.aonce,
            offload_on=(SynchronousOnlyOperation,),
            offload=in_django_thread,
        )

    def run(self, plan: Plan[R]) -> R:
        """Run a plan of your own on this cache's database; return its result.

        Args:
            plan: a generator of effects, see `continuum_upstash.plans.effects`. The keys in its
                commands are full keys, see `make_key`.
        """
        return run(plan, self._runner)

    async def arun(self, plan: Plan[R]) -> R:
        """Run a plan of your own in the running event loop; return its result. See `run`."""
        return await arun(plan, self._async_runner)

    _run, _arun = run, arun  # the protocol of pair()

    def validate_key(self, key: Any) -> None:
        # Django's own runs a generator for each key, though nearly none has anything to warn of.
        if len(key) > MEMCACHE_MAX_KEY_LENGTH or _unportable(key):
            super().validate_key(key)

    def close(self, **kwargs: Any) -> None:
        """Do nothing: Django calls this after each request, and connections outlive requests."""

    async def aclose(self, **kwargs: Any) -> None:
        """Do nothing, as `close`."""

    @property
    def database(self) -> Database:
        """What all caches of this configuration share, for plans that are not a cache's."""
        return self._database

    @property
    def current_backend(self) -> str:
        """Who answers now: ``upstash-rest``, ``upstash-redis`` or ``local``."""
        return self._database.current_backend

    @property
    def status(self) -> Status:
        """How the database is doing, as this process sees it."""
        return self._database.status

    @cached_property
    def client(self) -> UpstashCache:
        """A plain client of the same database; its keys are full keys."""
        return UpstashCache.on(self._database, self._codec)

    @cached_property
    def aclient(self) -> AsyncUpstashCache:
        """The async twin of `client`."""
        return AsyncUpstashCache.on(self._database, self._codec)


def _pool_for(config: Config) -> ConnectionPool:
    from continuum_upstash.cache.redis_pool import pool_for  # noqa: PLC0415 brings redis-py: TCP mode only

    return pool_for(config)


def in_django_thread(function: Callable[[object], bytes], value: object) -> Any:
    """Run a function in the thread that Django's database connections belong to."""
    return sync_to_async(function)(value)


@lru_cache(maxsize=64)
def _codec(config: Config, keys: tuple[bytes, ...]) -> Codec:
    return Codec(
        serializer=config.serializer,
        pickle_keys=keys,
        compress_min_bytes=config.compress_min_bytes,
        ext=EXT_TYPES,
    )


def _alias(location: str, params: Mapping[str, Any]) -> str:
    """Return the alias of a CACHES entry, which Django does not tell its backends.

    It is that of the first entry with the same LOCATION and parameters. Two identical entries are
    hence both named by the first: they are one cache anyhow, with one database and one prefix, and
    check W003 says so. What stands in no entry is called default.
    """
    for alias, entry in caches.settings.items():
        rest = {name: value for name, value in entry.items() if name not in {"BACKEND", "LOCATION"}}
        if rest == params and entry.get("LOCATION", "") == location:
            return str(alias)
    return "default"
