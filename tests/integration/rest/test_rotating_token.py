"""A token that may change is read before each request, and once more when it is rejected."""

from __future__ import annotations

import re

import pytest

from continuum_upstash.config.secrets import Secret, SecretFile
from continuum_upstash.errors import AuthenticationFailed, ConfigurationError, Unavailable
from continuum_upstash.transports.failover.circuit_breaker import REFUSED_OPEN_SECONDS
from tests.integration.scripted_server import OK, http_response

GET = ("GET", "k")
INCR = ("INCR", "n")


@pytest.fixture(params=["sockets", "httpx"])
def server(request, serve, monkeypatch):
    """A server that accepts the token "good"; httpx sends requests to it as to a proxy."""
    for name in ("http_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)

    def check_token(peer):
        while peer.read_request() is not None:
            if b"Bearer good\r\n" in peer.server.heads[-1] + b"\r\n":
                peer.send(http_response(OK))
            else:
                body = b'{"error":"WRONGPASS invalid or missing auth token"}'
                peer.send(http_response(body, status="401 Unauthorized"))

    server = serve(check_token)
    if request.param == "httpx":
        monkeypatch.setenv("HTTP_PROXY", server.url())
    return server


def list_sent_tokens(server):
    return [re.search(rb"Bearer (\S+)", head)[1].decode() for head in server.heads]


def test_each_request_has_the_current_token(server, rest):
    tokens = iter(["good", " good\n", "old", "good"])
    client = rest(server.url(), token=Secret(lambda: next(tokens)))
    assert [client.send(GET) for _ in range(3)] == [[b"OK"]] * 3
    assert list_sent_tokens(server) == ["good", "good", "old", "good"]


class KeptToken:
    """A callable that keeps the token until a server rejects it."""

    token = "old"

    def __call__(self):
        return self.token

    def renew(self):
        self.token = "good"
        return self.token


def test_a_rejected_token_is_renewed_by_the_method_of_the_callable(server, rest):
    client = rest(server.url(), token=Secret(KeptToken()))
    assert [client.send(GET) for _ in range(2)] == [[b"OK"]] * 2
    assert list_sent_tokens(server) == ["old", "good", "good"]


@pytest.mark.parametrize("commands", [[GET], [INCR], [INCR, GET]])
def test_a_rejected_token_is_read_again_at_once(server, rest, commands):
    tokens = iter(["old", "old", "new", "newer"])
    client = rest(server.url(), token=Secret(lambda: next(tokens)))
    for _ in range(2):
        with pytest.raises(AuthenticationFailed, match="WRONGPASS"):
            client.send(*commands)
    # The same token is not sent again.
    assert list_sent_tokens(server) == ["old", "new", "newer"]


def test_a_coroutine_function_is_awaited_or_refused(server, rest):
    async def fetch_token():
        return "good"

    client = rest(server.url(), token=Secret(fetch_token))
    if type(client).__name__ == "AsyncClient":
        assert client.send(GET) == [b"OK"]
    else:
        with pytest.raises(ConfigurationError, match="TOKEN is a coroutine function"):
            client.send(GET)


def test_a_callable_that_fails_sends_nothing(server, rest):
    with pytest.raises(Unavailable, match="the callable TOKEN raised ZeroDivisionError"):
        rest(server.url(), token=Secret(lambda: 1 // 0)).send(GET)
    with pytest.raises(ConfigurationError, match="TOKEN must be a string, not NoneType"):
        rest(server.url(), token=Secret(lambda: None)).send(GET)
    assert server.heads == []


def test_a_token_file_is_read_again_when_it_changes(server, rest, tmp_path):
    file = tmp_path / "token"
    file.write_text("old\n")
    client = rest(server.url(), token=Secret(SecretFile(str(file), "UPSTASH_TOKEN_FILE")))
    with pytest.raises(AuthenticationFailed):
        client.send(GET)
    file.write_text("good\n")
    assert client.send(GET) == [b"OK"]


def test_a_rejected_token_that_may_change_is_tried_again_as_after_an_outage(make_cache, emulator):
    token = ["old"]
    cache = make_cache("rest", OPTIONS={"TOKEN": lambda: token[0]})
    for _ in range(3):
        assert cache.get("k") is None
    status = cache.status
    assert status.state == "open"
    assert status.next_probe - status.since < REFUSED_OPEN_SECONDS / 10
    token[0] = emulator.token
    cache.database.failover.breaker.allow_probe_now()
    cache.set("k", 1)
    assert (cache.get("k"), cache.status.state) == (1, "closed")


def test_a_callable_that_fails_opens_the_breaker(make_cache):
    cache = make_cache("rest", OPTIONS={"TOKEN": lambda: 1 // 0})
    cache.set("k", 1)
    assert [cache.get("k") for _ in range(3)] == [1] * 3
    assert cache.status.state == "open"
    assert "the callable TOKEN raised ZeroDivisionError" in cache.status.reason
