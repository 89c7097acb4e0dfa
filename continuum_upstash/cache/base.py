"""The base class of the Django cache: from an entry of CACHES to runners of plans."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property, lru_cache, wraps
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.cache import caches
from django.core.cache.backends.base import (
    DEFAULT_TIMEOUT,
    MEMCACHE_MAX_KEY_LENGTH,
    BaseCache,
    InvalidCacheKey,
    default_key_func,
    get_key_func,
)
from django.core.cache.backends.dummy import DummyCache
from django.core.exceptions import ImproperlyConfigured, SynchronousOnlyOperation
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from continuum_upstash.cache.cache_client import AsyncCacheClient, CacheClient, make_pool
from continuum_upstash.cache.codec_types import EXT_TYPES, get_signing_keys
from continuum_upstash.cache.django_redis_settings import add_ignore_exceptions
from continuum_upstash.codec.codec import Codec
from continuum_upstash.codec.text import SignedBase64
from continuum_upstash.config.known_configs import KnownConfigs
from continuum_upstash.config.resolve import Config
from continuum_upstash.errors import ConfigurationError
from continuum_upstash.keys import (
    RESERVED_KEYS,
    KeyFunction,
    make_scope_regex,
    may_be_reserved,
)
from continuum_upstash.observe import BackendStatus
from continuum_upstash.plans.effects import Plan
from continuum_upstash.plans.keyvalue import KeyValuePlans
from continuum_upstash.plans.runner import AsyncRunner, Runner, arun, run
from continuum_upstash.plans.timeouts import Timeouts
from continuum_upstash.transports.registry import (
    Database,
    close_unused,
    get_database,
    get_process_state,
)

R = TypeVar("R")


class ImproperlyConfiguredCache(ConfigurationError, ImproperlyConfigured):
    """An entry of CACHES is wrong."""


class UpstashBaseCache(BaseCache):
    """One entry of CACHES: its configuration and the runners of its plans.

    Django creates one instance per thread and per task. Therefore connections, circuit breaker and
    local store belong to the `Database` of the configuration, not to the instance.
    """

    def __init__(self, location: object, params: dict[str, Any]) -> None:
        alias = find_alias(location, params)
        key_func, self._reverse = import_key_functions(alias, params)
        super().__init__({**params, "KEY_FUNCTION": key_func})
        makes_default_keys = self.key_func is default_key_func and all(
            getattr(type(self), name) is getattr(BaseCache, name)
            for name in ("make_key", "validate_key")
        )
        self.key_func = _protect_reserved_keys(self.key_func, self.key_prefix)
        self._default_key_func = self.key_func if makes_default_keys else None
        try:
            config = _resolve_entry(alias, location, params)
        except ConfigurationError as error:
            raise ImproperlyConfiguredCache(str(error)) from None
        self._config = config
        self._codec = codec = _make_codec(config)
        self._timeouts = Timeouts(self.default_timeout, config.ttl_by_prefix, DEFAULT_TIMEOUT)
        if config.mode == "redis":  # not at the first call, see factory.import_modules
            from continuum_upstash.cache import redis_pool  # noqa: F401, PLC0415 brings redis-py
        self._database = get_database(config, make_pool)
        self._keyvalue = KeyValuePlans(
            codec, alias=alias, max_value_bytes=config.max_value_bytes, on_full=config.on_full
        )
        self._runner = Runner(self._database.send, codec.encode, self._database.run_single_flight)
        self._async_runner = AsyncRunner(
            self._database.asend,
            codec.encode,
            self._database.arun_single_flight,
            offload_on=(SynchronousOnlyOperation,),
            offload=run_in_django_thread,
        )

    def run(self, plan: Plan[R]) -> R:
        """Run a plan on this cache's database; return its result.

        Args:
            plan: a generator that yields effects, see `continuum_upstash.plans.effects`. Its
                commands contain full keys, see `make_key`.
        """
        return run(plan, self._runner)

    def arun(self, plan: Plan[R]) -> Coroutine[Any, Any, R]:
        """Run a plan in the running event loop; return its result. See `run`."""
        return arun(plan, self._async_runner)

    def make_and_validate_key(self, key: Any, version: int | None = None) -> str:
        """Return the full key, and warn about one that memcached would reject, as Django does."""
        prefix = self._make_default_prefix(version)
        if prefix is None:
            return str(super().make_and_validate_key(key, version))
        full_key = f"{prefix}{key!s}"
        # Django's `validate_key` warns about none of the other keys, and takes longer.
        if len(full_key) > MEMCACHE_MAX_KEY_LENGTH or not full_key.isprintable() or " " in full_key:
            self.validate_key(full_key)
        return full_key

    def _make_and_validate_keys(self, keys: Iterable[Any], version: int | None = None) -> list[str]:
        """Return the full keys of many keys, see `make_and_validate_key`."""
        prefix = self._make_default_prefix(version)
        if prefix is None:
            return [self.make_and_validate_key(key, version) for key in keys]
        full_keys = [f"{prefix}{key!s}" for key in keys]
        longest, text = max(map(len, full_keys), default=0), "".join(full_keys)
        if longest > MEMCACHE_MAX_KEY_LENGTH or not text.isprintable() or " " in text:
            for full_key in full_keys:
                self.validate_key(full_key)
        return full_keys

    def _make_default_prefix(self, version: int | None) -> str | None:
        """Return what `default_key_func` puts before keys; None where it must be called.

        That saves three calls for each key.
        """
        if self.key_func is not self._default_key_func:
            return None
        prefix = f"{self.key_prefix}:{self.version if version is None else version}:"
        is_reserved = prefix.startswith(("continuum:", "fed:")) and may_be_reserved(prefix)
        return None if is_reserved else prefix

    def close(self, **kwargs: Any) -> None:
        """Do nothing: Django calls this after each request; connections stay open."""

    async def aclose(self, **kwargs: Any) -> None:
        """Do nothing. See `close`."""

    @property
    def codec(self) -> Codec:
        """What encodes and decodes the values of this cache."""
        return self._codec

    @property
    def database(self) -> Database:
        """The connections, circuit breaker and local store that this configuration shares.

        "Database" here means a Redis database, not an entry of DATABASES.
        """
        return self._database

    @property
    def current_backend(self) -> str:
        """The backend that serves calls now: ``upstash-rest``, ``upstash-redis`` or ``local``."""
        return self._database.current_backend

    @property
    def status(self) -> BackendStatus:
        """The state of the circuit breaker in this process, and its reason."""
        return self._database.status

    @cached_property
    def client(self) -> CacheClient:
        """A plain client of the same database. It uses full keys, see `make_key`."""
        return CacheClient(self._database, self._codec, self.make_key)

    @cached_property
    def aclient(self) -> AsyncCacheClient:
        """A plain async client of the same database. It uses full keys, see `make_key`."""
        return AsyncCacheClient(self._database, self._codec)


def get_cache_with(alias: str, options: Sequence[str], owner: str) -> BaseCache:
    """Return the cache of an alias, of any backend that has the options.

    Args:
        alias: an entry of CACHES.
        options: options of `CacheBackend.get_or_set` that Django's caches do not have. DummyCache,
            which stores nothing, needs none of them.
        owner: what requires them, for the message.

    Raises:
        ImproperlyConfiguredCache: the cache does not have the options.
    """
    cache = caches[alias]
    if options and not isinstance(cache, (UpstashBaseCache, DummyCache)):
        raise ImproperlyConfiguredCache(
            f"{owner} with {', '.join(options)} requires continuum_upstash.backend.CacheBackend, "
            f"but the BACKEND of cache '{alias}' is {type(cache).__qualname__}. "
            'Change the BACKEND; with OPTIONS["MODE"] = "local" it needs no database.'
        )
    return cache


def import_key_functions(
    alias: str, entry: Mapping[str, Any]
) -> tuple[Callable[..., str], Callable[..., Any] | None]:
    """Return KEY_FUNCTION, or Django's, and REVERSE_KEY_FUNCTION of an entry of CACHES.

    Raises:
        ImproperlyConfiguredCache: one of them cannot be imported.
    """
    name = "KEY_FUNCTION"
    try:
        key_func = get_key_func(entry.get(name))
        name = "REVERSE_KEY_FUNCTION"
        reverse = entry.get(name)
        return key_func, import_string(reverse) if isinstance(reverse, str) else reverse
    except (AttributeError, ImportError) as error:  # no path; nothing has this path
        raise ImproperlyConfiguredCache(
            f"Cache '{alias}': {name} cannot be imported: {error}. Correct it in CACHES."
        ) from error


def _resolve_entry(alias: str, location: object, params: Mapping[str, Any]) -> Config:
    config = get_process_state(KnownConfigs).resolve(
        add_ignore_exceptions(params.get("OPTIONS", {})),
        os.environ,
        alias=alias,
        location=location,
        signing_keys=get_signing_keys(),
    )
    if not config.near:
        return config
    key_func, prefix = get_key_func(params.get("KEY_FUNCTION")), params.get("KEY_PREFIX", "")
    try:
        scope = make_scope_regex(key_func, prefix, params.get("VERSION", 1))
    except ConfigurationError as error:
        raise ConfigurationError(f"Cache '{alias}': NEAR: {error}") from None
    return config.replace(near_scope=scope)


def run_in_django_thread(function: Callable[[object], bytes], value: object) -> Any:
    """Run a function in the thread that owns Django's database connections."""
    return sync_to_async(function)(value)


