"""Migrations from a real Valkey to the emulator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from continuum_upstash.migration.conf import BACKEND
from tests.integration.cache_entries import make_entry
from tests.integration.valkey_server import Valkey

OLD_BACKENDS = {
    "RedisCache": {"BACKEND": "django.core.cache.backends.redis.RedisCache"},
    "django-redis": {"BACKEND": "django_redis.cache.RedisCache"},
    "own": {"BACKEND": "continuum_upstash.backend.CacheBackend"},
}


@pytest.fixture(params=list(OLD_BACKENDS))
def old_backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def classic(valkey_process: Valkey) -> Iterator[Valkey]:
    """An empty Valkey. The other backends' pools keep their connections: they are closed."""
    valkey_process.reset()
    yield valkey_process
    valkey_process.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


@pytest.fixture(params=["rest", "tcp"])
def migration(
    request: pytest.FixtureRequest, site: Any, classic: Valkey, emulator: Any, old_backend: str
) -> Any:
    """The alias "default" migrates from "old", a Valkey, to "new", the emulator."""
    site.CACHES = {
        "default": {
            "BACKEND": BACKEND,
            "OPTIONS": {"OLD": "old", "NEW": "new", "ROLLOUT_INTERVAL": 0},
        },
        "old": {**OLD_BACKENDS[old_backend], "LOCATION": classic.url, "KEY_PREFIX": "shop"},
        "new": make_entry(emulator, request.param, KEY_PREFIX="shop"),
    }
    return site
