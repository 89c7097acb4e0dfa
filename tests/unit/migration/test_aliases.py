"""The connection to the cache of another package, from its entry in CACHES."""

from __future__ import annotations

import pytest

from continuum_upstash.config.hashable import from_hashable
from continuum_upstash.errors import ConfigurationError
from continuum_upstash.migration.copying.aliases import _make_pool, _resolve_source

DJANGO = "django.core.cache.backends.redis.RedisCache"
DJANGO_REDIS = "django_redis.cache.RedisCache"


def resolve(settings, location, backend=DJANGO_REDIS, **options):
    settings.CACHES = {"old": {"BACKEND": backend, "LOCATION": location, "OPTIONS": options}}
    return _resolve_source("old")


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("redis://h:1/2", "redis://h:1/2"),
        (["redis://primary", "redis://replica"], "redis://primary"),
        ("redis://primary,redis://replica", "redis://primary"),
        ("redis://primary; redis://replica", "redis://primary"),
        ("valkey://h:1", "redis://h:1"),
        ("valkeys://h:1", "rediss://h:1"),
        ("unix:///run/redis.sock?db=1", "unix:///run/redis.sock?db=1"),
    ],
)
def test_the_primary_is_read(location, url, settings):
    config, _ = resolve(settings, location)
    assert (config.mode, config.redis_url.reveal()) == ("redis", url)
    assert not config.fallback


@pytest.mark.parametrize(
    ("backend", "options"),
    [
        (DJANGO, {"username": "u", "password": "p", "db": 3, "socket_timeout": 7}),
        (
            DJANGO_REDIS,
            {
                "USERNAME": "u",
                "PASSWORD": "p",
                "CONNECTION_POOL_KWARGS": {"db": 3, "socket_timeout": 7, "decode_responses": True},
            },
        ),
    ],
)
def test_the_options_of_connections_are_kept(backend, options, settings):
    config, arguments = resolve(settings, "redis://h", backend, **options)
    made = _make_pool(config, arguments).connection_kwargs
    found = {name: made[name] for name in ("username", "password", "db", "socket_timeout")}
    assert found == {"username": "u", "password": "p", "db": 3, "socket_timeout": 7}
    assert made["protocol"] == 2
    assert "decode_responses" not in made


def test_the_parser_and_the_pool_of_the_old_package_are_not_used(settings):
    classes = {"parser_class": "redis._parsers._HiredisParser", "pool_class": "x.Pool"}
    _, arguments = resolve(settings, "redis://h", DJANGO, **classes)
    assert arguments == {}


def test_the_factory_of_django_redis_connects_to_sentinels(settings):
    sentinels = [("s", 26379)]
    config, _ = resolve(settings, "redis://service/0", SENTINELS=sentinels, PASSWORD="p")
    options = from_hashable(config.redis_options)
    assert [*map(tuple, options["SENTINELS"])] == sentinels
    assert options["CONNECTION_POOL_KWARGS"] == {"password": "p"}


def test_a_cache_on_several_servers_is_refused(settings):
    with pytest.raises(ConfigurationError, match="divided among several servers"):
        resolve(settings, "redis://h", CLIENT_CLASS="django_redis.client.ShardClient")
