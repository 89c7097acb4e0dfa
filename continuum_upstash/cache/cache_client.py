"""The plain clients of a cache's database: ``cache.client`` and ``cache.aclient``."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from django.utils.module_loading import import_string

from continuum_upstash.client.async_upstash_cache import AsyncUpstashCache
from continuum_upstash.client.upstash_cache import UpstashCache
from continuum_upstash.codec.codec import Codec
from continuum_upstash.config.hashable import from_hashable
from continuum_upstash.config.resolve import Config
from continuum_upstash.plans.timeouts import Timeouts
from continuum_upstash.transports.registry import Database

if TYPE_CHECKING:
    import redis


class CacheClient(UpstashCache):
    """The plain client of a cache. It uses full keys."""

    def __init__(
        self, database: Database, codec: Codec, make_key: Callable[[Any, int | None], str]
    ) -> None:
        self._attach(database, codec, Timeouts(None))
        self._make_key = make_key

    def make_key(self, key: Any, version: int | None = None) -> str:
        """Return the full key of a cache key, as the cache's own `make_key` does."""
        return self._make_key(key, version)

    def get_client(self, write: bool = True) -> redis.Redis:
        """Return redis-py's client of this database, as django-redis' method does.

        Its commands are sent over this package's transport, REST or TCP; each is billed. It uses
        full keys, and stores and returns bytes without a codec. During an outage it raises
        ``redis.ConnectionError``. Over REST, publish/subscribe, WATCH and commands that wait raise
        NotImplementedError.

        Args:
            write: is not used: replicas belong to the same URL.
        """
        del write
        return self._raw_redis

    @cached_property
    def _raw_redis(self) -> redis.Redis:
        from continuum_upstash.client import raw_redis  # noqa: PLC0415 brings redis-py

        database = self._database
        if database.config.mode != "rest":
            pool = _get_pool(database)  # it raises ConfigurationError for wrong options
            options = from_hashable(database.config.redis_options) or {}
            base = import_string(options.get("REDIS_CLIENT_CLASS", "redis.client.Redis"))
            arguments: dict[str, Any] = options.get("REDIS_CLIENT_KWARGS") or {}
            return raw_redis.make_client_class(base)(database.send, pool, **arguments)
        from continuum_upstash.transports.rest.dialect import RestDialect  # noqa: PLC0415 by mode
        from continuum_upstash.transports.rest.requests import encode_request  # noqa: PLC0415 by mode

        encode = partial(encode_request, dialect=database.extras.get(RestDialect))
        return raw_redis.RawRedis(
            database.send,
            raw_redis.NoConnectionPool(protocol=2),
            partial(raw_redis.find_rest_refusal, encode_request=encode),
        )


class AsyncCacheClient(AsyncUpstashCache):
    """The plain async client of a cache. It uses full keys."""

    def __init__(self, database: Database, codec: Codec) -> None:
        self._attach(database, codec, Timeouts(None))


def make_pool(config: Config) -> redis.ConnectionPool:
    """Return a new redis-py pool of a database in TCP mode."""
    from continuum_upstash.cache.redis_pool import make_django_pool  # noqa: PLC0415 brings redis-py

    return make_django_pool(config)


def _get_pool(database: Database) -> redis.ConnectionPool:
    """Return the pool for commands that need a connection of their own."""
    from continuum_upstash.client.raw_redis import NoConnectionPool  # noqa: PLC0415 brings redis-py

    if database.config.mode == "local":
        return NoConnectionPool(protocol=2)
    from redis import ConnectionPool  # noqa: PLC0415 TCP mode only

    return database.extras.get(ConnectionPool, lambda: make_pool(database.config))
