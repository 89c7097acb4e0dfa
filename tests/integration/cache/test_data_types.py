"""Hashes, lists, sets and sorted sets of the cache, on each transport, sync and async."""

from __future__ import annotations

import datetime as dt
import time
from decimal import Decimal

import pytest

from continuum_upstash.errors import ReplyError, Unavailable
from tests.conftest import SyncOrAsync

VALUES = [
    "text",
    "5",
    5,
    1.5,
    True,
    None,
    "ключ",
    b"\x00\xff",
    ("a", 1),
    Decimal("1.10"),
    dt.date(2026, 1, 2),
    '{"a": 1}',
    "~x",
]


# The tests that count commands, or have no database in local mode.
over_the_network = pytest.mark.parametrize("transport", ["rest", "tcp"])


def drain(api, runner, iterator):
    async def collect():
        return [each async for each in iterator]

    return list(iterator) if api == "sync" else runner.run(collect())


def test_hashes(any_cache):
    assert any_cache.hset("h", "a", {"x": [1]}) == 1
    assert any_cache.hset("h", mapping={"a": 1, "b": None, "c": b"\xff\x00", "d": b"\xfe"}) == 3
    assert any_cache.hget("h", "a") == 1
    assert any_cache.hget("h", "missing", "default") == "default"
    assert any_cache.hmget("h", ["a", "c", "missing"]) == {"a": 1, "c": b"\xff\x00"}
    assert any_cache.hmget("h", []) == {}
    assert any_cache.hgetall("h") == {"a": 1, "b": None, "c": b"\xff\x00", "d": b"\xfe"}
    assert sorted(any_cache.hkeys("h")) == ["a", "b", "c", "d"]
    assert any_cache.hvals("missing") == []
    assert any_cache.hlen("h") == 4
    assert any_cache.hincrby("h", "a", 4) == 5
    assert any_cache.hincrby("h", "n") == 1
    with pytest.raises(TypeError, match="not a 64-bit integer"):
        any_cache.hincrby("h", "c")
    assert any_cache.hexists("h", "a") is True
    assert any_cache.hdel("h", "a") == 1
    assert any_cache.hdel("h", "a") == 0
    assert any_cache.hexists("h", "a") is False
    with pytest.raises(ValueError, match="needs a field"):
        any_cache.hset("h")


def test_versions_are_separate_keys(any_cache):
    any_cache.hset("k", "f", "one", version=1)
    any_cache.hset("k", "f", "two", version=2)
    assert any_cache.hget("k", "f", version=1) == "one"
    any_cache.sadd("s", "x", version=2)
    assert any_cache.smembers("s") == set()
    assert any_cache.sdiffstore("d", "s", version_keys=2) == 1
    assert any_cache.smembers("d") == {"x"}


def test_sets(any_cache):
    assert any_cache.sadd("a", "1", "2") == 2
    assert any_cache.sadd("a", "2", "3") == 1
    any_cache.sadd("b", "3", "4")
    assert any_cache.scard("a") == 3
    assert any_cache.smembers("a") == {"1", "2", "3"}
    assert any_cache.sismember("a", "1") is True
    assert any_cache.sismember("a", 1) is False
    assert any_cache.smismember("a", "1", "x") == [True, False]
    assert any_cache.sdiff("a", "b") == {"1", "2"}
    assert any_cache.sinter("a", "b") == {"3"}
    assert any_cache.sunion("a", "b") == {"1", "2", "3", "4"}
    assert any_cache.sdiffstore("c", "a", "b") == 2
    assert any_cache.sinterstore("c", "a", "b") == 1
    assert any_cache.sunionstore("c", "a", "b") == 4
    assert any_cache.smove("a", "b", "1") is True
    assert any_cache.smove("a", "b", "1") is False
    assert any_cache.srem("b", "1", "x") == 1
    assert any_cache.spop("b", 9) == {"3", "4"}
    assert any_cache.spop("b") is None
    assert any_cache.srandmember("a") in {"2", "3"}
    assert set(any_cache.srandmember("a", 9)) == {"2", "3"}
    assert any_cache.spop("a") in {"2", "3"}
    assert any_cache.scard("a") == 1


@pytest.mark.parametrize("other", ["rest", "tcp"])
@over_the_network
def test_a_member_has_the_same_bytes_alone_and_with_others(make_cache, transport, other):
    written = make_cache(transport, KEY_PREFIX="same")
    read = make_cache(other, KEY_PREFIX="same")
    assert written.sadd("s", *VALUES) == len(VALUES)
    assert read.smismember("s", *VALUES) == [True] * len(VALUES)
    assert [read.sismember("s", value) for value in VALUES] == [True] * len(VALUES)
    assert read.smembers("s") == set(VALUES)
    assert sum(read.srem("s", value) for value in VALUES) == len(VALUES)
    written.rpush("l", *VALUES)
    assert read.lrange("l") == VALUES
    assert [type(each) for each in read.lrange("l")] == [type(each) for each in VALUES]


