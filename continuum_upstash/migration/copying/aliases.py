"""The two caches of a copy: what reaches their databases, and how their keys are made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.core.cache import InvalidCacheBackendError, caches
from django.core.cache.backends.base import BaseCache
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from continuum_upstash.cache.base import UpstashBaseCache
from continuum_upstash.cache.data_types.members import MemberCodec
from continuum_upstash.cache.redis_pool import make_django_pool
from continuum_upstash.config.resolve import Config, resolve
from continuum_upstash.errors import ConfigurationError
from continuum_upstash.keys import (
    BUDGET_KEYS,
    DOCTOR_KEYS,
    LEASE_KEYS,
    MIGRATION_COPY_KEYS,
    MIGRATION_KEYS,
    STATISTICS_KEYS,
    KeyPattern,
    ReverseFunction,
    make_scoped_pattern,
)
from continuum_upstash.migration.copying.reader import KeyMap
from continuum_upstash.migration.copying.values import KEPT, ReadValue, ValueConverter
from continuum_upstash.plans.effects import Plan
from continuum_upstash.plans.runner import Runner, run
from continuum_upstash.transports.redis.options import make_pool, make_pool_options
from continuum_upstash.transports.registry import Database

if TYPE_CHECKING:
    from redis import ConnectionPool

READ_TIMEOUT: Final = 30.0  # seconds; a page of an old server may take longer than a cache read
_PACKAGES: Final = ("django_redis.", "django_valkey.", "django.core.cache.backends.redis")
_SCHEMES: Final = {"valkey": "redis", "valkeys": "rediss"}
_FACTORY_OPTIONS: Final = ("SENTINELS", "SENTINEL_KWARGS", "CONNECTION_FACTORY")
# What cannot be passed to redis-py's connections: classes, and what our transport decides.
_IGNORED_ARGUMENTS: Final = frozenset(
    {"connection_class", "decode_responses", "parser_class", "pool_class", "protocol", "retry"}
)
_SAFE_SERIALIZERS: Final = frozenset(
    {"JSONSerializer", "MSGPackSerializer", "MsgSpecJsonSerializer", "MsgSpecMsgPackSerializer"}
)
_NOT_COPIED: Final = (
    STATISTICS_KEYS,
    DOCTOR_KEYS,
    LEASE_KEYS,
    BUDGET_KEYS,
    MIGRATION_KEYS,
    MIGRATION_COPY_KEYS,
)


@dataclass(frozen=True, slots=True)
class Source:
    """The cache that is copied.

    Attributes:
        alias: its alias.
        label: for messages.
        run: runs a plan on its database.
        cache: the cache.
        read_value: returns the value of stored bytes; None: they have this package's format.
        has_pickles: whether reading a value may load a pickle, which can run code.
        is_billed: whether Upstash bills its commands.
    """

    alias: str
    label: str
    run: Callable[[Plan[Any]], Any]
    cache: BaseCache
    read_value: ReadValue | None
    has_pickles: bool
    is_billed: bool

    def map_keys(
        self,
        target: UpstashBaseCache,
        match: str,
        *,
        raw: bool = False,
        kind: str | None = None,
        version: int | None = None,
    ) -> KeyMap:
        """Return which keys are copied, and to which.

        Args:
            target: the other cache.
            match: a glob pattern: of the keys as the code uses them.
            raw: the pattern is one of full keys, and full keys stay as they are.
            kind: only this Redis type.
            version: of the keys; None: VERSION of each cache.

        Raises:
            ConfigurationError: the key function does not keep the key.
        """
        if raw:
            return KeyMap(_RawPattern(match, "", ""), lambda name: name, kind)
        cache = self.cache
        pattern = make_scoped_pattern(
            cache.key_func,
            cache.key_prefix,
            cache.version if version is None else version,
            match,
            _get_reverse(self.alias),
        )

        def make_target_key(name: str) -> str:
            return target.make_key(pattern.extract_key(name), version)

        return KeyMap(pattern, make_target_key, kind)

    def make_converter(self, target: UpstashBaseCache, *, raw: bool = False) -> ValueConverter:
        """Return what converts the values.

        Args:
            target: the other cache.
            raw: values stay as they are.
        """
        config = target.database.config
        is_foreign = not isinstance(self.cache, UpstashBaseCache)
        return ValueConverter(
            None if raw else self.read_value,
            MemberCodec(config),
            is_text_only=raw and is_foreign and config.mode == "rest",
        )


class _RawPattern(KeyPattern):
    """Matches full keys, except those that are valid in one database only."""

    def matches(self, name: str) -> bool:
        return not name.startswith(_NOT_COPIED)


@contextmanager
def open_source(alias: str) -> Iterator[Source]:
    """Return the source, whose connections are closed at the end.

    Raises:
        ConfigurationError: there is no such alias, or its values are not in Redis.
    """
    cache = _get_cache(alias)
    if isinstance(cache, UpstashBaseCache):
        _require_database(cache)
        config = cache.database.config
        yield Source(
            alias,
            config.label,
            cache.run,
            cache,
            _find_own_reader(cache),
            has_pickles=False,  # OLD_VALUES says whether to load them
            is_billed=config.is_upstash,
        )
        return
    modules = {base.__module__ for base in type(cache).__mro__}
    if not any(module.startswith(_PACKAGES) for module in modules):
        raise ConfigurationError(
            f"The BACKEND of cache '{alias}' is {type(cache).__qualname__}, whose values are not "
            "in Redis: there is nothing to copy. Name a cache of this package, django-redis, "
            "django-valkey or Django's RedisCache."
        )
    config, arguments = _resolve_source(alias)
    database = Database(config, partial(_make_pool, arguments=arguments))
    try:
        runner = partial(run, runner=Runner(database.send))
        read, has_pickles = _find_reader(cache)
        yield Source(
            alias,
            config.label,
            runner,
            cache,
            read,
            has_pickles=has_pickles,
            is_billed=config.is_upstash,
        )
    finally:
        database.close()


def get_target(alias: str) -> UpstashBaseCache:
    """
    Raises:
        ConfigurationError: the alias does not exist, or is not one of this package with a
            database.
    """
    cache = _get_cache(alias)
    if not isinstance(cache, UpstashBaseCache):
        raise ConfigurationError(
            f"The BACKEND of cache '{alias}' is {type(cache).__qualname__}. Values are copied to "
            "continuum_upstash.backend.CacheBackend only."
        )
    _require_database(cache)
    return cache


def _require_database(cache: UpstashBaseCache) -> None:
    config = cache.database.config
    if config.mode == "local":
        raise ConfigurationError(
            f"Cache '{config.alias}' has no database: its mode is local. {config.setup_hint}"
        )


def _get_cache(alias: str) -> BaseCache:
    try:
        return caches[alias]
    except InvalidCacheBackendError as error:
        if alias in settings.CACHES:
            raise ConfigurationError(str(error)) from error
        known = ", ".join(settings.CACHES)
        raise ConfigurationError(f"CACHES has no alias '{alias}'. It has: {known}.") from None
    except ImproperlyConfigured as error:
        raise ConfigurationError(str(error)) from error


def _find_own_reader(cache: UpstashBaseCache) -> ReadValue | None:
    """Return what reads the values of another package that OLD_VALUES names; None: there are none.

    Members of collections are read by it, too, and encoded in this package's format again.
    """
    if cache.database.config.old_values is None:
        return None
    codec = cache.codec

    def read(raw: bytes) -> Any:
        return codec.decode(raw) if codec.read_envelope(raw).content == raw else KEPT

    return read


def _find_reader(cache: Any) -> tuple[ReadValue, bool]:
    """Return how the cache itself reads stored bytes, and whether it may load a pickle.

    Its own code knows its serializer and compressor, also those of the project.
    """
    client = getattr(cache, "client", None)
    if client is None:  # Django's RedisCache, which has no public method for this
        serializer = cache._cache._serializer  # noqa: SLF001
        return serializer.loads, not _is_safe(serializer)
    has_pickles = not _is_safe(getattr(client, "_serializer", None))
    if not hasattr(client, "_unpack"):
        return client.decode, has_pickles

    def read(raw: bytes) -> Any:  # HerdClient stores the time of expiry with the value
        return client._unpack(client.decode(raw))[0]  # noqa: SLF001

    return read, has_pickles


def _is_safe(serializer: object) -> bool:
    return type(serializer).__name__ in _SAFE_SERIALIZERS


def _get_reverse(alias: str) -> ReverseFunction | None:
    entry: Mapping[str, Any] = settings.CACHES[alias]
    options = entry.get("OPTIONS") or {}
    reverse = entry.get("REVERSE_KEY_FUNCTION") or options.get("REVERSE_KEY_FUNCTION")
    return import_string(reverse) if isinstance(reverse, str) else reverse


def _resolve_source(alias: str) -> tuple[Config, dict[str, Any]]:
    """Return the configuration of an entry of another package, and arguments for redis-py."""
    entry: Mapping[str, Any] = settings.CACHES[alias]
    options = entry.get("OPTIONS") or {}
    if str(options.get("CLIENT_CLASS", "")).endswith("ShardClient"):
        raise ConfigurationError(
            f"Cache '{alias}' is divided among several servers. Add an alias for each of them to "
            "CACHES, and copy one after the other."
        )
    own: dict[str, Any] = {"FALLBACK": False, "READ_TIMEOUT": READ_TIMEOUT, "CONNECT_TIMEOUT": 5.0}
    factory = {name: options[name] for name in _FACTORY_OPTIONS if name in options}
    arguments = {name: value for name, value in options.items() if name.islower()}
    arguments |= dict(options.get("CONNECTION_POOL_KWARGS") or {})
    for option in ("USERNAME", "PASSWORD"):
        if options.get(option):
            arguments[option.lower()] = options[option]
    arguments = {name: value for name, value in arguments.items() if name not in _IGNORED_ARGUMENTS}
    if factory:
        factory["CONNECTION_POOL_KWARGS"] = arguments
    config = resolve(own | factory, {}, alias=alias, location=_get_primary(entry.get("LOCATION")))
    return config, arguments


def _get_primary(location: object) -> object:
    """Return the first URL, which is the primary, with a scheme of Redis."""
    urls = location if isinstance(location, (list, tuple)) else str(location).replace(";", ",")
    first = urls[0] if isinstance(urls, (list, tuple)) else urls.split(",")[0]
    scheme, separator, rest = str(first).strip().partition("://")
    return f"{_SCHEMES.get(scheme, scheme)}{separator}{rest}"


def _make_pool(config: Config, arguments: Mapping[str, Any]) -> ConnectionPool:
    if config.redis_options != Config.redis_options:
        return make_django_pool(config)  # django-redis is installed: it is the source's
    from redis import ConnectionPool  # noqa: PLC0415 only for such a source

    options = make_pool_options(config) | dict(arguments)
    return make_pool(config, partial(ConnectionPool.from_url, **options))
