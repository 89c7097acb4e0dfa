"""Commands and replies over TCP, on a real server."""

from __future__ import annotations

import random

import pytest
from redis import CredentialProvider

from continuum_upstash.cache.redis_pool import make_django_pool
from continuum_upstash.config.hashable import to_hashable
from continuum_upstash.errors import (
    AuthenticationFailed,
    CapacityExceeded,
    ConnectionFailed,
    NotPermitted,
    NotSerializable,
    ReplyError,
)
from continuum_upstash.protocol import Script

SECRET = "p@ss:w/rd#?%25 ü"  # every character that has a meaning in a URL
ENCODED = "p%40ss%3Aw%2Frd%23%3F%2525%20%C3%BC"
SCRIPT = Script("return {ARGV[1], redis.call('INCRBY', KEYS[1], 2)}", lambda *_: None)


def test_replies_are_bytes_numbers_lists_and_none(valkey, tcp):
    client = tcp(valkey.url)
    assert client.send(("SET", "k", b"\xff\x00")) == [b"OK"]
    assert client.send(("GET", "k"), ("GET", "none"), ("INCRBY", "n", -7), ("MGET", "n", "x")) == [
        b"\xff\x00",
        None,
        -7,
        [b"-7", None],
    ]


def test_ten_thousand_random_values_come_back_identical(valkey, tcp):
    client = tcp(valkey.url)
    rng = random.Random(7)
    values = [rng.randbytes(rng.randrange(300)) for _ in range(10_000)]
    for start in range(0, len(values), 500):
        chunk = list(enumerate(values[start : start + 500]))
        assert set(client.send(*[("SET", f"k{i}", value) for i, value in chunk])) == {b"OK"}
        assert client.send(*[("GET", f"k{i}") for i, _ in chunk]) == [value for _, value in chunk]


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 5_000_000])
def test_a_value_of_any_size_comes_back_identical(valkey, tcp, size):
    client = tcp(valkey.url)
    value = random.Random(size).randbytes(size)
    assert client.send(("SET", "k", value), ("GET", "k")) == [b"OK", value]


def test_the_error_of_one_command_is_in_its_place(valkey, tcp):
    client = tcp(valkey.url)
    ok, wrong_type, number = client.send(("SET", "k", b"x"), ("LPUSH", "k", b"y"), ("INCR", "n"))
    assert (ok, number) == (b"OK", 1)
    assert isinstance(wrong_type, ReplyError)
    assert wrong_type.code == "WRONGTYPE"


def test_an_error_inside_a_list_is_in_its_place(valkey, tcp):
    client = tcp(valkey.url)
    client.send(("SET", "k", b"x"))
    (replies,) = client.send(("EVAL", Script("return {1, redis.error_reply('MY no')}", None), 0))
    assert replies[0] == 1
    assert replies[1].code == "MY"


def test_the_error_of_a_full_database_is_in_the_place_of_the_write(valkey, tcp):
    client = tcp(valkey.url)
    valkey.call("CONFIG", "SET", "maxmemory", "1")
    try:
        nothing, full = client.send(("GET", "k"), ("SET", "k", b"x"))
    finally:
        valkey.call("CONFIG", "SET", "maxmemory", "0")
    assert nothing is None
    assert isinstance(full, CapacityExceeded)


def test_a_transaction_returns_the_replies_of_its_commands_alone(valkey, tcp):
    client = tcp(valkey.url)
    replies = client.send(("SET", "k", b"x"), ("LPUSH", "k", b"y"), ("INCR", "n"), atomic=True)
    assert replies[0] == b"OK"
    assert replies[1].code == "WRONGTYPE"
    assert replies[2] == 1
    assert valkey.count_calls()["exec"] == 1


def test_a_discarded_transaction_raises_the_error_that_caused_it(valkey, tcp):
    client = tcp(valkey.url)
    with pytest.raises(ReplyError, match="wrong number of arguments for 'get'") as caught:
        client.send(("SET", "k", b"x"), ("GET",), atomic=True)
    assert caught.value.code == "ERR"
    assert client.send(("EXISTS", "k")) == [0]


def test_a_script_is_sent_to_plain_redis_without_upstashs_flag(valkey, tcp):
    client = tcp(valkey.url)
    assert client.send(("EVAL", SCRIPT, 1, "n", b"\xff")) == [[b"\xff", 2]]


def test_a_missing_script_is_an_error_in_its_place(valkey, tcp):
    (error,) = tcp(valkey.url).send(("EVALSHA", "0" * 40, 0))
    assert error.code == "NOSCRIPT"


