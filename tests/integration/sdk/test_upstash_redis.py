"""The unmodified upstash-redis package, sync and async, against the emulator."""

import pytest
from upstash_redis import Redis
from upstash_redis.asyncio import Redis as AsyncRedis
from upstash_redis.errors import UpstashError


@pytest.fixture(params=["base64", None])
def client(emulator, request):
    with Redis(emulator.rest_url, emulator.token, rest_encoding=request.param) as client:
        yield client


def test_string_commands(client):
    assert client.set("k", "vé", ex=100) is True
    assert client.set("k", "other", nx=True) in {None, False}
    assert client.get("k") == "vé"
    assert client.getex("k", px=5000) == "vé"
    assert client.incrbyfloat("f", 1.5) == 1.5
    assert client.mget("k", "none") == ["vé", None]
    assert client.set("n", 2**60) is True
    assert client.incr("n") == 2**60 + 1


def test_collection_commands(client):
    assert client.hset("h", values={"a": "1", "b": "2"}) == 2
    assert client.hgetall("h") == {"a": "1", "b": "2"}
    assert client.zadd("z", {"m": 1.5}) == 1
    assert client.zrange("z", 0, -1, withscores=True) == [("m", 1.5)]
    assert client.sadd("s", "x", "y") == 2
    assert sorted(client.smembers("s")) == ["x", "y"]
    assert client.rpush("l", "a", "b") == 2
    assert client.lpop("l", 2) == ["a", "b"]
    assert client.scan(0, match="h*") == (0, ["h"])


def test_stream_commands(client):
    first = client.xadd("st", "*", {"a": "1"})
    assert client.xrange("st", "-", "+") == [[first, ["a", "1"]]]


def test_pipelines_and_transactions_return_all_results(client):
    pipeline = client.pipeline().set("a", 1).incr("a").get("a")
    assert pipeline.exec() == [True, 2, "2"]
    transaction = client.multi().hset("h", "f", "v").hgetall("h").ping()
    assert transaction.exec() == [1, {"f": "v"}, "PONG"]


def test_script_commands(client):
    sha = client.script_load("return {KEYS[1], ARGV[1]}")
    assert client.evalsha(sha, keys=["k"], args=["v"]) == ["k", "v"]
    assert client.script_exists(sha, "0" * 40) == [True, False]


def test_errors_are_raised_as_sdk_errors(client):
    client.lpush("l", "x")
    with pytest.raises(UpstashError, match="WRONGTYPE"):
        client.incr("l")
    with pytest.raises(UpstashError, match="not available: 'NOPE'"):
        client.execute(["NOPE"])


def test_a_wrong_token_raises_an_sdk_error(emulator):
    with (
        Redis(emulator.rest_url, "wrong") as client,
        pytest.raises(UpstashError, match="WRONGPASS"),
    ):
        client.get("k")


def test_a_read_after_a_write_sees_the_new_value(emulator, client):
    with emulator.fault("lag", seconds=3600):
        client.set("k", "new")
        assert client.get("k") == "new"


async def test_commands_of_the_async_client(emulator):
    async with AsyncRedis(emulator.rest_url, emulator.token) as client:
        assert await client.set("k", "v") is True
        assert await client.get("k") == "v"
        assert await client.pipeline().incr("n").incr("n").exec() == [1, 2]
        assert await client.multi().incr("n").get("n").exec() == [3, "3"]
        assert await client.publish("c", "m") == 0
