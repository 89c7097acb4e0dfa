"""The plain clients, without Django, on each transport."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap

import pytest
from upstash_ratelimit import FixedWindow, Ratelimit

from continuum_upstash import AsyncUpstashCache, UpstashCache
from continuum_upstash.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    NotSerializable,
    ReplyError,
)
from continuum_upstash.transports import registry


@pytest.fixture
def credentials(transport, request):
    if transport == "local":
        return {"mode": "local"}
    emulator = request.getfixturevalue("emulator")
    if transport == "rest":
        return {"rest_url": emulator.rest_url, "rest_token": emulator.token}
    return {"redis_url": emulator.redis_url}


@pytest.fixture
def client(credentials):
    with UpstashCache(**credentials) as client:
        yield client
    registry.reset()


BACKENDS = {"rest": "upstash-rest", "tcp": "upstash-redis", "local": "local"}


def test_the_first_steps(client, transport):
    assert client.ping() is True
    assert client.current_backend.value == BACKENDS[transport]
    assert client.set("user:1", {"name": "Ada", "tags": ("a", "b")}, ttl=300) is True
    assert client.get("user:1") == {"name": "Ada", "tags": ("a", "b")}
    assert 299 <= client.ttl("user:1") <= 300
    assert client.get("missing", "default") == "default"
    assert client.add("user:1", 5) is False
    assert client.exists("user:1") is True
    assert client.expire("user:1", None) is True
    assert client.ttl("user:1") is None
    assert client.set_many({"a": 1, "b": b"\x00\xff"}, ttl=5.5) == []
    assert client.get_many(["a", "b", "c"]) == {"a": 1, "b": b"\x00\xff"}
    assert client.incr("hits") == 1
    assert client.incr("hits", 5) == 6
    assert client.get_or_set("made", lambda: "once", ttl=60) == "once"
    assert client.delete("a", "b", "c") == 2
    assert client.reconnect() is True


def test_a_prefix_sets_the_ttl_of_keys_that_are_set_without_one(credentials):
    client = UpstashCache(**credentials, ttl_by_prefix={"query:": 300})
    client.set("query:a", 1)
    client.set("query:b", 1, ttl=None)
    client.add("query:c", 1)
    client.set_many({"query:d": 1, "other": 2})
    client.get_or_set("query:e", 1)
    client.pipeline().set("query:f", 1).execute()
    assert all(299 <= client.ttl(f"query:{letter}") <= 300 for letter in "acdef")
    assert [client.ttl(key) for key in ("query:b", "other")] == [None, None]
    registry.reset()


def test_a_prefix_sets_the_ttl_in_an_event_loop(credentials):
    async def main():
        async with AsyncUpstashCache(**credentials, ttl_by_prefix={"query:": 300}) as client:
            await client.set("query:a", 1)
            await client.set("query:b", 1, ttl=None)
            await client.add("query:c", 1)
            await client.set_many({"query:d": 1, "other": 2})
            await client.get_or_set("query:e", 1)
            await client.pipeline().set("query:f", 1).execute()
            return [
                await client.ttl(key)
                for key in ("query:b", "other", *map("query:{}".format, "acdef"))
            ]

    unlimited, other, *limited = asyncio.run(main())
    assert (unlimited, other) == (None, None)
    assert all(299 <= ttl <= 300 for ttl in limited)
    registry.reset()


def test_delete_pattern_and_keys(client):
    client.set_many({f"old:pattern:{number}": number for number in range(5)})
    client.set("new", 1)
    assert min(client.keys("old:*")) == "old:pattern:0"
    assert client.delete_pattern("old:pattern:*") == 5
    assert client.keys() == ["new"]


def test_info_has_the_documented_fields(client, transport):
    client.set("k", "value")
    info = client.info()
    assert info["keys"] == 1
    assert isinstance(info["used_memory"], int)
    assert info["used_memory_human"]
    assert info["version"]
    assert info["maxmemory_policy"] == "noeviction" or transport == "local"


@pytest.mark.parametrize("atomic", [False, True])
def test_a_pipeline_is_one_round_trip(client, transport, atomic, request):
    client.ping()
    pipe = client.pipeline(atomic=atomic)
    pipe.set("k", {"a": 1}, ex=300).get("k").incr("n", 4).expire("n", 60).delete("missing")
    pipe.set("k", 2, nx=True).set("new", b"\xff", xx=True).command("STRLEN", "n").get("missing")
    assert len(pipe) == 9
    if transport == "rest":
        emulator = request.getfixturevalue("emulator")
        with emulator.count() as spent:
            results = pipe.execute()
        assert spent.requests == 1
    else:
        results = pipe.execute()
    assert results == [True, {"a": 1}, 4, True, 0, False, False, 1, None]
    assert 299 <= client.ttl("k") <= 300
    assert pipe.execute() == []


def test_a_pipelines_errors_are_raised_or_stay_in_place(client):
    client.set("text", "no number")
    pipe = client.pipeline()
    results = pipe.incr("text").set("after", 1).execute(raise_on_error=False)
    assert isinstance(results[0], ReplyError)
    assert results[1] is True
    with pytest.raises(ReplyError):
        pipe.incr("text").execute()


def test_the_sdk_s_commands_use_our_transport(client, transport):
    redis = client.redis
    assert redis.set("k", "v", ex=100) is True
    assert redis.get("k") == "v"
    assert redis.hset("h", values={"a": 1, "b": "2"}) == 2
    assert redis.hgetall("h") == {"a": "1", "b": "2"}
    assert redis.execute(["GET", "k"]) == "v"
    pipeline = redis.pipeline()
    assert pipeline.set("k", 5).incr("k").exec() == [True, 6]
    assert redis.multi().incr("k").exec() == [7]
    assert redis.pipeline().exec() == []
    with pytest.raises(ReplyError):
        redis.hget("k", "field")
    redis.close()
    assert client.get("k") == 7


@pytest.mark.parametrize("transport", ["rest"])
def test_upstash_s_own_limiter_uses_our_transport(client):
    limiter = Ratelimit(redis=client.redis, limiter=FixedWindow(max_requests=2, window=60))
    assert [limiter.limit("me").allowed for _ in range(3)] == [True, True, False]


def test_the_async_client_mirrors_the_sync_one(credentials, transport):
    async def steps():
        async with AsyncUpstashCache(**credentials) as client:
            assert await client.ping() is True
            assert client.current_backend.value == BACKENDS[transport]
            assert await client.set("k", {1, 2}, ttl=60) is True
            assert await client.get("k") == {1, 2}
            assert await client.get_many(["k", "l"]) == {"k": {1, 2}}
            assert await client.pipeline().set("p", 1, ex=300).get("p").execute() == [True, 1]
            assert await client.delete_pattern("p*") == 1
            assert (await client.info())["keys"] == 1
            assert await client.redis.get("missing") is None
            assert await client.redis.pipeline().set("k", 5).incr("k").exec() == [True, 6]
            async with client.lock("lock"):
                assert await client.lock("lock").locked()
            assert await client.reconnect() is True

    asyncio.run(steps())
    sync_names, async_names = (
        {name for name in dir(kind) if not name.startswith("_")}
        for kind in (UpstashCache, AsyncUpstashCache)
    )
    assert sync_names - {"run"} == async_names - {"arun"}


@pytest.mark.parametrize(
    "environ",
    [
        {"HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1,localhost,[::1],fd00::/8"},
        {"HTTPS_PROXY": "socks://127.0.0.1:9", "NO_PROXY": "[x,127.0.0.1"},
        {"HTTPS_PROXY": "http://user:s3 cr#t@127.0.0.1:9"},
    ],
)
def test_a_proxy_for_other_hosts_does_not_matter(credentials, environ, monkeypatch):
    monkeypatch.delenv("http_proxy", raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    async def main():
        async with AsyncUpstashCache(**credentials) as client:
            await client.redis.set("k", "v")
            return await client.redis.get("k"), await client.get("k")

    with UpstashCache(**credentials) as client:
        client.redis.set("k", "v")
        assert (client.redis.get("k"), client.get("k")) == ("v", "v")
    assert asyncio.run(main()) == ("v", "v")
    registry.reset()


def test_json_values_are_readable_in_other_languages(credentials, transport):
    with UpstashCache(**credentials, use_msgpack=False) as client:
        client.set("k", {"a": [1, "ü"], "b": None})
        assert client.redis.get("k") == '{"a":[1,"ü"],"b":null}'
        client.redis.set("theirs", '{"from":"JS"}')
        client.redis.set("bare", "text")
        assert client.get_many(["theirs", "bare"]) == {"theirs": {"from": "JS"}, "bare": "text"}
        with pytest.raises(NotSerializable):
            client.set("k", (1, 2))
    registry.reset()


@pytest.mark.parametrize("transport", ["rest", "tcp"])
def test_the_error_for_a_wrong_token_does_not_contain_it(emulator, transport):
    wrong = "wr0ng-s3cret"
    if transport == "rest":
        client = UpstashCache(rest_url=emulator.rest_url, rest_token=wrong, fallback=False)
    else:
        host = emulator.redis_url.rpartition("@")[2]
        client = UpstashCache(redis_url=f"redis://default:{wrong}@{host}", fallback=False)
    with client, pytest.raises(AuthenticationFailed) as caught:
        client.ping()
    assert wrong not in f"{caught.value!r} {client!r}"
    registry.reset()


@pytest.mark.parametrize("transport", ["rest", "tcp"])
def test_the_error_for_an_unreachable_server_contains_its_address(transport):
    url = "127.0.0.1:9"
    options = {"rest_url": f"http://{url}", "rest_token": "t"}
    if transport == "tcp":
        options = {"redis_url": f"redis://{url}"}
    client = UpstashCache(**options, fallback=False)
    with client, pytest.raises(ConnectionFailed, match=r"127\.0\.0\.1"):
        client.ping()
    registry.reset()


def test_wrong_arguments_raise(monkeypatch):
    for name in ("UPSTASH_REDIS_REST_URL", "KV_REST_API_URL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigurationError, match="no REST token"):
        UpstashCache(rest_url="https://db.upstash.io")
    with pytest.raises(ConfigurationError, match="Did you mean pool_size"):
        UpstashCache(pool_sise=3)


def test_the_environment_is_enough_and_django_is_not_needed(emulator):
    script = """
        import sys
        from continuum_upstash import UpstashCache
        cache = UpstashCache()
        cache.set("greeting", "hello", ttl=5)
        print(cache.get("greeting"), "django" in sys.modules, "redis" in sys.modules)
        cache.close()
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env={
            "UPSTASH_REDIS_REST_URL": emulator.rest_url,
            "UPSTASH_REDIS_REST_TOKEN": emulator.token,
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.split() == ["hello", "False", "False"]


@pytest.mark.parametrize("transport", ["rest", "tcp"])
def test_a_near_cache_has_prefixes_of_full_keys(credentials, emulator, runner):
    near = {"near": {"query:": 60.0}, **credentials}
    client, aclient = UpstashCache(**near), AsyncUpstashCache(**near)
    client.set("query:a", "x")
    assert client.get("query:a") == "x"
    with emulator.count() as spent:
        assert client.get("query:a") == runner.run(aclient.get("query:a")) == "x"
    assert spent.billed == 0
    runner.run(aclient.set("query:a", "y"))
    assert client.get("query:a") == "y"
