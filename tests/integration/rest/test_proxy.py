"""httpx replaces our own sockets behind the HTTP proxy of the environment."""

from __future__ import annotations

import base64
import gzip
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from textwrap import dedent
from urllib.parse import urlsplit

import pytest
import trustme

from continuum_upstash.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    DeadlineExceeded,
    RequestTooLarge,
    Unavailable,
)
from continuum_upstash.transports.rest import http11
from continuum_upstash.transports.rest.http_client import can_use_sockets
from tests.integration.rest.rest_clients import config
from tests.integration.scripted_server import OK, http_response, make_tls_context

GET = ("GET", "k")
INCR = ("INCR", "n")
NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def forward(peer):
    """Forward requests for http:// URLs, and tunnel those for https:// ones."""
    head = peer.read_head()
    if head is None:
        return
    method, target, _ = head.split(b" ", 2)
    url = target.decode() if method != b"CONNECT" else f"//{target.decode()}"
    where = urlsplit(url)
    with socket.create_connection((where.hostname, where.port)) as onward:
        if method == b"CONNECT":
            peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            path = where.path + (f"?{where.query}" if where.query else "")
            onward.sendall(head.replace(target, path.encode(), 1) + b"\r\n" + peer.buffered)
        back = threading.Thread(target=pump, args=(onward, peer.sock))
        back.start()
        pump(peer.sock, onward)
        back.join()


def pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):  # a source that was reset ends the stream too
        target.shutdown(socket.SHUT_WR)


@pytest.fixture
def proxy(serve):
    return serve(forward)


def test_requests_are_sent_through_the_proxy_of_the_environment(serve, rest, proxy, monkeypatch):
    def keep_connection(peer):
        while peer.read_request() is not None:
            peer.send(http_response(OK, "Upstash-Sync-Token: 5"))

    server = serve(keep_connection)
    monkeypatch.setenv("HTTP_PROXY", proxy.url())
    client = rest(server.url())
    assert client.send(("SET", "k", b"\x80", "PX", 5)) == [b"OK"]
    assert client.send(GET) == [b"OK"]
    assert proxy.accepted > 0
    assert server.heads[0].startswith(b"POST /SET/k?PX=5 HTTP/1.1\r\n")
    assert b"Authorization: Bearer secret-token" in server.heads[0]
    assert b"Upstash-Sync-Token: 5" in server.heads[1]


@pytest.mark.usefixtures("use_httpx")
def test_a_proxy_may_compress_the_response(serve, rest):
    def behave(peer):
        peer.read_request()
        peer.send(http_response(gzip.compress(OK), "Content-Encoding: gzip"))

    server = serve(behave)
    assert rest(server.url()).send(GET) == [b"OK"]
    assert server.heads[0].lower().count(b"accept-encoding: identity") == 1
    assert server.heads[0].lower().count(b"accept-encoding") == 1


def test_a_tunnel_through_a_proxy_is_verified_end_to_end(serve, rest, proxy, monkeypatch, tmp_path):
    authority = trustme.CA()
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    monkeypatch.setenv("https_proxy", proxy.url())
    trusted = serve(tls=make_tls_context(authority.issue_cert("localhost")))
    client = rest(trusted.url("localhost"), ca_file=str(ca_file))
    assert [client.send(GET) for _ in range(3)] == [[b"OK"]] * 3
    assert (trusted.accepted, proxy.accepted) == (1, 1)
    untrusted = serve(tls=make_tls_context(trustme.CA().issue_cert("localhost")))
    with pytest.raises(ConnectionFailed, match="ConnectError") as caught:
        rest(untrusted.url("localhost"), ca_file=str(ca_file)).send(INCR)
    assert caught.value.unsent
    assert b"secret-token" not in b"".join(proxy.heads)


def test_the_proxy_receives_the_decoded_user_name_and_password(serve, rest, monkeypatch):
    proxy = serve()
    host = proxy.url().removeprefix("http://")
    monkeypatch.setenv("HTTP_PROXY", f"http://us%3Aer:p%40ss%23%2F@{host}")
    assert rest("http://database.example").send(GET) == [b"OK"]
    credentials = base64.b64encode(b"us:er:p@ss#/")
    assert b"Proxy-Authorization: Basic %b" % credentials in proxy.heads[0]


