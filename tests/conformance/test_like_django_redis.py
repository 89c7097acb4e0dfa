"""The same calls on django-redis' cache and on ours, on one server: the results are equal.

This is the short form of `run_django_redis_suite.py`, which downloads django-redis' own tests.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django_redis.cache import RedisCache

from tests.conftest import SyncOrAsync

HOUR = timedelta(hours=1)
SOON = datetime.fromtimestamp(time.time() + 3600, tz=UTC)


def call(name, *args, **kwargs):
    return name, args, kwargs


SCRIPTS = {
    "strings": [
        call("set", "k", 1, nx=True),
        call("set", "k", 2, nx=True),
        call("set", "k", 3, xx=True),
        call("set", "missing", 3, xx=True),
        call("set", "k", 4, -1, nx=True),
        call("get", "k"),
        call("add", "k", 5),
        call("incr", "k", 5),
        call("decr", "k", 2),
        call("incr", "new", 3, ignore_key_check=True),
        call("incr", "new", ignore_key_check=True),
        call("set", "t", "2"),
        call("get", "t"),
        call("get", "nothing", "default"),
        call("get_many", ["k", "t", "nothing"]),
        call("has_key", "k"),
        call("delete", "k"),
        call("delete", "k"),
        call("set", "v", "two", version=2),
        call("get", "v"),
        call("get", "v", version=2),
        call("incr_version", "t"),
        call("get", "t", version=2),
    ],
    "expiry": [
        call("set", "k", 1, timeout=100),
        call("ttl", "k"),
        call("ttl", "missing"),
        call("pttl", "missing"),
        call("persist", "k"),
        call("persist", "k"),
        call("ttl", "k"),
        call("pttl", "k"),
        call("expire", "k", 20),
        call("ttl", "k"),
        call("expire", "k", HOUR),
        call("ttl", "k"),
        call("expire", "k", DEFAULT_TIMEOUT),
        call("ttl", "k"),
        call("expire", "missing", DEFAULT_TIMEOUT),
        call("pexpire", "k", 20_500),
        call("ttl", "k"),
        call("pexpire", "k", HOUR),
        call("ttl", "k"),
        call("expire_at", "k", SOON),
        call("ttl", "k"),
        call("pexpire_at", "k", SOON),
        call("ttl", "k"),
        call("expire_at", "k", int(time.time()) + 100),
        call("touch", "k", 50),
        call("ttl", "k"),
        call("touch", "k", None),
        call("ttl", "k"),
        call("touch", "missing"),
        call("expire_at", "k", datetime(2020, 1, 1, tzinfo=UTC)),
        call("get", "k"),
    ],
    "search": [
        call("set", "foo-a", 1),
        call("set", "foo-b", 1),
        call("set", "bar", 1),
        call("keys", "foo*"),
        call("keys", "*a*"),
        call("delete_pattern", "*-a*", itersize=2),
        call("delete_pattern", "*-a*"),
        call("keys", "*"),
    ],
    "hashes": [
        call("hset", "h", "a", {"x": [1, None]}),
        call("hset", "h", "a", 2),
        call("hset", "h", mapping={"b": 1.5, "c": True}),
        call("hlen", "h"),
        call("hkeys", "h"),
        call("hexists", "h", "a"),
        call("hexists", "h", "z"),
        call("hdel", "h", "a"),
        call("hdel", "h", "a"),
        call("hlen", "h", version=2),
        call("hkeys", "missing"),
    ],
    "sets": [
        call("sadd", "a", "x", "y", 3, ("t", 1)),
        call("sadd", "b", "y", 3, b"\xff"),
        call("scard", "a"),
        call("smembers", "a"),
        call("smembers", "missing"),
        call("sismember", "a", ("t", 1)),
        call("smismember", "a", "x", "nothing", 3),
        call("sdiff", "a", "b"),
        call("sinter", "a", "b"),
        call("sunion", "a", "b"),
        call("sdiffstore", "c", "a", "b"),
        call("smembers", "c"),
        call("sdiffstore", "c", "a", "b", version_keys=2),
        call("sinterstore", "c", "a", "b"),
        call("sunionstore", "c", "a", "b"),
        call("smove", "a", "b", "x"),
        call("smove", "a", "b", "nothing"),
        call("srem", "b", "x", "nothing"),
        call("sscan", "b"),
        call("sadd", "one", "only"),
        call("srandmember", "one"),
        call("srandmember", "one", 3),
        call("spop", "one"),
        call("spop", "one"),
        call("sadd", "one", "only"),
        call("spop", "one", 3),
    ],
    "sorted sets": [
        call("zadd", "z", {"a": 1, "b": 2.5, ("t", 1): 4, 7: 5}),
        call("zadd", "z", {"a": 9}, nx=True),
        call("zadd", "z", {"new": 9}, xx=True),
        call("zadd", "z", {"a": 3, "b": 2.5}, ch=True),
        call("zadd", "z", {"a": 1}, incr=True),
        call("zadd", "z", {"a": 1}, gt=True),
        call("zcard", "z"),
        call("zcount", "z", 2, 4),
        call("zcount", "z", "-inf", "(4"),
        call("zincrby", "z", 0.5, "b"),
        call("zrange", "z", 0, -1),
        call("zrange", "z", 0, 1, desc=True, withscores=True),
        call("zrange", "z", 0, 1, withscores=True, score_cast_func=int),
        call("zrevrange", "z", 1, 2),
        call("zrangebyscore", "z", 3, 4, withscores=True),
        call("zrangebyscore", "z", "-inf", "+inf", start=1, num=2),
        call("zrevrangebyscore", "z", 4, 3),
        call("zrank", "z", "b"),
        call("zrank", "z", "b", withscore=True),
        call("zrank", "z", "nothing"),
        call("zscore", "z", ("t", 1)),
        call("zscore", "z", "nothing"),
        call("zpopmin", "z"),
        call("zpopmax", "z", 2),
        call("zpopmax", "missing"),
        call("zpopmin", "missing", count=2),
        call("zadd", "z", {"x": 1, "y": 2}),
        call("zremrangebyscore", "z", 1, 1),
        call("zrem", "z", "y", "nothing"),
    ],
}

WITHOUT_RESULT = {"set"}  # of Django's contract: None here, whether it was stored there
IN_ANY_ORDER = {"keys", "hkeys"}


def normalize(name, kwargs, result):
    if name in WITHOUT_RESULT and not (kwargs.get("nx") or kwargs.get("xx")):
        return None
    return sorted(result) if name in IN_ANY_ORDER else result


@pytest.mark.parametrize("script", SCRIPTS)
def test_results_are_those_of_django_redis(script, transport, api, make_cache, emulator, runner):
    theirs = RedisCache(emulator.redis_url, {"KEY_PREFIX": "theirs"})
    ours = SyncOrAsync(make_cache(transport), runner if api == "async" else None)
    for name, args, kwargs in SCRIPTS[script]:
        expected = normalize(name, kwargs, getattr(theirs, name)(*args, **kwargs))
        found = normalize(name, kwargs, getattr(ours, name)(*args, **kwargs))
        is_time = name == "ttl" and expected
        expected = pytest.approx(expected, abs=1) if is_time else expected
        assert (name, args, found) == (name, args, expected)
        assert type(found) is type(expected) or is_time
    theirs.client.get_client().connection_pool.disconnect()
