"""The settings of django-redis outside CACHES."""

from __future__ import annotations

import pytest
from django.test import override_settings

from continuum_upstash.backend import CacheBackend
from continuum_upstash.cache.django_redis_settings import get_itersize, list_unused_settings
from continuum_upstash.transports import registry


@pytest.fixture(autouse=True)
def close_databases():
    yield
    registry.reset()


@pytest.mark.parametrize(
    ("ignore", "options", "fallback"),
    [
        (True, {}, True),
        (False, {}, False),
        (False, {"IGNORE_EXCEPTIONS": True}, True),
        (True, {"FALLBACK": False}, False),
    ],
)
def test_ignore_exceptions_is_the_default_of_fallback(ignore, options, fallback):
    with override_settings(DJANGO_REDIS_IGNORE_EXCEPTIONS=ignore):
        cache = CacheBackend("redis://127.0.0.1:9", {"OPTIONS": options})
    assert cache.database.config.fallback is fallback


def test_the_page_size_of_a_scan_is_a_setting():
    assert get_itersize() == 1_000
    with override_settings(DJANGO_REDIS_SCAN_ITERSIZE=50):
        assert get_itersize() == 50


def test_settings_without_effect_are_listed_unless_django_redis_is_used():
    settings = {"DJANGO_REDIS_LOGGER": "x", "DJANGO_REDIS_CLOSE_CONNECTION": True}
    with override_settings(CACHES={"default": {"BACKEND": "x"}}, **settings):
        assert [text.partition(" ")[0] for text in list_unused_settings(has_tcp=True)] == sorted(
            settings
        )
    with override_settings(
        CACHES={"old": {"BACKEND": "django_redis.cache.RedisCache"}}, **settings
    ):
        assert list(list_unused_settings(has_tcp=True)) == []
    assert list(list_unused_settings(has_tcp=True)) == []


@override_settings(DJANGO_REDIS_CONNECTION_FACTORY="my.Factory")
def test_the_connection_factory_needs_tcp():
    assert list(list_unused_settings(has_tcp=True)) == []
    assert list(list_unused_settings(has_tcp=False)) == [
        "DJANGO_REDIS_CONNECTION_FACTORY has no effect: no cache is in TCP mode."
    ]
