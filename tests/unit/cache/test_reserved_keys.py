"""No cache key is the Redis key of a session, a rate limit or the statistics."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import combinations

import pytest
from django.core.cache.backends.base import InvalidCacheKey, default_key_func

from continuum_upstash.backend import CacheBackend
from continuum_upstash.keys import RESERVED_KEYS, make_alias_pattern, make_scoped_pattern
from continuum_upstash.ratelimit.policy import parse_policy
from continuum_upstash.sessions.keys import make_index_key, make_redis_key
from continuum_upstash.stats.shared.schema import day_key, hour_key

PREFIXES = ["", "shop", "shop:1", "continuum", "session"]
NOW = datetime(2026, 11, 26, 9, tzinfo=UTC)


def list_limit_keys(prefix):
    for algorithm in ("strict", "fixed", "sliding", "token_bucket"):
        for shadow in (False, True):
            entry = {"rate": "5/m", "key": "ip", "algorithm": algorithm, "shadow": shadow}
            policy = parse_policy("api", entry)
            yield from policy.build_keys(policy.build_key_prefix(prefix, "10.0.0.1"), 10**12)


RESERVED = {
    name
    for prefix in PREFIXES
    for name in (
        make_redis_key(prefix, "a" * 64),
        make_index_key(prefix, "7"),
        make_index_key(prefix, "a:b"),
        *list_limit_keys(prefix),
    )
} | {hour_key("default", NOW), day_key("default", NOW)}


def make_cache(**entry):
    return CacheBackend("", {"OPTIONS": {"MODE": "local"}, **entry})


def try_make_key(cache, key, version):
    try:
        return cache.make_key(key, version=version)
    except InvalidCacheKey:
        return None


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_no_prefix_version_and_key_result_in_it(name):
    colons = [at for at, character in enumerate(name) if character == ":"]
    for first, second in combinations(colons, 2):
        prefix, version, key = name[:first], name[first + 1 : second], name[second + 1 :]
        assert f"{prefix}:{version}:{key}" == name
        assert try_make_key(make_cache(KEY_PREFIX=prefix), key, version) != name


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_no_key_function_results_in_it(name):
    cache = make_cache(KEY_FUNCTION=lambda key, _prefix, _version: key)
    with pytest.raises(InvalidCacheKey, match="reserved for sessions"):
        cache.make_key(name)
    for call in (cache.get, cache.delete, cache.incr, cache.touch, lambda key: cache.set(key, 1)):
        with pytest.raises(InvalidCacheKey):
            call(name)
    with pytest.raises(InvalidCacheKey):
        cache.get_many([name])


def test_a_key_function_keeps_its_name_and_its_other_keys():
    def plain(key, _prefix, _version):
        return key

    cache = make_cache(KEY_FUNCTION=plain)
    assert cache.make_key("continuum:sessions:1") == "continuum:sessions:1"
    assert cache.key_func.__qualname__ == plain.__qualname__


@pytest.mark.parametrize("prefix", ["continuum", "continuum:shop", "continuum:session"])
def test_a_prefix_that_begins_like_reserved_keys_works_with_versions_that_are_numbers(prefix):
    cache = make_cache(KEY_PREFIX=prefix)
    if prefix == "continuum:session":
        with pytest.raises(InvalidCacheKey):
            cache.set("k", 1)
    else:
        cache.set("k", 1)
        assert cache.get("k") == 1


def test_the_default_key_function_costs_no_further_call():
    assert make_cache(KEY_PREFIX="shop").key_func is default_key_func


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_no_pattern_of_a_cache_matches_it(name):
    assert name.startswith(RESERVED_KEYS)

    def short(key, _prefix, _version):
        return f"c{key}"

    assert not make_scoped_pattern(short, "", 1, "*").matches(name)
    assert not make_scoped_pattern(short, "", 1, "*", str.upper).matches(name)
    assert not make_alias_pattern(default_key_func, "continuum").matches(name)