def _protect_reserved_keys(key_func: KeyFunction, prefix: str) -> KeyFunction:
    """Return a key function that raises InvalidCacheKey for the key of a session, for example.

    The default key function cannot return one, unless KEY_PREFIX begins like them.
    """
    if key_func is default_key_func and not f"{prefix}:".startswith(("continuum:", "fed:")):
        return key_func

    @wraps(key_func)
    def make_key(key: Any, key_prefix: str, version: Any) -> str:
        full_key = key_func(key, key_prefix, version)
        if full_key.startswith(RESERVED_KEYS):
            raise InvalidCacheKey(
                "KEY_FUNCTION, KEY_PREFIX and version result in a Redis key that is reserved for "
                "sessions, rate limits, statistics or queues. Change one of them."
            )
        return full_key

    return make_key


@lru_cache(maxsize=64)
def _make_codec(config: Config) -> Codec:
    options: dict[str, Any] = {
        "serializer": config.serializer,
        "pickle_keys": config.signing_keys if config.pickle == "signed" else (),
        "signing_keys": config.signing_keys,
        "base64": SignedBase64(*config.base64_secrets),
        "compress_min_bytes": config.compress_min_bytes,
        "ext": EXT_TYPES,
    }
    if config.old_values is None:
        return Codec(**options)
    # Imported only where the option is set.
    from continuum_upstash.codec.old_values.old_value_codec import (  # noqa: PLC0415
        OldValueCodec,
        OldValues,
    )

    return OldValueCodec(OldValues(*config.old_values), **options)


def find_alias(location: object, params: Mapping[str, Any]) -> str:
    """Return the alias of an entry of CACHES, which Django does not pass to its backends.

    It is the alias of the first entry with the same LOCATION and parameters. Two identical entries
    therefore get the same alias; they are one cache with one prefix, and check W003 reports them.
    Without such an entry it is "default".
    """
    for alias, entry in caches.settings.items():
        rest = {name: value for name, value in entry.items() if name not in {"BACKEND", "LOCATION"}}
        if rest == params and entry.get("LOCATION", "") == location:
            return str(alias)
    return "default"


def _close_unused_databases(*, setting: str, **_: object) -> None:
    """After a change of CACHES, which only tests make, close what is no longer configured."""
    if setting != "CACHES":
        return
    in_use = set()
    for alias, entry in settings.CACHES.items():
        with suppress(ConfigurationError):  # an invalid entry, or one of another backend
            in_use.add(_resolve_entry(alias, entry.get("LOCATION", ""), entry))
    close_unused(make_pool, in_use)


setting_changed.connect(_close_unused_databases)
