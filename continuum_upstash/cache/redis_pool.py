"""redis-py connection pools for Django, made from the OPTIONS of a cache.

If these contain options of django-redis, its connection factory makes the pool, so that they have
the same meaning. Only then it must be installed. django-redis shares one pool per URL: an alias
configured with 50 connections may get the pool of another alias with 5. Here, the factory makes a
pool for each configuration.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from typing import Any, cast

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string
from redis import ConnectionPool
from redis.sentinel import SentinelManagedSSLConnection

from continuum_upstash.config.hashable import from_hashable
from continuum_upstash.config.resolve import Config
from continuum_upstash.errors import ConfigurationError
from continuum_upstash.transports.redis.options import make_pool, make_pool_options
from continuum_upstash.transports.redis.transport import make_plain_pool

_SOCKET_OPTIONS = {
    "SOCKET_CONNECT_TIMEOUT": "socket_connect_timeout",
    "SOCKET_TIMEOUT": "socket_timeout",
}


with suppress(ModuleNotFoundError):
    import django_redis.pool  # noqa: F401 the default factory is loaded by its name


def make_django_pool(config: Config) -> ConnectionPool:
    """Return a new pool without connections.

    Raises:
        ConfigurationError: the URL cannot be parsed, an option is invalid, or it needs
            django-redis, which is not installed.
    """
    if not from_hashable(config.redis_options) and _get_global_factory() is None:
        return make_plain_pool(config)
    return make_pool(config, partial(_call_factory, config))


def _call_factory(config: Config, url: str) -> ConnectionPool:
    options = _merge_options(config)
    name = _get_factory_name(options)
    if name.startswith("django_redis.") and find_spec("django_redis") is None:
        own = ", ".join(sorted(from_hashable(config.redis_options))) or "a connection factory"
        raise ConfigurationError(
            f"{own}: django-redis must be installed for this. Run pip install "
            "'continuum-upstash[django-redis]', or delete the option."
        )
    try:
        source = import_string(name)(options)
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
        or _get_global_factory()
        or f"django_redis.pool.{fallback}"
    )


def _get_global_factory() -> str | None:
    name: str | None = getattr(settings, "DJANGO_REDIS_CONNECTION_FACTORY", None)
    return name
