"""When a request is sent again, on which connection, and what is never sent twice."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import closing

import pytest

from continuum_upstash.errors import ConnectionFailed
from continuum_upstash.transports.rest import async_connection_pool, connection_pool
from tests.integration.rest.rest_clients import SyncClient
from tests.integration.rest.scripted_server import answer

GET = ("GET", "k")
INCR = ("INCR", "n")


@pytest.mark.parametrize("command", [GET, INCR])
def test_a_kept_connection_that_has_closed_meanwhile_is_replaced_unnoticed(serve, rest, command):
    closed = threading.Event()

    def once(peer):
        peer.request()
        peer.send(answer())
        peer.sock.close()
        closed.set()

    server = serve(once)
    client = rest(server.url())
    for _ in range(3):
        assert client.send(command) == [b"OK"]
        assert closed.wait(10)
        closed.clear()
    assert (server.accepted, len(server.requests)) == (3, 3)


def test_a_write_that_the_system_refuses_is_repeated_whatever_it_is(serve, monkeypatch):
    gone = threading.Event()

    def reset(peer):
        peer.request()
        peer.send(answer())
        if peer.number == 1:
            peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.sock.close()
            gone.set()

    server = serve(reset)
    with closing(SyncClient(server.url())) as client:
        client.send(("PING",))
        assert gone.wait(10)
        monkeypatch.setattr(connection_pool.HttpConnection, "is_alive", lambda _: True)
        assert client.send(INCR) == [b"OK"]
    assert server.requests == [b'["PING"]', b'["INCR","n"]']


def test_a_connection_that_was_idle_for_long_is_not_trusted(serve, rest, monkeypatch):
    for module in (connection_pool, async_connection_pool):
        monkeypatch.setattr(module, "MAX_IDLE_SECONDS", 0.0)
    server = serve()
    client = rest(server.url())
    assert [client.send(INCR) for _ in range(3)] == [[b"OK"]] * 3
    assert server.accepted == 3


def hang_up_on_the_second(peer):
    """Respond to one request, read another, and close: nobody can tell whether that one has run."""
    peer.request()
    peer.send(answer())
    peer.request()


@pytest.mark.parametrize("commands", [[GET], [("SET", "k", b"v")], [GET, GET]])
def test_what_is_safe_to_repeat_is_repeated_once_on_a_new_connection(serve, rest, commands):
    def behave(peer):
        if peer.number == 1:
            hang_up_on_the_second(peer)
        elif peer.request() is not None:
            peer.send(answer(b'[{"result":1},{"result":1}]' if len(commands) > 1 else b":1\r\n"))

    server = serve(behave)
    client = rest(server.url())
    client.send(("PING",))
    assert client.send(*commands) == [1] * len(commands)
    assert server.accepted == 2
    assert server.requests[1] == server.requests[2]


@pytest.mark.parametrize("commands", [[INCR], [("SET", "k", b"v", "NX")], [GET, INCR]])
def test_what_is_not_safe_to_repeat_is_sent_exactly_once(serve, rest, commands):
    server = serve(hang_up_on_the_second)
    client = rest(server.url())
    client.send(("PING",))
    with pytest.raises(ConnectionFailed, match="before the reply") as caught:
        client.send(*commands)
    assert not caught.value.unsent
    assert len(server.requests) == 2


def test_a_repeated_request_that_fails_again_is_given_up(serve, rest):
    def behave(peer):
        if peer.number == 1:
            hang_up_on_the_second(peer)
        else:
            peer.request()

    server = serve(behave)
    client = rest(server.url())
    client.send(("PING",))
    with pytest.raises(ConnectionFailed):
        client.send(GET)
    assert len(server.requests) == 3


def test_nothing_is_repeated_when_a_new_connection_fails(serve, rest):
    server = serve(lambda peer: peer.request())
    with pytest.raises(ConnectionFailed):
        rest(server.url()).send(GET)
    assert len(server.requests) == 1