def test_a_key_with_a_lone_surrogate_is_rejected_before_anything_is_sent(proxy, tcp):
    client = tcp(proxy.url)
    with pytest.raises(NotSerializable, match="lone surrogate") as caught:
        client.send(("SET", "k", b"x"), ("GET", "secret\udc80"))
    assert "secret" not in str(caught.value)
    assert (proxy.accepted, proxy.received) == (0, b"")


@pytest.mark.parametrize("size", [2**20 + 1, 20_000_000])
def test_an_argument_over_the_servers_limit_is_an_error_in_its_place(valkey, tcp, size):
    client = tcp(valkey.url)
    valkey.call("CONFIG", "SET", "proto-max-bulk-len", 2**20)
    (error,) = client.send(("SET", "k", b"x" * size))
    assert isinstance(error, ReplyError)
    assert "invalid bulk length" in str(error)
    assert client.send(("SET", "k", b"x" * 2**20)) == [b"OK"]


def test_a_new_connection_sends_only_its_password(valkey, tcp):
    valkey.call("CONFIG", "SET", "requirepass", SECRET)
    assert tcp(f"redis://:{ENCODED}@127.0.0.1:{valkey.port}").send(("GET", "k")) == [None]
    assert valkey.count_calls() == {"auth": 1, "get": 1}


def test_a_new_connection_without_a_password_sends_nothing_at_all(valkey, tcp):
    tcp(valkey.url).send(("GET", "k"))
    assert valkey.count_calls() == {"get": 1}


def test_the_user_of_the_url_is_authenticated(valkey, tcp):
    valkey.call("ACL", "SETUSER", "zoë:1", "reset", "on", f">{SECRET}", "~*", "+@all", "-incr")
    client = tcp(f"redis://zo%C3%AB%3A1:{ENCODED}@127.0.0.1:{valkey.port}")
    name, refused = client.send(("ACL", "WHOAMI"), ("INCR", "n"))
    assert name == "zoë:1".encode()
    assert isinstance(refused, NotPermitted)


class Provider(CredentialProvider):
    """Returns rotating credentials."""

    def get_credentials(self):
        return "default", SECRET

    async def get_credentials_async(self):
        return self.get_credentials()


def test_a_client_name_and_a_credential_provider_may_be_given_as_options(valkey, tcp):
    valkey.call("CONFIG", "SET", "requirepass", SECRET)
    options = {"credential_provider": Provider(), "client_name": "me", "db": 2}
    redis_options = to_hashable({"CONNECTION_POOL_KWARGS": options})
    client = tcp(valkey.url, make_pool=make_django_pool, redis_options=redis_options)
    (described,) = client.send(("CLIENT", "INFO"))
    assert b" name=me " in described
    assert b" db=2 " in described


@pytest.mark.parametrize("url", ["redis://:wrong@{}", "redis://default:wrong@{}"])
def test_a_wrong_password_is_named_without_being_shown(valkey, tcp, url):
    valkey.call("CONFIG", "SET", "requirepass", SECRET)
    client = tcp(url.format(f"127.0.0.1:{valkey.port}"))
    with pytest.raises(AuthenticationFailed, match=r"WRONGPASS.*Copy.*\(cache 'default'") as caught:
        client.send(("GET", "k"))
    assert caught.value.code == "WRONGPASS"
    assert "wrong@" not in str(caught.value)


def test_a_missing_password_is_an_error_of_the_whole_batch(valkey, tcp):
    valkey.call("CONFIG", "SET", "requirepass", SECRET)
    client = tcp(valkey.url)
    with pytest.raises(AuthenticationFailed, match="NOAUTH"):
        client.send(("GET", "k"), ("INCR", "n"))
    with pytest.raises(AuthenticationFailed, match="NOAUTH"):
        client.send(("GET", "k"), ("INCR", "n"), atomic=True)


def test_the_database_of_the_url_is_selected(valkey, tcp):
    tcp(valkey.url + "/3").send(("SET", "k", b"in three"))
    assert tcp(valkey.url).send(("GET", "k")) == [None]
    assert tcp(valkey.url + "?db=3").send(("GET", "k")) == [b"in three"]


def test_a_database_index_out_of_range_is_an_error_of_the_connection(valkey, tcp):
    with pytest.raises(ReplyError, match="DB index is out of range"):
        tcp(valkey.url + "/99").send(("GET", "k"))


def test_a_unix_socket_works(valkey, tcp):
    assert tcp(f"unix://{valkey.socket_path}?db=1").send(("SET", "k", b"x")) == [b"OK"]
    assert valkey.count_calls() == {"select": 1, "set": 1}


def test_a_server_with_too_many_clients_is_unavailable(valkey, tcp):
    valkey.call("CONFIG", "SET", "maxclients", "1")
    with pytest.raises(ConnectionFailed, match="default"):
        tcp(valkey.url).send(("INCR", "n"))
