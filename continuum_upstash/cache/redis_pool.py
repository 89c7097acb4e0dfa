"""redis-py connection pools for Django, made by django-redis' connection factory from its OPTIONS.

django-redis shares one pool per URL: an alias configured with 50 connections may get the pool of
another alias with 5. Here, the factory makes a pool for each configuration.
"""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import django_redis.pool  # noqa: F401 the default factory is loaded by its name
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string
from redis import ConnectionPool
from redis.sentinel import SentinelManagedSSLConnection

from continuum_upstash.config.hashable import from_hashable
from continuum_upstash.config.resolve import Config
from continuum_upstash.errors import ConfigurationError
from continuum_upstash.transports.redis.options import make_pool, make_pool_options

_SOCKET_OPTIONS = {
    "SOCKET_CONNECT_TIMEOUT": "socket_connect_timeout",
    "SOCKET_TIMEOUT": "socket_timeout",
}


def make_django_pool(config: Config) -> ConnectionPool:
    """Return a new pool without connections.

    Raises:
        ConfigurationError: the URL cannot be parsed, or an option is invalid.
    """
    return make_pool(config, partial(_call_factory, config))


def _call_factory(config: Config, url: str) -> ConnectionPool:
    options = _merge_options(config)
    try:
        source = import_string(_get_factory_name(options))(options)
        params = source.make_connection_params(url)
        return cast("ConnectionPool", source.get_connection_pool(params))
    except ImproperlyConfigured as error:  # django-redis' own checks
        raise ConfigurationError(str(error)) from error


def _merge_options(config: Config) -> dict[str, Any]:
    """Return the alias's options over our defaults."""
    own: dict[str, Any] = from_hashable(config.redis_options) or {}
    defaults = make_pool_options(config)
    if "SENTINELS" in own and "connection_class" in defaults:
        defaults["connection_class"] = SentinelManagedSSLConnection
    for option, name in _SOCKET_OPTIONS.items():
        if own.get(option):
            del defaults[name]  # the factory applies the option
    return {
        **own,
        "CONNECTION_POOL_KWARGS": defaults | own.get("CONNECTION_POOL_KWARGS", {}),
    }


def _get_factory_name(options: dict[str, Any]) -> str:
    fallback = "SentinelConnectionFactory" if "SENTINELS" in options else "ConnectionFactory"
    return str(
        options.get("CONNECTION_FACTORY")
        or getattr(settings, "DJANGO_REDIS_CONNECTION_FACTORY", None)
        or f"django_redis.pool.{fallback}"
    )
