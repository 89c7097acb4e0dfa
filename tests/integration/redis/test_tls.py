"""TLS: which certificates are trusted, sync and async alike."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import trustme

from continuum_upstash.cache.redis_pool import make_django_pool
from continuum_upstash.config.hashable import to_hashable
from continuum_upstash.errors import ConfigurationError, ConnectionFailed
from continuum_upstash.plans.effects import Batch
from tests.integration.redis.tcp_proxy import Proxy

GET = ("GET", "k")


def pool_options(**options):
    return {
        "make_pool": make_django_pool,
        "redis_options": to_hashable({"CONNECTION_POOL_KWARGS": options}),
    }


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def files(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The authority, another one, and a client's certificate with its key."""
    folder = tmp_path_factory.mktemp("tls")
    authority.cert_pem.write_to_path(folder / "authority.pem")
    trustme.CA().cert_pem.write_to_path(folder / "another.pem")
    authority.issue_cert("client.example").private_key_and_cert_chain_pem.write_to_path(
        folder / "client.pem"
    )
    return folder


@pytest.fixture
def tls_proxy(valkey, authority) -> Iterator[Callable[..., Proxy]]:
    with ExitStack() as stack:

        def make(*, name: str = "localhost", ask_clients: bool = False) -> Proxy:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert(name).configure_cert(context)
            if ask_clients:
                context.verify_mode = ssl.CERT_REQUIRED
                authority.configure_trust(context)
            proxy = Proxy(valkey.port, context)
            stack.callback(proxy.stop)
            return proxy

        yield make


def url(proxy, host="localhost"):
    return f"rediss://:secret@{host}:{proxy.port}"


@pytest.fixture(autouse=True)
def _password(valkey):
    valkey.call("CONFIG", "SET", "requirepass", "secret")


def test_a_private_authority_is_trusted_by_its_file(tls_proxy, files, tcp):
    client = tcp(url(tls_proxy()), ca_file=str(files / "authority.pem"))
    value = bytes(range(256)) * 5000
    assert client.send(("SET", "k", value), GET) == [b"OK", value]
    assert client.send_all([Batch([GET])] * 20) == [[value]] * 20


@pytest.mark.parametrize("trusted", ["another.pem", None], ids=["another", "the system's"])
def test_a_certificate_of_another_authority_is_rejected(tls_proxy, files, tcp, trusted):
    client = tcp(url(tls_proxy()), ca_file=trusted and str(files / trusted))
    with pytest.raises(ConnectionFailed, match=r"certificate is not trusted.*CA_FILE") as caught:
        client.send(("INCR", "n"))
    assert caught.value.unsent


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_certificate_for_another_host_is_rejected(tls_proxy, files, tcp, host):
    client = tcp(url(tls_proxy(name="else.where"), host), ca_file=str(files / "authority.pem"))
    with pytest.raises(ConnectionFailed, match=r"certificate is not trusted: .*[^.]\. Check"):
        client.send(GET)


def test_redis_pys_own_option_disables_verification(tls_proxy, tcp):
    client = tcp(url(tls_proxy(name="else.where")), **pool_options(ssl_cert_reqs="none"))
    assert client.send(GET) == [None]


def test_redis_pys_own_option_selects_the_authority(tls_proxy, files, tcp):
    options = pool_options(ssl_ca_certs=str(files / "authority.pem"))
    assert tcp(url(tls_proxy()), **options).send(GET) == [None]


def test_a_client_sends_its_certificate(tls_proxy, files, tcp):
    options = {
        "ssl_ca_certs": str(files / "authority.pem"),
        "ssl_certfile": str(files / "client.pem"),
        "ssl_keyfile": str(files / "client.pem"),
    }
    client = tcp(url(tls_proxy(ask_clients=True)), **pool_options(**options))
    assert client.send(GET) == [None]


def test_a_client_without_a_certificate_is_rejected(tls_proxy, files, tcp):
    client = tcp(url(tls_proxy(ask_clients=True)), ca_file=str(files / "authority.pem"))
    with pytest.raises(ConnectionFailed):
        client.send(GET)


def test_a_read_is_retried_over_tls_when_its_connection_was_dropped(tls_proxy, files, tcp):
    proxy = tls_proxy()
    client = tcp(url(proxy), ca_file=str(files / "authority.pem"), read_timeout=1.0)
    client.send(("SET", "k", b"x"))
    proxy.drop_all_traffic()
    assert client.send(GET) == [b"x"]
    proxy.close_connections()
    assert client.send(GET) == [b"x"]
    assert proxy.accepted == 3


def test_the_dot_of_an_absolute_host_name_is_not_in_the_certificate(
    tls_proxy, files, tcp, monkeypatch
):
    resolve = socket.getaddrinfo
    looked_up = []

    def record(host, *arguments, **options):
        looked_up.append(host)
        return resolve("127.0.0.1" if host == "localhost." else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", record)
    client = tcp(url(tls_proxy(), "localhost."), ca_file=str(files / "authority.pem"))
    assert client.send(GET) == [None]
    assert looked_up[0] == "localhost."


def test_tls_to_a_plain_port_is_reported(valkey, tcp):
    client = tcp(f"rediss://127.0.0.1:{valkey.port}", connect_timeout=0.5, read_timeout=0.5)
    with pytest.raises(ConnectionFailed, match="cannot connect"):
        client.send(GET)


def test_a_server_that_replies_without_tls_is_named(serve, tcp):
    def reply_plainly(peer):
        peer.send(b"-ERR Protocol error\r\n")
        peer.wait_until_closed()

    client = tcp(serve(reply_plainly).url().replace("http:", "rediss:"))
    with pytest.raises(ConnectionFailed, match=r"does not use TLS on this port .* redis://"):
        client.send(GET)


def test_a_missing_authority_file_is_reported(valkey, tcp):
    with pytest.raises(ConfigurationError, match=r"/no-such/file\.pem.*CA_FILE"):
        tcp("rediss://localhost", ca_file="/no-such/file.pem")
