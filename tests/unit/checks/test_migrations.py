"""What the checks find in entries with MigratingCache."""

from __future__ import annotations

import pytest

from continuum_upstash.checks.migrations import check_migrations
from continuum_upstash.migration.conf import BACKEND

OWN = "continuum_upstash.backend.CacheBackend"
ENTRIES = {
    "default": {"BACKEND": BACKEND, "OPTIONS": {"OLD": "old", "NEW": "new"}},
    "old": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": "redis://127.0.0.1:6379/0",
    },
    "new": {"BACKEND": OWN, "LOCATION": "redis://127.0.0.1:6379", "KEY_PREFIX": "shop"},
}


def find(settings, **changes):
    settings.CACHES = {alias: ENTRIES[alias] | changes.get(alias, {}) for alias in ENTRIES}
    return [(each.id.rpartition(".")[2], each.msg) for each in check_migrations()]


def test_two_caches_that_fit_together_are_accepted(settings):
    assert find(settings) == []


@pytest.mark.parametrize(
    ("changes", "check", "words"),
    [
        ({"default": {"TIMEOUT": 5}}, "E501", "TIMEOUT"),
        ({"default": {"OPTIONS": {"OLD": "old", "NEW": "gone"}}}, "E501", "gone"),
        ({"default": {"OPTIONS": {"OLD": "old", "NEW": "new", "PHASE": "on"}}}, "E501", "shadow"),
        ({"new": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}, "E501", "NEW"),
        ({"new": {"VERSION": 2}}, "E501", "VERSION"),
        ({"new": {"KEY_PREFIX": ""}}, "E502", "same keys"),
        ({"new": {"TIMEOUT": 60}}, "W501", "TIMEOUT of 'old' is 300"),
    ],
)
def test_a_mistake_is_found(settings, changes, check, words):
    ((found, message),) = find(settings, **changes)
    assert found == check
    assert words in message


def test_the_same_keys_in_another_database_are_accepted(settings):
    other = {"LOCATION": "redis://127.0.0.1:6379/1"}
    assert find(settings, new={"KEY_PREFIX": ""}, old=other) == []