def test_sets_are_scanned_by_pages(make_cache, transport, api, runner):
    cache = make_cache(transport)
    members = {f"bar{number}" for number in range(1500)} | {"zoo", 5}
    cache.sadd("s", *members)
    name = "sscan_iter" if api == "sync" else "asscan_iter"
    scan = getattr(cache, name)
    assert set(drain(api, runner, scan("s"))) == members
    assert set(drain(api, runner, scan("s", match="zo?"))) == {"zoo"}
    assert set(drain(api, runner, scan("s", match="bar1*", count=100))) == {
        member for member in members if str(member).startswith("bar1")
    }
    api_cache = SyncOrAsync(cache, runner if api == "async" else None)
    assert api_cache.sscan("missing") == set()
    cache.sadd("small", "a", "b")
    assert api_cache.sscan("small", "a*") == {"a"}


def test_sorted_sets(any_cache):
    assert any_cache.zadd("z", {"a": 1, "b": 2.5, "c": 4}) == 3
    assert any_cache.zadd("z", {"a": 9}, nx=True) == 0
    assert any_cache.zadd("z", {"x": 9}, xx=True) == 0
    assert any_cache.zadd("z", {"a": 1.5, "d": 5}, ch=True) == 2
    assert any_cache.zadd("z", {"a": 1}, gt=True) == 0
    assert any_cache.zadd("z", {"a": 1}, lt=True, ch=True) == 1
    assert any_cache.zadd("z", {"a": 0.5}, incr=True) == 1.5
    assert any_cache.zadd("z", {"a": 1}, incr=True, nx=True) is None
    for flags in ({"nx": True, "xx": True}, {"gt": True, "lt": True}):
        with pytest.raises(ValueError, match="exclude"):
            any_cache.zadd("z", {"a": 1}, **flags)
    with pytest.raises(ValueError, match="needs a member"):
        any_cache.zadd("z", {})
    assert any_cache.zcard("z") == 4
    assert any_cache.zcount("z", "(1.5", "+inf") == 3
    assert any_cache.zincrby("z", -0.5, "a") == 1.0
    assert any_cache.zrange("z", 0, -1) == ["a", "b", "c", "d"]
    assert any_cache.zrange("z", 0, 1, desc=True, withscores=True) == [("d", 5.0), ("c", 4.0)]
    assert any_cache.zrevrange("z", 0, 0) == ["d"]
    assert any_cache.zrangebyscore("z", 2, 4.5, withscores=True, score_cast_func=int) == [
        ("b", 2),
        ("c", 4),
    ]
    assert any_cache.zrangebyscore("z", "-inf", "+inf", start=1, num=2) == ["b", "c"]
    assert any_cache.zrevrangebyscore("z", 4, 2) == ["c", "b"]
    with pytest.raises(ValueError, match="need each other"):
        any_cache.zrangebyscore("z", 0, 1, start=1)
    assert any_cache.zrank("z", "b") == 1
    assert any_cache.zrank("z", "b", withscore=True) == [1, 2.5]
    assert any_cache.zrank("z", "missing") is None
    assert any_cache.zscore("z", "b") == 2.5
    assert any_cache.zscore("z", "missing") is None
    assert any_cache.zpopmin("z") == ("a", 1.0)
    assert any_cache.zpopmax("z", 2) == [("d", 5.0), ("c", 4.0)]
    assert any_cache.zrem("z", "b", "missing") == 1
    assert any_cache.zpopmin("z") is None
    assert any_cache.zpopmax("z", count=2) == []
    any_cache.zadd("z", {("tuple", 1): float("inf"), 7: -1})
    assert any_cache.zrange("z", 0, -1, withscores=True) == [
        (7, -1.0),
        (("tuple", 1), float("inf")),
    ]
    assert any_cache.zremrangebyscore("z", "-inf", 0) == 1


def test_lists(any_cache):
    assert any_cache.rpush("l", "b", "c") == 2
    assert any_cache.lpush("l", {"x": 1}) == 3
    assert any_cache.lrange("l") == [{"x": 1}, "b", "c"]
    assert any_cache.lrange("l", 1, 1) == ["b"]
    assert any_cache.llen("l") == 3
    assert any_cache.lindex("l", -1) == "c"
    assert any_cache.lindex("l", 9, "default") == "default"
    assert any_cache.lset("l", 1, ("t",)) is None
    assert any_cache.lrem("l", 0, ("t",)) == 1
    assert any_cache.lpop("l") == {"x": 1}
    assert any_cache.rpush("l", 1, 2) == 3
    assert any_cache.rpop("l", 2) == [2, 1]
    assert any_cache.ltrim("l", 1, 0) is None
    assert any_cache.lpop("l") is None
    assert any_cache.rpop("l", 2) == []
    with pytest.raises(ReplyError, match="no such key"):
        any_cache.lset("l", 0, 1)


