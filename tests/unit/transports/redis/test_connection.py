"""Whether a failed write over TCP may have sent anything."""

from __future__ import annotations

import socket
from ssl import SSLEOFError, SSLSocket

import pytest

from continuum_upstash.errors import ConnectionFailed
from continuum_upstash.transports.base import Deadline
from continuum_upstash.transports.network_errors import connection_lost
from continuum_upstash.transports.redis.connection import RedisConnection


class BrokenSocket:
    """A socket whose connection is reset by any write."""

    def fileno(self):
        return 0

    def settimeout(self, seconds):
        """Nothing waits."""

    def send(self, data):
        raise ConnectionResetError(104, "Connection reset by peer")

    def close(self):
        """Nothing is open."""


class BrokenPlainSocket(BrokenSocket, socket.socket):
    pass


class BrokenTlsSocket(BrokenSocket, SSLSocket):
    pass


@pytest.mark.parametrize(
    ("kind", "size", "unsent"),
    [
        (BrokenPlainSocket, 100, True),
        (BrokenPlainSocket, 100_000, True),
        (BrokenTlsSocket, 100, True),
        (BrokenTlsSocket, 100_000, False),
    ],
)
def test_a_write_of_several_tls_records_may_have_sent_the_first(kind, size, unsent):
    sock = kind.__new__(kind)
    connection = RedisConnection(sock, "db")
    with pytest.raises(ConnectionFailed) as caught:
        connection.send(b"x" * size, 1, Deadline(10))
    assert caught.value.unsent is unsent


def test_an_openssl_error_is_described_by_its_own_text():
    error = SSLEOFError(8, "EOF occurred in violation of protocol")
    assert "EOF occurred" in str(connection_lost("db", error))
