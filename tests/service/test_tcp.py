"""TCP: the Redis protocol.

Without UPSTASH_REDIS_URL, the suite connects to the host of the REST API with the token as the
password.
"""

from __future__ import annotations

import time
from urllib.parse import quote, urlsplit, urlunsplit

import pytest

from tests.service.catalogue import OVER_TCP, UPSTASH, assume
from tests.service.expectations import error
from tests.service.resp2 import Status
from tests.service.rest_client import read_entry

NOT_UTF8 = b"\xff\x00\r\n\xfe"


def replace_credentials(url: str, credentials: str) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{credentials}@{host}"))


@assume(
    "TCP-001",
    documented="redis/troubleshooting/no_auth",
    affects="MODE redis with REST credentials only: AuthenticationFailed.",
    commands=0,
    profiles=UPSTASH,
)
def test_the_token_is_the_password(connect, target):
    """The REST token is the password of the user `default` over TCP."""
    if not target.token:
        pytest.skip("no REST token")
    url = replace_credentials(target.redis_url, f"default:{quote(target.token, safe='')}")
    assert connect(url).authenticate() == Status("OK")


@assume(
    "TCP-002",
    documented="redis/commands/connection/auth",
    affects="Every connection: AuthenticationFailed.",
    commands=0,
    profiles=OVER_TCP,
)
def test_auth_with_and_without_a_user(connect):
    """AUTH takes a user and a password, or a password alone."""
    connection = connect()
    assert connection.call("AUTH", "default", connection.password) == Status("OK")
    assert connection.call("AUTH", connection.password) == Status("OK")


@assume(
    "TCP-003",
    documented="redis/troubleshooting/readonly_connection",
    affects="A wrong password is reported as an outage instead of AuthenticationFailed.",
    commands=0,
    profiles=OVER_TCP,
)
def test_a_wrong_password(connect):
    """AUTH with a wrong password returns an error that begins with WRONGPASS."""
    assert connect().call("AUTH", "default", "wrong") == error("WRONGPASS")


@assume(
    "TCP-004",
    documented="redis/troubleshooting/no_auth",
    affects="A missing password is reported as ReplyError instead of AuthenticationFailed.",
    commands=1,
    profiles=OVER_TCP,
)
def test_no_password(connect, key):
    """A command before AUTH returns an error that begins with NOAUTH."""
    assert connect().call("GET", key) == error("NOAUTH")


@assume(
    "TCP-005",
    documented="redis/howto/connect-client",
    affects="rediss:// URLs fail: ConnectionFailed, unless CA_FILE is set.",
    commands=0,
    profiles=OVER_TCP,
)
def test_the_certificate_is_valid(tcp, target):
    """The certificate of TCP is issued by an authority that the system trusts."""
    if not target.redis_url.startswith("rediss:"):
        pytest.skip("this URL is not rediss://")
    assert tcp.call("PING") == "PONG"


@assume(
    "TCP-006",
    documented="redis/commands/connection/hello",
    affects="Every command over TCP: replies cannot be read.",
    commands=2,
    profiles=OVER_TCP,
)
def test_resp2_without_hello(tcp, key):
    """A connection speaks RESP2 without HELLO: a map is an array, nil is `$-1`."""
    assert tcp.call("HSET", key, "a", "1") == 1
    assert tcp.call("HGETALL", key) == [b"a", b"1"]


@assume(
    "TCP-007",
    unproven="no page mentions pipelines over TCP; every client sends them",
    affects="Pipelines over TCP, and coalesced async commands.",
    commands=4,
    profiles=OVER_TCP,
)
def test_commands_in_one_write(tcp, key):
    """The replies to the commands of one write come in order, errors in their place."""
    replies = tcp.call_many(
        ("SET", key, "1", "PX", "60000"), ("GET", key, "surplus"), ("INCR", key), ("GET", key)
    )
    assert replies == ["OK", error("ERR wrong number"), 2, b"2"]


@assume(
    "TCP-008",
    documented="redis/commands/transactions/multi",
    affects="Atomic pipelines over TCP, and sessions after a change of SECRET_KEY.",
    commands=5,
    profiles=OVER_TCP,
)
def test_a_transaction_in_one_write(tcp, key):
    """MULTI, commands and EXEC in one write return OK, QUEUED and an array."""
    replies = tcp.call_many(
        ("MULTI",), ("SET", key, "a", "PX", "60000"), ("INCR", key), ("GET", key), ("EXEC",)
    )
    assert replies == ["OK", *["QUEUED"] * 3, ["OK", error("ERR value is not an int"), b"a"]]


@assume(
    "TCP-009",
    unproven="the text is that of Redis; no page shows it",
    affects="A discarded transaction is read as an outage instead of ReplyError.",
    commands=6,
    profiles=OVER_TCP,
)
def test_a_discarded_transaction(tcp, key):
    """A transaction with a wrong command returns an error to EXEC, EXECABORT, and runs nothing."""
    *_, last = tcp.call_many(
        ("MULTI",), ("SET", key, "a", "PX", "60000"), ("NOSUCHCOMMAND",), ("EXEC",)
    )
    assert last == error("EXECABORT")
    assert tcp.call("EXISTS", key) == 0


@assume(
    "TCP-010",
    documented="redis/features/restapi",
    affects="A site that uses both transports reads other bytes over one than over the other.",
    commands=22,
    profiles=UPSTASH,
)
def test_bytes_are_the_same_over_rest(rest, tcp, key):
    """A raw body that was stored over REST is read over TCP byte for byte."""
    path = f"/SET/{quote(key, safe='')}?PX=60000"
    assert read_entry(rest.send("POST", path, NOT_UTF8).json) == "OK"
    for _ in range(20):  # another replica may serve this connection
        if (value := tcp.call("GET", key)) is not None:
            break
        time.sleep(0.1)
    assert value == NOT_UTF8


@assume(
    "TCP-011",
    documented="redis/troubleshooting/readonly_connection",
    affects="The hint for a read-only password that is refused.",
    commands=0,
    profiles=UPSTASH,
)
def test_the_read_only_user(connect, target):
    """The read-only token is the password of the user `default_ro` over TCP."""
    if not target.read_only_token:
        pytest.skip("set UPSTASH_REDIS_REST_READ_ONLY_TOKEN")
    password = quote(target.read_only_token, safe="")
    connection = connect(replace_credentials(target.redis_url, f"default_ro:{password}"))
    assert connection.authenticate() == Status("OK")


@assume(
    "TCP-012",
    seen_in="environment files of Vercel projects (KV_URL and KV_REST_API_URL)",
    affects="MODE redis with REST credentials only: ConnectionFailed.",
    commands=0,
    profiles=UPSTASH,
)
def test_the_address_is_that_of_the_rest_api(connect, target):
    """TCP is served at the host of the REST URL, on port 6379 with TLS."""
    if not target.is_real or not target.rest_host.endswith(".upstash.io"):
        pytest.skip("this is not a database at upstash.io")
    connection = connect(f"rediss://default:{quote(target.token, safe='')}@{target.rest_host}:6379")
    assert connection.authenticate() == Status("OK")
