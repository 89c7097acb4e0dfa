"""Passwords that change: from a callable, a token file, or a file with the URL."""

from __future__ import annotations

import asyncio
import os

import pytest
from redis import CredentialProvider

from continuum_upstash import AsyncUpstashCache, UpstashCache
from continuum_upstash.cache.redis_pool import make_django_pool
from continuum_upstash.config.hashable import to_hashable
from continuum_upstash.config.secrets import Secret, SecretFile
from continuum_upstash.errors import AuthenticationFailed, ConfigurationError, Unavailable
from continuum_upstash.transports import registry
from continuum_upstash.transports.redis.transport import make_plain_pool

GET = ("GET", "k")


@pytest.fixture(params=[make_plain_pool, make_django_pool], ids=["plain", "django"])
def connect(request, valkey, tcp):
    """Connect to a server with a password; the argument returns the password."""
    valkey.call("CONFIG", "SET", "requirepass", "g/o@d")

    def make(token, url=valkey.url):
        return tcp(url, make_pool=request.param, token=Secret(token))

    return make


@pytest.fixture(autouse=True)
def _reset():
    yield
    registry.reset()


def test_the_token_is_read_for_each_new_connection(connect, valkey):
    calls = []
    client = connect(lambda: calls.append(1) or " g/o@d\n")
    assert [client.send(GET) for _ in range(3)] == [[None]] * 3
    assert len(calls) == 1
    client.close_connections()
    assert client.send(("ACL", "WHOAMI")) == [b"default"]
    assert len(calls) == 2


def test_the_user_name_of_the_url_is_used(connect, valkey):
    valkey.call("ACL", "SETUSER", "me:1", "on", ">g/o@d", "+@all", "~*")
    client = connect(lambda: "g/o@d", f"redis://me%3A1@127.0.0.1:{valkey.port}")
    assert client.send(("ACL", "WHOAMI")) == [b"me:1"]
    valkey.call("ACL", "DELUSER", "me:1")


def test_a_rejected_token_is_read_again_at_once(connect, valkey):
    tokens = iter(["old", "g/o@d"])
    assert connect(lambda: next(tokens)).send(GET) == [None]


@pytest.mark.parametrize(("results", "calls"), [(["old"] * 3, 2), (["old", "older", "new"], 2)])
def test_a_token_that_stays_wrong_is_an_error(connect, valkey, results, calls):
    tokens = iter(results)
    client = connect(lambda: next(tokens))
    with pytest.raises(AuthenticationFailed, match="WRONGPASS"):
        client.send(GET)
    assert len([*tokens]) == len(results) - calls


def test_a_callable_that_fails_is_an_outage(connect, valkey):
    with pytest.raises(Unavailable, match="the callable TOKEN raised ZeroDivisionError"):
        connect(lambda: 1 // 0).send(GET)
    with pytest.raises(ConfigurationError, match="TOKEN must be a string, not bytes"):
        connect(lambda: b"g/o@d").send(GET)
    assert valkey.count_connections() == 0


def test_a_coroutine_function_is_awaited_or_refused(connect):
    async def fetch_token():
        return "g/o@d"

    client = connect(fetch_token)
    if type(client).__name__ == "AsyncClient":
        assert client.send(GET) == [None]
    else:
        with pytest.raises(ConfigurationError, match="TOKEN is a coroutine function"):
            client.send(GET)


def test_a_token_file_is_read_again_when_it_changes(connect, tmp_path):
    file = tmp_path / "token"
    file.write_text("old\n")
    client = connect(SecretFile(str(file), "KV_REST_API_TOKEN_FILE"))
    with pytest.raises(AuthenticationFailed):
        client.send(GET)
    file.write_text("g/o@d\n")
    assert client.send(GET) == [None]


class Rotated(CredentialProvider):
    """A user's own provider, whose first password is an old one."""

    def __init__(self):
        self.passwords = iter([("default", "old"), ["g/o@d"]])

    def get_credentials(self):
        return next(self.passwords)

    async def get_credentials_async(self):
        return self.get_credentials()


def test_a_users_own_provider_is_called_again_too(valkey, tcp):
    valkey.call("CONFIG", "SET", "requirepass", "g/o@d")
    redis_options = to_hashable({"CONNECTION_POOL_KWARGS": {"credential_provider": Rotated()}})
    client = tcp(valkey.url, make_pool=make_django_pool, redis_options=redis_options)
    assert client.send(GET) == [None]


def test_a_file_with_the_url_is_followed(valkey, tmp_path, monkeypatch):
    file = tmp_path / "url"
    monkeypatch.setenv("UPSTASH_REDIS_URL_FILE", str(file))
    for name in ("UPSTASH_REDIS_REST_URL", "UPSTASH_REDIS_REST_TOKEN", "UPSTASH_REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    urls = [f"redis://:g%2Fo%40d@127.0.0.1:{valkey.port}/{index}" for index in range(3)]

    def set_url(index):
        file.write_text(f"{urls[index]}\n")
        os.utime(file, ns=(index, index))

    valkey.call("CONFIG", "SET", "requirepass", "g/o@d")
    set_url(0)
    with UpstashCache(fallback=False) as client:
        assert client.current_backend.value == "upstash-redis"
        for index in range(3):
            set_url(index)
            client.set("k", index)
            assert client.get("k") == index
        assert valkey.count_connections() == 1

    async def write_and_read():
        async with AsyncUpstashCache(fallback=False) as client:
            found = []
            for index in (1, 2, 0):
                set_url(index)
                found += await asyncio.gather(client.get("k"), client.get("k"))
            return found

    assert asyncio.run(write_and_read()) == [1, 1, 2, 2, 0, 0]
    assert valkey.count_connections() == 0


def test_commands_that_are_on_their_way_when_the_url_changes_get_their_replies(
    valkey, tmp_path, monkeypatch
):
    file = tmp_path / "url"
    monkeypatch.setenv("UPSTASH_REDIS_URL_FILE", str(file))
    file.write_text(valkey.url)

    async def main():
        async with AsyncUpstashCache(fallback=False, mode="redis") as client:
            await client.set("k", 1)
            blocked = asyncio.create_task(client.redis.execute(["BLPOP", "none", 0.2]))
            await asyncio.sleep(0)
            file.write_text(f"{valkey.url}/1")
            assert await client.get("k") is None
            assert not blocked.done()
            return await blocked

    assert asyncio.run(main()) is None


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_unix_socket(valkey, asynchronous):
    url = f"unix://{valkey.socket_path}?db=1"

    async def main():
        async with AsyncUpstashCache(redis_url=url, fallback=False) as client:
            await client.set("k", 1)
            return await client.get("k"), repr(client)

    if asynchronous:
        found = asyncio.run(main())
    else:
        with UpstashCache(redis_url=url, fallback=False) as client:
            client.set("k", 1)
            found = client.get("k"), repr(client)
    assert found[0] == 1
    assert f"(redis, {valkey.socket_path})" in found[1]
    assert valkey.call("EXISTS", "k") == 0