CALLS = {
    "hset": ("h", "f", 1),
    "hget": ("h", "f"),
    "hmget": ("h", ["f", "g"]),
    "hgetall": ("h",),
    "hkeys": ("h",),
    "hvals": ("h",),
    "hlen": ("h",),
    "hexists": ("h", "f"),
    "hincrby": ("h", "n", 2),
    "hdel": ("h", "f"),
    "lpush": ("l", 1, 2, b"\xff", b"\xfe"),
    "rpush": ("l", 1),
    "lset": ("l", 0, 5),
    "lindex": ("l", 0),
    "lrange": ("l",),
    "llen": ("l",),
    "lrem": ("l", 0, 1),
    "ltrim": ("l", 0, 5),
    "lpop": ("l",),
    "rpop": ("l", 2),
    "sadd": ("s", "a", "b", b"\xff", b"\xfe"),
    "scard": ("s",),
    "sismember": ("s", "a"),
    "smismember": ("s", "a", "b"),
    "smembers": ("s",),
    "sdiff": ("s", "t"),
    "sinter": ("s", "t"),
    "sunion": ("s", "t"),
    "sdiffstore": ("d", "s", "t"),
    "sinterstore": ("d", "s", "t"),
    "sunionstore": ("d", "s", "t"),
    "smove": ("s", "t", "a"),
    "srandmember": ("s",),
    "sscan": ("s",),
    "srem": ("s", "b"),
    "spop": ("s",),
    "zadd": ("z", {"a": 1, "b": 2, b"\xff": 3, b"\xfe": 4}),
    "zcard": ("z",),
    "zcount": ("z", 0, 5),
    "zincrby": ("z", 1, "a"),
    "zrange": ("z", 0, -1),
    "zrangebyscore": ("z", 0, 5),
    "zrank": ("z", "a"),
    "zrevrange": ("z", 0, -1),
    "zrevrangebyscore": ("z", 5, 0),
    "zscore": ("z", "a"),
    "zrem": ("z", "a"),
    "zremrangebyscore": ("z", 0, 1),
    "zpopmax": ("z",),
    "zpopmin": ("z", 2),
}


@over_the_network
def test_each_method_is_one_billed_command_and_one_request(any_cache, transport, emulator):
    any_cache.has_key("connect")
    requests = len(CALLS) if transport == "rest" else 0
    with emulator.count() as usage:
        for name, arguments in CALLS.items():
            getattr(any_cache, name)(*arguments)
    assert (usage.billed, usage.requests) == (len(CALLS), requests)


@over_the_network
def test_an_outage_is_never_answered_locally(any_cache):
    any_cache.hset("h", "f", 1)
    any_cache.sadd("s", 1)
    breaker = any_cache.cache.database.failover.breaker
    breaker.force_open()
    for name, arguments in CALLS.items():
        with pytest.raises(Unavailable):
            getattr(any_cache, name)(*arguments)
    breaker.reset()
    assert any_cache.hgetall("h") == {"f": 1}
    assert any_cache.smembers("s") == {1}


def test_values_that_cannot_be_decoded_are_left_out(make_cache, transport):
    cache = make_cache(transport)
    raw = cache.client.get_client()
    for value in ("good", b"\x02bad", "[1"):
        raw.sadd(cache.make_key("s"), value)
        raw.zadd(cache.make_key("z"), {value: 1})
        raw.hset(cache.make_key("h"), "field", value)
    assert cache.smembers("s") == {"good", "[1"}
    assert set(cache.zrange("z", 0, -1)) == {"good", "[1"}
    raw.hset(cache.make_key("h"), "field", b"\x02bad")
    assert cache.hget("h", "field", "default") == "default"
    assert cache.hgetall("h") == {}


def test_a_member_larger_than_the_limit_is_refused(make_cache):
    cache = make_cache("rest", OPTIONS={"MAX_VALUE_BYTES": 20})
    for call in (cache.sadd, cache.rpush):
        with pytest.raises(ValueError, match="exceeds MAX_VALUE_BYTES"):
            call("k", "x" * 30)
    with pytest.raises(ValueError, match="exceeds MAX_VALUE_BYTES"):
        cache.hset("h", "f", "x" * 30)
    assert cache.has_key("k") is False


def test_collections_expire_only_when_told(any_cache):
    any_cache.sadd("s", 1)
    assert any_cache.ttl("s") is None
    assert any_cache.expire("s", dt.timedelta(minutes=1)) is True
    any_cache.sadd("s", 2)
    assert 58 <= any_cache.ttl("s") <= 60
    any_cache.expire_at("s", time.time() - 5)
    assert any_cache.smembers("s") == set()


def test_another_type_is_an_error(any_cache):
    any_cache.set("k", "text")
    with pytest.raises(ReplyError, match="WRONGTYPE"):
        any_cache.smembers("k")