def test_a_proxy_that_rejects_the_password_is_reported_as_such(serve, rest, monkeypatch):
    def reject(peer):
        if peer.read_head() is not None:
            peer.send(http_response(b"", status="407 Proxy Authentication Required"))

    host = serve(reject).url().removeprefix("http://")
    monkeypatch.setenv("ALL_PROXY", f"http://user:s3cret@{host}")
    with pytest.raises(ConnectionFailed, match="rejects the user name or the password") as caught:
        rest("https://database.example").send(INCR)
    assert "Check the proxy in ALL_PROXY" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_host_in_no_proxy_is_connected_to_directly(serve, rest, proxy, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", proxy.url())
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert rest(serve().url()).send(GET) == [b"OK"]
    assert proxy.accepted == 0


def test_an_unreachable_proxy_is_named_as_a_likely_cause(serve, rest, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    monkeypatch.setenv("HTTP_PROXY", f"http://user:proxy-password@127.0.0.1:{port}")
    with pytest.raises(
        ConnectionFailed, match="Check the proxy in HTTP_PROXY, and NO_PROXY"
    ) as caught:
        rest(serve().url()).send(INCR)
    assert caught.value.unsent
    assert "proxy-password" not in str(caught.value)


@pytest.fixture
def use_httpx(proxy, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", proxy.url())


@pytest.mark.usefixtures("use_httpx")
def test_errors_are_ours_behind_a_proxy_too(serve, rest):
    def unauthorized(peer):
        peer.read_request()
        peer.send(http_response(b'{"error":"WRONGPASS no"}', status="401 Unauthorized"))

    def broken(peer):
        peer.read_request()
        peer.send(http_response()[:-3])

    def silent(peer):
        peer.read_request()
        peer.wait_until_closed()

    def page(peer):
        peer.read_request()
        peer.send(http_response(b"<html>", status="502 Bad Gateway"))

    def endless(peer):
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not peer.server.stopping.wait(0.01):
            peer.send(b"x")

    def fails(behave, **settings):
        server = serve(behave)
        with pytest.raises(Exception) as caught:
            rest(server.url(), **settings).send(INCR)
        assert len(server.requests) == 1
        return caught.type

    assert fails(unauthorized) is AuthenticationFailed
    assert fails(broken) is ConnectionFailed
    assert fails(silent, read_timeout=0.3) is DeadlineExceeded
    assert fails(page) is Unavailable
    assert fails(endless, read_timeout=0.3, connect_timeout=0.1) is DeadlineExceeded


@pytest.mark.usefixtures("use_httpx")
def test_a_response_that_is_too_large_is_cut_off_behind_a_proxy(serve, rest, monkeypatch):
    def send_much(peer):
        if peer.read_request() is not None:
            peer.send(http_response(b"+" * 2000))

    monkeypatch.setattr(http11, "MAX_RESPONSE_BYTES", 1000)
    with pytest.raises(RequestTooLarge):
        rest(
            serve(lambda peer: peer.read_request() and peer.send(http_response(b"+" * 2000))).url()
        ).send(GET)


@pytest.mark.parametrize(
    ("variables", "url", "reachable"),
    [
        ({}, "https://db.upstash.io", True),
        ({"HTTPS_PROXY": "http://proxy:3128"}, "https://db.upstash.io", False),
        ({"https_proxy": "http://proxy:3128"}, "https://db.upstash.io", False),
        ({"HTTPS_PROXY": "http://proxy:3128"}, "http://localhost:8079", True),
        ({"HTTP_PROXY": "http://proxy:3128"}, "https://db.upstash.io", True),
        ({"ALL_PROXY": "http://proxy"}, "https://db.upstash.io", False),
        ({"HTTPS_PROXY": ""}, "https://db.upstash.io", True),
        ({"HTTPS_PROXY": "http://p", "NO_PROXY": "upstash.io"}, "https://db.upstash.io", True),
        ({"HTTPS_PROXY": "http://p", "NO_PROXY": "*"}, "https://db.upstash.io", True),
        ({"HTTPS_PROXY": "http://p", "NO_PROXY": "other.io"}, "https://db.upstash.io", False),
    ],
)
def test_the_environment_decides_by_scheme_and_host(variables, url, reachable, monkeypatch):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert can_use_sockets(config(url)) is reachable


def test_a_platform_without_sockets_uses_httpx(monkeypatch):
    monkeypatch.setattr(sys, "platform", "emscripten")
    assert not can_use_sockets(config("https://db.upstash.io"))


def test_without_a_proxy_nothing_of_httpx_or_urllib_request_is_imported():
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            dedent("""
                import sys
                from continuum_upstash.transports.rest.transport import RestTransport
                from tests.integration.rest.rest_clients import config
                RestTransport(config("https://db.upstash.io"))
                print(sorted({"httpx", "urllib.request", "http.client"} & sys.modules.keys()))
            """),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"


def test_a_retryable_batch_is_sent_again_when_the_proxy_drops_the_connection(
    serve, rest, monkeypatch
):
    def respond_once_per_connection(peer):
        if peer.read_request():
            peer.send(http_response(OK))
            peer.read_request()  # read, without a response

    proxy = serve(respond_once_per_connection)
    monkeypatch.setenv("HTTP_PROXY", proxy.url())
    client = rest("http://database.example")
    assert [client.send(GET) for _ in range(3)] == [[b"OK"]] * 3
    with pytest.raises(ConnectionFailed):
        client.send(INCR)
    assert len(proxy.heads) == 6  # each read but the first was sent twice, the INCR once
