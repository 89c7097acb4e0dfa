"""When a request is sent again, over which connection, and what is never sent twice."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import closing

import pytest

from continuum_upstash.errors import ConnectionFailed
from continuum_upstash.transports.rest import async_socket_client, socket_client
from tests.integration.rest.rest_clients import SyncClient
from tests.integration.scripted_server import http_response

GET = ("GET", "k")
INCR = ("INCR", "n")


@pytest.mark.parametrize("command", [GET, INCR])
def test_a_kept_connection_that_was_closed_is_replaced_without_an_error(serve, rest, command):
    closed = threading.Event()

    def once(peer):
        peer.read_request()
        peer.send(http_response())
        peer.sock.close()
        closed.set()

    server = serve(once)
    client = rest(server.url())
    for _ in range(3):
        assert client.send(command) == [b"OK"]
        assert closed.wait(10)
        closed.clear()
    assert (server.accepted, len(server.requests)) == (3, 3)


def test_any_batch_is_sent_again_when_the_write_itself_failed(serve, monkeypatch):
    gone = threading.Event()

    def reset(peer):
        peer.read_request()
        peer.send(http_response())
        if peer.number == 1:
            peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.sock.close()
            gone.set()

    server = serve(reset)
    with closing(SyncClient(server.url())) as client:
        client.send(("PING",))
        assert gone.wait(10)
        monkeypatch.setattr(socket_client.HttpConnection, "is_alive", lambda _: True)
        assert client.send(INCR) == [b"OK"]
    assert server.requests == [b'["PING"]', b'["INCR","n"]']


def test_a_connection_that_was_idle_for_too_long_is_not_used(serve, rest, monkeypatch):
    for module in (socket_client, async_socket_client):
        monkeypatch.setattr(module, "MAX_IDLE_SECONDS", 0.0)
    server = serve()
    client = rest(server.url())
    assert [client.send(INCR) for _ in range(3)] == [[b"OK"]] * 3
    assert server.accepted == 3


def close_on_the_second_request(peer):
    """Respond to one request, read another, and close: whether that one has run is unknown."""
    peer.read_request()
    peer.send(http_response())
    peer.read_request()


@pytest.mark.parametrize("commands", [[GET], [("SET", "k", b"v")], [GET, GET]])
def test_a_retryable_batch_is_sent_once_more_on_a_new_connection(serve, rest, commands):
    def behave(peer):
        if peer.number == 1:
            close_on_the_second_request(peer)
        elif peer.read_request() is not None:
            peer.send(
                http_response(b'[{"result":1},{"result":1}]' if len(commands) > 1 else b":1\r\n")
            )

    server = serve(behave)
    client = rest(server.url())
    client.send(("PING",))
    assert client.send(*commands) == [1] * len(commands)
    assert server.accepted == 2
    assert server.requests[1] == server.requests[2]


@pytest.mark.parametrize("commands", [[INCR], [("SET", "k", b"v", "NX")], [GET, INCR]])
def test_any_other_batch_is_sent_exactly_once(serve, rest, commands):
    server = serve(close_on_the_second_request)
    client = rest(server.url())
    client.send(("PING",))
    with pytest.raises(ConnectionFailed, match="before the reply") as caught:
        client.send(*commands)
    assert not caught.value.unsent
    assert len(server.requests) == 2


def test_a_retry_that_fails_is_not_retried(serve, rest):
    def behave(peer):
        if peer.number == 1:
            close_on_the_second_request(peer)
        else:
            peer.read_request()

    server = serve(behave)
    client = rest(server.url())
    client.send(("PING",))
    with pytest.raises(ConnectionFailed):
        client.send(GET)
    assert len(server.requests) == 3


def test_a_failure_of_a_new_connection_is_not_retried(serve, rest):
    server = serve(lambda peer: peer.read_request())
    with pytest.raises(ConnectionFailed):
        rest(server.url()).send(GET)
    assert len(server.requests) == 1
