"""Django's cache contract: keys, versions and timeouts. What is sent stands in operations.py."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.core.cache import caches
from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.core.exceptions import ImproperlyConfigured, SynchronousOnlyOperation

from continuum_upstash import scans
from continuum_upstash.client import AsyncUpstashCache, UpstashCache
from continuum_upstash.codec import Codec
from continuum_upstash.config import Config, resolve
from continuum_upstash.django_types import EXT_TYPES, pickle_keys
from continuum_upstash.effects import AsyncDriver, Driver, Plan, arun, pair, run
from continuum_upstash.errors import ConfigurationError
from continuum_upstash.keys import own_keys
from continuum_upstash.operations import Operations
from continuum_upstash.pools import pool_for
from continuum_upstash.redis_methods import RedisMethods
from continuum_upstash.timeouts import Timeout, Timeouts
from continuum_upstash.transports.registry import database

R = TypeVar("R")


class ImproperlyConfiguredCache(ConfigurationError, ImproperlyConfigured):
    """A CACHES entry is wrong."""


class CacheBackend(RedisMethods, BaseCache):
    """A Django cache in an Upstash database.

    Every method has a native async twin with the prefix ``a``; both run the same plan. Nothing
    that costs lives here, for Django makes a backend per thread and per task: it is all in the
    `Database` of the configuration.
    """

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)
        alias = _alias(location, params)
        try:
            config = resolve(params.get("OPTIONS", {}), os.environ, alias=alias, location=location)
        except ConfigurationError as error:
            raise ImproperlyConfiguredCache(str(error)) from None
        codec = _codec(config)
        self._config = config
        self._codec = codec
        self._timeouts = Timeouts(self.default_timeout, config.ttl_by_prefix)
        self._reverse_function = params.get("REVERSE_KEY_FUNCTION")
        self._database = database(config, pool_for)
        self._plans = Operations(codec, alias=alias, max_value_bytes=config.max_value_bytes)
        self._driver = Driver(self._database.send, codec.encode, self._database.once)
        self._async_driver = AsyncDriver(
            self._database.asend,
            codec.encode,
            self._database.aonce,
            offload_on=(SynchronousOnlyOperation,),
            offload=_in_django_thread,
        )

    def _run(self, plan: Plan[R]) -> R:
        return run(plan, self._driver)

    async def _arun(self, plan: Plan[R]) -> R:
        return await arun(plan, self._async_driver)

    # ---- Django's methods, in the order of BaseCache

    def _add(
        self, key: Any, value: Any, timeout: Timeout = DEFAULT_TIMEOUT, version: int | None = None
    ) -> Plan[bool]:
        name = self.make_and_validate_key(key, version)
        return (yield from self._plans.set(name, value, self._timeouts.px(key, timeout), "NX"))

    add, aadd = pair(_add)

    def _get(self, key: Any, default: Any = None, version: int | None = None) -> Plan[Any]:
        return (yield from self._plans.get(self.make_and_validate_key(key, version), default))

    get, aget = pair(_get)

    def _set(
        self, key: Any, value: Any, timeout: Timeout = DEFAULT_TIMEOUT, version: int | None = None
    ) -> Plan[None]:
        name = self.make_and_validate_key(key, version)
        yield from self._plans.set(name, value, self._timeouts.px(key, timeout))

    set, aset = pair(_set)

    def _touch(
        self, key: Any, timeout: Timeout = DEFAULT_TIMEOUT, version: int | None = None
    ) -> Plan[bool]:
        name = self.make_and_validate_key(key, version)
        return (yield from self._plans.touch(name, self._timeouts.px(key, timeout)))

    touch, atouch = pair(_touch)

    def _delete(self, key: Any, version: int | None = None) -> Plan[bool]:
        return (yield from self._plans.delete(self.make_and_validate_key(key, version)))

    delete, adelete = pair(_delete)

    def _get_many(self, keys: Iterable[Any], version: int | None = None) -> Plan[dict[Any, Any]]:
        names = {self.make_and_validate_key(key, version): key for key in keys}
        found = yield from self._plans.get_many(list(names))
        return {names[name]: value for name, value in found.items()}

    get_many, aget_many = pair(_get_many)

    def _get_or_set(
        self, key: Any, default: Any, timeout: Timeout = DEFAULT_TIMEOUT, version: int | None = None
    ) -> Plan[Any]:
        name = self.make_and_validate_key(key, version)
        return (yield from self._plans.get_or_set(name, default, self._timeouts.px(key, timeout)))

    get_or_set, aget_or_set = pair(_get_or_set)

    def _has_key(self, key: Any, version: int | None = None) -> Plan[bool]:
        return (yield from self._plans.exists(self.make_and_validate_key(key, version)))

    has_key, ahas_key = pair(_has_key)

    def _incr(self, key: Any, delta: int = 1, version: int | None = None) -> Plan[int]:
        total = yield from self._plans.incr(self.make_and_validate_key(key, version), delta)
        if total is None:
            raise ValueError(f"Key '{key}' not found")
        return total

    incr, aincr = pair(_incr)

    def _decr(self, key: Any, delta: int = 1, version: int | None = None) -> Plan[int]:
        return (yield from self._incr(key, -delta, version))

    decr, adecr = pair(_decr)

    def _set_many(
        self,
        data: Mapping[Any, Any],
        timeout: Timeout = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> Plan[list[Any]]:
        # Keys of one call may have different lifetimes (TTL_BY_PREFIX): a round trip for each.
        by_px: dict[int | None, dict[str, Any]] = {}
        names: dict[str, Any] = {}
        for key, value in data.items():
            name = self.make_and_validate_key(key, version)
            names[name] = key
            by_px.setdefault(self._timeouts.px(key, timeout), {})[name] = value
        refused: list[Any] = []
        for px, values in by_px.items():
            refused += [names[name] for name in (yield from self._plans.set_many(values, px))]
        return refused

    set_many, aset_many = pair(_set_many)

    def _delete_many(self, keys: Iterable[Any], version: int | None = None) -> Plan[None]:
        yield from self._plans.delete_many(
            [self.make_and_validate_key(key, version) for key in keys]
        )

    delete_many, adelete_many = pair(_delete_many)

    def _clear(self) -> Plan[None]:
        """Delete this alias's own keys, every version; other keys of the database stay.

        With ``CLEAR = "flushdb"`` it deletes the whole database in one command.
        """
        if self._config.clear == "flushdb":
            yield from scans.flush()
            return
        own = own_keys(self.key_func, self.key_prefix)
        yield from scans.delete_matching(own.pattern, own.matches)

    clear, aclear = pair(_clear)

    def _incr_version(self, key: Any, delta: int = 1, version: int | None = None) -> Plan[int]:
        version = self.version if version is None else version
        old = self.make_and_validate_key(key, version)
        new = self.make_and_validate_key(key, version + delta)
        if not (yield from self._plans.rename(old, new)):
            raise ValueError(f"Key '{key}' not found")
        return version + delta

    incr_version, aincr_version = pair(_incr_version)

    def _decr_version(self, key: Any, delta: int = 1, version: int | None = None) -> Plan[int]:
        return (yield from self._incr_version(key, -delta, version))

    decr_version, adecr_version = pair(_decr_version)

    def close(self, **kwargs: Any) -> None:
        """Do nothing: Django calls this after each request, and connections outlive requests."""

    async def aclose(self, **kwargs: Any) -> None:
        """Do nothing, as `close`."""

    # ---- what is under it

    @property
    def current_backend(self) -> str:
        """Who answers now: ``upstash-rest``, ``upstash-redis`` or ``local``."""
        return self._database.current_backend

    @cached_property
    def client(self) -> UpstashCache:
        """A plain client of the same database; its keys are full keys."""
        return UpstashCache.on(self._database, self._codec)

    @cached_property
    def aclient(self) -> AsyncUpstashCache:
        """The async twin of `client`."""
        return AsyncUpstashCache.on(self._database, self._codec)


def _in_django_thread(function: Callable[[object], bytes], value: object) -> Any:
    # The thread that Django's database connections belong to.
    return sync_to_async(function)(value)


def _codec(config: Config) -> Codec:
    return Codec(
        serializer=config.serializer,
        pickle_keys=pickle_keys() if config.pickle == "signed" else (),
        compress_min_bytes=config.compress_min_bytes,
        ext=EXT_TYPES,
    )


def _alias(location: str, params: Mapping[str, Any]) -> str:
    """Return the alias of a CACHES entry, which Django does not tell its backends."""
    for alias, entry in caches.settings.items():
        rest = {name: value for name, value in entry.items() if name not in {"BACKEND", "LOCATION"}}
        if rest == params and entry.get("LOCATION", "") == location:
            return str(alias)
    return "default"
