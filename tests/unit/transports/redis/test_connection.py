"""What a broken write over TCP says of what has arrived."""

from __future__ import annotations

import socket
from ssl import SSLEOFError, SSLSocket
from types import SimpleNamespace

import pytest

from continuum_upstash.errors import ConnectionFailed
from continuum_upstash.transports.base import Deadline
from continuum_upstash.transports.network_errors import connection_lost
from continuum_upstash.transports.redis.connection import RedisConnection


class Torn:
    """A socket that breaks when something is sent."""

    def fileno(self):
        return 0

    def settimeout(self, seconds):
        """Nobody waits."""

    def send(self, data):
        raise ConnectionResetError(104, "Connection reset by peer")


class Plain(Torn, socket.socket):
    pass


class Secure(Torn, SSLSocket):
    pass


@pytest.mark.parametrize(
    ("kind", "size", "unsent"),
    [(Plain, 100, True), (Plain, 100_000, True), (Secure, 100, True), (Secure, 100_000, False)],
)
def test_of_many_tls_records_the_first_may_have_arrived(kind, size, unsent):
    sock = kind.__new__(kind)
    connection = RedisConnection(SimpleNamespace(_sock=sock), "db")
    with pytest.raises(ConnectionFailed) as caught:
        connection.send(b"x" * size, 1, Deadline(10))
    assert caught.value.unsent is unsent


def test_what_openssl_says_is_repeated_and_not_what_the_system_calls_its_number():
    error = SSLEOFError(8, "EOF occurred in violation of protocol")
    assert "EOF occurred" in str(connection_lost("db", error))
