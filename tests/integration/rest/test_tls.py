"""Certificates are verified, sync and async; the tests make their own authorities."""

from __future__ import annotations

import socket
import ssl
from datetime import UTC, datetime

import pytest
import trustme

from continuum_upstash.errors import ConfigurationError, ConnectionFailed
from tests.integration.scripted_server import make_tls_context, respond_ok

GET = ("GET", "k")
INCR = ("INCR", "n")


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority, tmp_path_factory):
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


@pytest.fixture
def trusted(authority):
    return make_tls_context(authority.issue_cert("localhost", "127.0.0.1"))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_certificate_of_the_given_authority_is_trusted(serve, rest, trusted, ca_file, host):
    server = serve(tls=trusted)
    client = rest(server.url(host), ca_file=ca_file)
    assert [client.send(GET) for _ in range(3)] == [[b"OK"]] * 3
    assert server.accepted == 1
    client.close()
    server.wait_until_all_closed()


def test_the_dot_of_an_absolute_host_name_is_for_the_resolver_only(
    serve, rest, authority, ca_file, monkeypatch
):
    resolve, looked_up, names = socket.getaddrinfo, [], []

    def record(host, *arguments, **options):
        looked_up.append(host)
        return resolve("127.0.0.1" if host == "localhost." else host, *arguments, **options)

    context = make_tls_context(authority.issue_cert("localhost"))
    context.sni_callback = lambda _, name, __: names.append(name)
    server = serve(tls=context)
    monkeypatch.setattr(socket, "getaddrinfo", record)
    assert rest(server.url("localhost."), ca_file=ca_file).send(GET) == [b"OK"]
    assert (looked_up[0], names) == ("localhost.", ["localhost"])
    port = server.url().rpartition(":")[2]
    assert f"\r\nHost: localhost:{port}\r\n".encode() in server.heads[0]


def test_large_values_are_complete_over_tls(serve, rest, trusted, ca_file):
    value = bytes(range(256)) * 20_000

    def echo(peer):
        while (body := peer.read_request()) is not None:
            peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            peer.send(b"%x\r\n$%d\r\n%b\r\n\r\n0\r\n\r\n" % (len(body) + 12, len(body), body))

    client = rest(serve(echo, tls=trusted).url("localhost"), ca_file=ca_file)
    assert len(str(len(value))) == 7
    assert client.send(("SET", "k", value)) == [value]


def test_a_certificate_for_another_host_is_rejected(serve, rest, authority, ca_file):
    server = serve(tls=make_tls_context(authority.issue_cert("other.example")))
    with pytest.raises(
        ConnectionFailed, match=r"not trusted: Hostname mismatch.*localhost"
    ) as caught:
        rest(server.url("localhost"), ca_file=ca_file).send(INCR)
    assert caught.value.unsent
    assert server.requests == []


def test_a_certificate_of_another_authority_is_rejected(serve, rest, ca_file):
    server = serve(tls=make_tls_context(trustme.CA().issue_cert("localhost")))
    with pytest.raises(
        ConnectionFailed, match=r"not trusted: .* Check the URL's host, or set CA_FILE"
    ):
        rest(server.url("localhost"), ca_file=ca_file).send(GET)


def test_the_systems_store_does_not_trust_an_authority_of_our_own(serve, rest, trusted):
    with pytest.raises(ConnectionFailed, match="not trusted"):
        rest(serve(tls=trusted).url("localhost")).send(GET)


def test_an_expired_certificate_is_rejected(serve, rest, authority, ca_file):
    expired = authority.issue_cert("localhost", not_after=datetime(2020, 1, 1, tzinfo=UTC))
    with pytest.raises(ConnectionFailed, match="not trusted: certificate has expired"):
        rest(serve(tls=make_tls_context(expired)).url("localhost"), ca_file=ca_file).send(GET)


def test_tls_older_than_1_2_is_rejected(serve, rest, trusted, ca_file):
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        trusted.minimum_version = trusted.maximum_version = ssl.TLSVersion.TLSv1_1
    trusted.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(ConnectionFailed, match="cannot connect"):
        rest(serve(tls=trusted).url("localhost"), ca_file=ca_file).send(GET)


def test_a_server_without_tls_is_a_failure(serve, rest):
    def plain(peer):
        peer.sock.recv(1)
        peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        peer.wait_until_closed()

    server = serve(plain)
    with pytest.raises(ConnectionFailed, match="cannot connect") as caught:
        rest(server.url().replace("http:", "https:")).send(INCR)
    assert caught.value.unsent


def test_a_tls_handshake_that_never_ends_exceeds_the_connect_timeout(serve, rest):
    server = serve(lambda peer: peer.wait_until_closed())
    with pytest.raises(ConnectionFailed, match=r"CONNECT_TIMEOUT \(0\.2 s\)") as caught:
        rest(server.url().replace("http:", "https:"), connect_timeout=0.2).send(INCR)
    assert caught.value.unsent
    server.wait_until_all_closed()


def test_a_missing_authority_file_is_a_configuration_error(serve, rest, trusted):
    with pytest.raises(ConfigurationError, match=r"\(/no/such/file\.pem\): No such file.* CA_FILE"):
        rest(serve(tls=trusted).url("localhost"), ca_file="/no/such/file.pem").send(GET)


def test_an_authority_file_without_certificates_is_a_configuration_error(rest, tmp_path):
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing")
    with pytest.raises(ConfigurationError, match="CA_FILE"):
        rest("https://localhost:1", ca_file=str(empty)).send(GET)


def test_a_kept_tls_connection_that_was_closed_is_replaced(serve, rest, trusted, ca_file):
    def once(peer):
        peer.read_request()
        respond_ok_once(peer)

    def respond_ok_once(peer):
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n+OK\r\n")

    server = serve(once, tls=trusted)
    client = rest(server.url("localhost"), ca_file=ca_file)
    for _ in range(3):
        assert client.send(GET) == [b"OK"]
    assert server.accepted == 3


def test_only_http_1_1_is_offered_and_the_host_is_named(serve, rest, trusted, ca_file):
    names = []
    trusted.set_alpn_protocols(["h2", "http/1.1"])
    trusted.sni_callback = lambda _sock, name, _context: names.append(name)
    protocols = []

    def behave(peer):
        protocols.append(peer.sock.selected_alpn_protocol())
        respond_ok(peer)

    rest(serve(behave, tls=trusted).url("localhost"), ca_file=ca_file).send(GET)
    assert (names, protocols) == (["localhost"], ["http/1.1"])
