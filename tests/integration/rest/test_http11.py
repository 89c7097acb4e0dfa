"""The REST transport and servers that misbehave, over real sockets."""

from __future__ import annotations

import gzip
import socket

import pytest

from continuum_upstash.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    DeadlineExceeded,
    RequestTooLarge,
    Unavailable,
)
from tests.integration.scripted_server import OK, http_response, respond_ok

GET = ("GET", "k")
INCR = ("INCR", "n")


def test_a_hundred_requests_share_one_connection(serve, rest):
    server = serve()
    client = rest(server.url())
    for _ in range(100):
        assert client.send(GET) == [b"OK"]
    assert (server.accepted, len(server.requests)) == (1, 100)


def test_a_chunked_response_is_read_and_the_connection_is_kept(serve, rest):
    def chunked(peer):
        while peer.read_request() is not None:
            peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n$3")
            peer.send(b"\r\n7\r\n\r\nabc\r\n\r\n0\r\n\r\n")

    server = serve(chunked)
    client = rest(server.url())
    assert [client.send(GET) for _ in range(3)] == [[b"abc"]] * 3
    assert server.accepted == 1


def test_a_large_value_is_sent_and_received_completely(serve, rest):
    value = bytes(range(256)) * 40_000

    def echo(peer):
        while (body := peer.read_request()) is not None:
            peer.send(http_response(b"$%d\r\n%b\r\n" % (len(body), body)))

    client = rest(serve(echo).url())
    assert client.send(("SET", "k", value)) == [value]


@pytest.mark.parametrize(
    "last",
    [
        http_response(OK, "Connection: close"),
        b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n" + OK,
        http_response(OK) + b"surplus",
        http_response(OK) + http_response(OK),
    ],
    ids=["connection-close", "http-1.0", "surplus-bytes", "surplus-response"],
)
def test_a_connection_that_should_end_is_not_used_again(serve, rest, last):
    def behave(peer):
        while peer.read_request() is not None:
            peer.send(last)

    server = serve(behave)
    client = rest(server.url())
    assert [client.send(GET) for _ in range(3)] == [[b"OK"]] * 3
    assert server.accepted == 3
    server.wait_until_all_closed()


def test_a_response_may_end_with_its_connection(serve, rest):
    def behave(peer):
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\n" + OK)

    server = serve(behave)
    client = rest(server.url())
    assert [client.send(GET) for _ in range(2)] == [[b"OK"]] * 2


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_an_incomplete_response_is_a_failure(serve, rest, cut):
    whole = http_response(b"$20\r\n" + b"x" * 20 + b"\r\n")

    def behave(peer):
        peer.read_request()
        peer.send(whole[:cut])

    with pytest.raises(ConnectionFailed, match=r"127\.0\.0\.1:\d+\): the connection was closed"):
        rest(serve(behave).url()).send(INCR)


def test_a_server_that_never_responds_exceeds_the_deadline(serve, rest):
    def behave(peer):
        peer.read_request()
        if peer.number == 1:
            peer.wait_until_closed()
        else:
            peer.send(http_response())

    server = serve(behave)
    client = rest(server.url(), read_timeout=0.2)
    with pytest.raises(DeadlineExceeded, match=r"READ_TIMEOUT \(0\.2 s\)"):
        client.send(GET)
    assert client.send(GET) == [b"OK"]
    assert server.accepted == 2


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"])
def test_slow_partial_replies_do_not_extend_the_deadline(serve, rest, head):
    def send_slowly(peer):
        peer.read_request()
        peer.send(head or b"HTTP/1.1 200 OK\r\nX: ")
        while not peer.server.stopping.wait(0.01):
            peer.send(b"x")

    server = serve(send_slowly)
    with pytest.raises(DeadlineExceeded):
        rest(server.url(), read_timeout=0.3).send(GET)
    server.wait_until_all_closed()


def test_a_server_that_does_not_read_exceeds_the_deadline(serve, rest):
    server = serve(lambda peer: peer.server.stopping.wait())
    with pytest.raises(DeadlineExceeded):
        rest(server.url(), read_timeout=0.3).send(("SET", "k", b"\x80" * 30_000_000))


def test_the_response_of_a_server_that_rejects_a_large_request_unread_is_read(serve, rest):
    error = b'{"error":"ERR max request size exceeded. Limit: 1 bytes, Actual: 2 bytes"}'

    def refuse(peer):
        peer.read_head()
        peer.send(http_response(error, "Connection: close", status="413 Request Entity Too Large"))

    (reply,) = rest(serve(refuse).url()).send(("SET", "k", b"\x80" * 30_000_000))
    assert isinstance(reply, RequestTooLarge)


