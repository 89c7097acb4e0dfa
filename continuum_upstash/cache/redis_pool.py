"""redis-py pools for Django: made by django-redis' connection factory, from its own OPTIONS.

django-redis keeps one pool per URL, so that an alias that asked for 50 connections may get another
alias' 5. Its factory makes ours, but does not keep them: each database has the one it asked for.
"""

from __future__ import annotations

from typing import Any, cast

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string
from redis import ConnectionPool
from redis.sentinel import SentinelManagedSSLConnection

from continuum_upstash.config.hashable import thaw
from continuum_upstash.config.resolve import Config
from continuum_upstash.errors import ConfigurationError
from continuum_upstash.transports.redis.options import make_pool, pool_options

_SOCKET_OPTIONS = {
    "SOCKET_CONNECT_TIMEOUT": "socket_connect_timeout",
    "SOCKET_TIMEOUT": "socket_timeout",
}


def pool_for(config: Config) -> ConnectionPool:
    """Return a new pool, which has no connection yet.

    Raises:
        ConfigurationError: the URL cannot be parsed, or an option is wrong.
    """
    options = _options(config)

    def factory(url: str) -> ConnectionPool:
        made = import_string(_factory_name(options))(options)
        return cast("ConnectionPool", made.get_connection_pool(made.make_connection_params(url)))

    try:
        return make_pool(config, factory)
    except ImproperlyConfigured as error:  # django-redis' own checks
        raise ConfigurationError(f"{config.label}: {error}") from error


def _options(config: Config) -> dict[str, Any]:
    """Return the alias' options over ours."""
    given: dict[str, Any] = thaw(config.redis_options) or {}
    ours = pool_options(config)
    if "SENTINELS" in given and "connection_class" in ours:
        ours["connection_class"] = SentinelManagedSSLConnection
    for option, name in _SOCKET_OPTIONS.items():
        if given.get(option):
            del ours[name]  # the factory puts the option in its place
    return {
        **given,
        "CONNECTION_POOL_KWARGS": ours | given.get("CONNECTION_POOL_KWARGS", {}),
    }


def _factory_name(options: dict[str, Any]) -> str:
    fallback = "SentinelConnectionFactory" if "SENTINELS" in options else "ConnectionFactory"
    return str(
        options.get("CONNECTION_FACTORY")
        or getattr(settings, "DJANGO_REDIS_CONNECTION_FACTORY", None)
        or f"django_redis.pool.{fallback}"
    )
