"""redis-py's client of a cache's database: `get_client` and `get_redis_connection`."""

from __future__ import annotations

import django_redis
import pytest
import redis
from django.core.cache import caches
from django.test import override_settings

from continuum_upstash.backend import get_redis_connection


@pytest.fixture(params=["rest", "tcp"])
def transport(request):
    return request.param


@pytest.fixture
def cache(transport, make_cache):
    return make_cache(transport)


@pytest.fixture
def client(cache):
    return cache.client.get_client(write=True)


def test_results_are_those_of_redis_py(client):
    assert client.set("k", b"v", ex=60) is True
    assert client.get("k") == b"v"
    assert client.hset("h", mapping={"a": 1, "b": "2"}) == 2
    assert client.hgetall("h") == {b"a": b"1", b"b": b"2"}
    assert client.zadd("z", {"one": 1.5, "two": 2}) == 2
    assert client.zrange("z", 0, -1, withscores=True) == [(b"one", 1.5), (b"two", 2.0)]
    assert client.sadd("s", "x") == 1
    assert client.smembers("s") == {b"x"}
    assert list(client.scan_iter(match="k")) == [b"k"]
    assert client.type("h") == b"hash"
    assert client.lpush(b"l", "a", "b") == 2
    assert client.get("missing") is None


def test_errors_are_those_of_redis_py(client):
    client.sadd("s", "x")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        client.get("s")


def test_a_pipeline_is_one_round_trip(client, emulator):
    with emulator.count() as usage, client.pipeline() as pipe:
        assert pipe.set("a", 1).incr("a").get("a").execute() == [True, 2, b"2"]
    assert (usage.billed, usage.requests <= 1) == (3, True)
    pipe = client.pipeline(transaction=False).set("a", "x").incr("a").get("a")
    stored, error, value = pipe.execute(raise_on_error=False)
    assert (stored, type(error), value) == (True, redis.ResponseError, b"x")
    with pytest.raises(redis.ResponseError, match="Command # 1"):
        client.pipeline().incr("a").execute()
    assert client.pipeline().execute() == []


def test_scripts_and_locks_of_redis_py_work(client):
    script = client.register_script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
    assert script(keys=["n"], args=[5]) == 5
    pipe = client.pipeline()
    script(keys=["n"], args=[2], client=pipe)
    assert pipe.execute() == [7]
    with client.lock("lock", timeout=5, blocking_timeout=1) as lock:
        assert lock.owned()
    assert client.exists("lock") == 0


def test_bytes_arrive_as_they_are_or_are_refused(client, transport):
    binary = bytes(range(256))
    assert client.set("b", binary) is True
    assert client.get("b") == binary
    pipe = client.pipeline().set("b1", binary).set("b2", binary)
    if transport == "tcp":
        assert pipe.execute() == [True, True]
        assert client.mget("b1", "b2") == [binary, binary]
    else:
        with pytest.raises(redis.DataError, match="takes one binary value"):
            pipe.execute()
        assert client.exists("b1", "b2") == 0


def test_what_needs_a_connection_of_its_own_needs_tcp(client, transport):
    if transport == "rest":
        for call in (lambda: client.blpop("q", 1), lambda: client.pubsub().subscribe("c")):
            with pytest.raises(NotImplementedError, match="Use TCP"):
                call()
        return
    client.rpush("q", "job")
    assert client.blpop("q", 1) == (b"q", b"job")
    with client.pipeline() as pipe:
        pipe.watch("w")
        pipe.multi()
        assert pipe.set("w", 1).execute() == [True]


def test_an_outage_raises_and_is_never_answered_locally(make_cache, transport, emulator):
    cache = make_cache(transport, OPTIONS={"FALLBACK": True})
    client = cache.client.get_client()
    cache.database.failover.breaker.force_open()
    with pytest.raises(redis.ConnectionError, match="circuit breaker"):
        client.hset("h", "f", 1)
    with pytest.raises(redis.ConnectionError):
        client.get("k")


def test_both_packages_functions_return_it(emulator):
    entry = {
        "BACKEND": "continuum_upstash.backend.CacheBackend",
        "LOCATION": emulator.rest_url,
        "OPTIONS": {"TOKEN": emulator.token},
    }
    with override_settings(CACHES={"default": entry}):
        ours = get_redis_connection("default")
        assert django_redis.get_redis_connection("default", write=False) is ours
        ours.set(caches["default"].make_key("n"), 5)
        assert caches["default"].get("n") == 5


class MyRedis(redis.Redis):
    def count_keys(self):
        return self.dbsize()


def test_the_client_class_of_the_options_is_used(make_cache):
    options = {"REDIS_CLIENT_CLASS": f"{__name__}.MyRedis"}
    client = make_cache("tcp", OPTIONS=options).client.get_client()
    client.set("k", 1)
    assert client.count_keys() == 1


def test_local_mode_runs_the_commands_of_the_local_store(make_cache):
    client = make_cache("local").client.get_client()
    assert client.set("k", "v") is True
    assert client.get("k") == b"v"