@pytest.mark.parametrize(
    "garbage", [b"garbage\r\n\r\n", b"\x15\x03\x01\x00\x02\x02\x46", b"\x00" * 99]
)
def test_the_connection_is_closed_after_a_response_that_is_not_http(serve, rest, garbage):
    def behave(peer):
        peer.read_request()
        peer.send(garbage)
        peer.wait_until_closed()

    server = serve(behave)
    with pytest.raises(ConnectionFailed, match=r"not HTTP/1\.1"):
        rest(server.url()).send(INCR)
    server.wait_until_all_closed()


def test_a_proxys_error_page_is_unavailable_and_the_connection_is_kept(serve, rest):
    def behave(peer):
        peer.read_request()
        peer.send(http_response(b"<html>", "Content-Type: text/html", status="502 Bad Gateway"))
        respond_ok(peer)

    server = serve(behave)
    client = rest(server.url())
    with pytest.raises(Unavailable, match="HTTP 502"):
        client.send(GET)
    assert client.send(GET) == [b"OK"]
    assert server.accepted == 1


def test_identity_is_requested_and_a_compressed_response_is_read(serve, rest):
    def behave(peer):
        while peer.read_request() is not None:
            body = gzip.compress(b"$5\r\nvalue\r\n")
            peer.send(http_response(body, "Content-Encoding: gzip"))

    server = serve(behave)
    client = rest(server.url())
    assert [client.send(GET) for _ in range(2)] == [[b"value"]] * 2
    assert b"\r\nAccept-Encoding: identity\r\n" in server.heads[0]
    assert server.accepted == 1


def test_a_redirect_is_not_followed(serve, rest):
    other = serve()

    def behave(peer):
        peer.read_request()
        peer.send(http_response(b"", f"Location: {other.url()}/", status="307 Temporary Redirect"))

    with pytest.raises(Unavailable, match=r"HTTP 307 redirects to 127\.0\.0\.1"):
        rest(serve(behave).url()).send(GET)
    assert other.accepted == 0


def test_a_rejected_token_is_reported_without_showing_it(serve, rest):
    def behave(peer):
        peer.read_request()
        peer.send(http_response(b'{"error":"WRONGPASS invalid token"}', status="401 Unauthorized"))

    with pytest.raises(AuthenticationFailed) as caught:
        rest(serve(behave).url()).send(GET)
    assert "secret-token" not in repr(caught.value)


def test_a_refused_connection_is_known_to_be_unsent(rest):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ConnectionFailed, match="cannot connect: Connection refused") as caught:
        rest(f"http://127.0.0.1:{port}").send(INCR)
    assert caught.value.unsent


def test_a_host_without_an_address_is_known_to_be_unsent(rest):
    with pytest.raises(
        ConnectionFailed, match=r"no-such-host\.invalid\): cannot connect"
    ) as caught:
        rest("http://no-such-host.invalid").send(INCR)
    assert caught.value.unsent


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_ipv6_addresses_work(serve, rest):
    server = serve(host="::1")
    assert rest(server.url("[::1]")).send(GET) == [b"OK"]
    assert f"Host: [::1]:{server.port}".encode() in server.heads[0]


def test_the_second_address_of_a_host_is_tried_when_the_first_refuses(serve, rest, monkeypatch):
    server = serve()
    resolve = socket.getaddrinfo
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = listener.getsockname()[1]

    def two(host, port, *args, **settings):
        return [
            *resolve("127.0.0.1", closed, *args, **settings),
            *resolve("127.0.0.1", port, *args, **settings),
        ]

    monkeypatch.setattr(socket, "getaddrinfo", two)
    assert rest(f"http://db.example:{server.port}").send(GET) == [b"OK"]


def test_the_sync_token_of_a_response_is_sent_with_the_next_request(serve, rest):
    tokens = iter(["5", "7", "6", "6"])

    def behave(peer):
        while peer.read_request() is not None:
            peer.send(http_response(OK, f"UPSTASH-Sync-Token: {next(tokens)}"))

    server = serve(behave)
    client = rest(server.url())
    for _ in range(4):
        client.send(GET)
    sent = [head.lower().partition(b"upstash-sync-token: ")[2][:1] for head in server.heads]
    assert sent == [b"", b"5", b"7", b"7"]


def test_closing_closes_every_connection(serve, rest):
    server = serve()
    client = rest(server.url())
    client.send(GET)
    client.close()
    server.wait_until_all_closed()
