"""clear() deletes the keys of its alias, of every version, and nothing else."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

import pytest
from django.core.cache import caches
from django.test import override_settings

from continuum_upstash.observe import CommandDetails, subscribe, unsubscribe
from continuum_upstash.plans.effects import call
from continuum_upstash.ratelimit import Limiter
from continuum_upstash.sessions import SessionStore
from continuum_upstash.transports import registry
from tests.conftest import SyncOrAsync
from tests.integration.cache_entries import make_entry
from tests.integration.ratelimit.limiters import make_policy

VERSIONS = [
    *["2026.11-abc", "v2", "blue", "a:b", "", "*", "[x]?", "session", "é"],
    *[1.5, Decimal("2.0"), UUID(int=5), -3, True],
]
PREFIXES = {"default": "shop", "eu": "shop:eu", "eu-b": "shop:eu:b", "none": "", "x": "sho"}


@pytest.fixture
def aliases(transport, api, request):
    """The caches by alias, sync or async; they share a database."""
    emulator = None if transport == "local" else request.getfixturevalue("emulator")
    runner = request.getfixturevalue("runner") if api == "async" else None
    entries = {
        alias: make_entry(emulator, transport, KEY_PREFIX=prefix)
        for alias, prefix in PREFIXES.items()
    }
    with override_settings(CACHES=entries, SESSION_CACHE_ALIAS="none"):
        yield {alias: SyncOrAsync(caches[alias], runner) for alias in entries}
    registry.reset()


def list_keys(cache):
    _, keys = cache.cache.run(call("SCAN", 0, "COUNT", 10_000))
    return sorted(key.decode() for key in keys)


@pytest.mark.parametrize("version", VERSIONS, ids=repr)
def test_keys_of_any_version_are_deleted(aliases, version):
    cache = aliases["default"]
    cache.set("k", 1, version=version)
    cache.set_many({"a": 1, "b:c": 2}, version=version)
    cache.clear()
    assert list_keys(cache) == []


@pytest.mark.parametrize("version", VERSIONS, ids=repr)
def test_keys_of_the_version_of_the_settings_are_deleted(
    transport, api, make_cache, version, request
):
    runner = request.getfixturevalue("runner") if api == "async" else None
    cache = SyncOrAsync(make_cache(transport, VERSION=version), runner)
    cache.set("k", 1)
    assert cache.get("k") == 1
    cache.clear()
    assert cache.get("k") is None


def test_keys_of_other_aliases_stay(aliases):
    for cache in aliases.values():
        cache.set("k:1:v2", "kept")
        cache.set("k", "kept", version="v2")
    aliases["default"].clear()
    left = [alias for alias, cache in aliases.items() if cache.get("k:1:v2") == "kept"]
    assert left == ["eu", "eu-b", "none", "x"]
    aliases["none"].clear()
    aliases["eu"].clear()
    left = [alias for alias, cache in aliases.items() if cache.get("k:1:v2") == "kept"]
    assert left == ["eu-b", "x"]


@pytest.mark.parametrize("transport", ["rest", "tcp"])
@pytest.mark.parametrize("alias", ["none", "default"])
def test_no_name_of_a_session_or_limit_is_received(aliases, alias):
    aliases[alias].set("k", 1)
    for number in range(30):
        store = SessionStore()
        store["number"] = number
        store.save()
        Limiter("none").check([make_policy()], str(number))
    received = []

    def observe(record):
        if isinstance(record, CommandDetails):
            for command, reply in zip(record.commands, record.replies or (), strict=True):
                if command[0] == "SCAN":
                    received.extend(key.decode() for key in reply[1])

    subscribe(observe)
    aliases[alias].clear()
    unsubscribe(observe)
    assert received == [aliases[alias].cache.make_key("k")]
    assert len(list_keys(aliases[alias])) == 60
