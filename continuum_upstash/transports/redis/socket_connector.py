"""Opens the sync connections with the options of a redis-py pool, and authenticates them.

redis-py's own connections are not used: each address, each retry and each received byte of their
handshake has a timeout of its own, and a connection whose set-up was interrupted is used
unauthenticated by the next caller.
"""

from __future__ import annotations

import socket
from time import monotonic
from typing import Any

from redis import ConnectionPool, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import RedisError
from redis.sentinel import SentinelConnectionPool

from continuum_upstash.config.urls import remove_root_dot
from continuum_upstash.errors import AuthenticationFailed, ReplyError
from continuum_upstash.transports.base import Deadline
from continuum_upstash.transports.redis.connection import RedisConnection
from continuum_upstash.transports.redis.connector import (
    Credentials,
    credentials_error,
    list_secrets,
    make_handshake,
    set_keepalive,
)
from continuum_upstash.transports.redis.options import get_tls_context
from continuum_upstash.transports.redis.redis_errors import connect_error, handshake_error
from continuum_upstash.transports.sockets import connect_to_any
from continuum_upstash.transports.tracebacks import HiddenLibraryFrames


class SocketConnector:
    """Reads the options from a redis-py connection that is never opened: it has parsed the URL."""

    def __init__(self, pool: ConnectionPool, label: str, timeout: float) -> None:
        self._pool = pool
        self._label = label
        self._timeout = timeout
        self._template: Any = pool.connection_class(**pool.connection_kwargs)

    def connect(self, deadline: Deadline) -> RedisConnection:
        """Return an authenticated connection.

        The handshake counts as time of the batch; opening the connection only counts if the batch
        has a deadline of its own.

        Raises:
            ConnectionFailed: it was refused, not open in time, or not trusted; `unsent` is True.
            DeadlineExceeded: there was no complete reply to the handshake.
            Refused: the server rejected the credentials. Those of a credential provider are read
                again at once: they may have been replaced.
        """
        credentials = self._read_credentials()
        try:
            return self._connect(credentials, deadline)
        except AuthenticationFailed:
            if (newer := self._read_credentials()) == credentials:
                raise
        return self._connect(newer, deadline)

    def _connect(self, credentials: Credentials | None, deadline: Deadline) -> RedisConnection:
        started = monotonic()
        timeout = deadline.limit(self._timeout)
        try:
            with HiddenLibraryFrames():
                sock = self._open(Deadline(timeout))
        except (OSError, RedisError) as error:
            raise connect_error(error, self._label, timeout) from error
        connection = RedisConnection(sock, self._label, list_secrets(self._template, credentials))
        deadline.extend(monotonic() - started)
        try:
            self._authenticate(connection, credentials, deadline)
        finally:
            if not connection.reusable:
                connection.close()
        return connection

    def _open(self, deadline: Deadline) -> socket.socket:
        if isinstance(self._template, UnixDomainSocketConnection):
            addresses = [(socket.AF_UNIX, socket.SOCK_STREAM, 0, "", self._template.path)]
            return connect_to_any(addresses, deadline.get_remaining)
        host, port = self._find_server()
        family = getattr(self._template, "socket_type", 0)
        sock = connect_to_any(
            socket.getaddrinfo(host, port, family, socket.SOCK_STREAM), deadline.get_remaining
        )
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            set_keepalive(self._template, sock)
            if isinstance(self._template, SSLConnection):
                sock.settimeout(deadline.get_remaining())
                sock = self._wrap(sock, host)
        except BaseException:
            sock.close()
            raise
        return sock

    def _find_server(self) -> tuple[str, int]:
        if not isinstance(self._pool, SentinelConnectionPool):
            return self._template.host, self._template.port
        if self._pool.is_master:
            host, port = self._pool.get_master_address()  # type: ignore[no-untyped-call]  # redis-py's gap
        else:
            host, port = next(self._pool.rotate_slaves())  # type: ignore[no-untyped-call]  # redis-py's gap
        return host, port

    def _wrap(self, sock: socket.socket, host: str) -> socket.socket:
        if self._template.ssl_validate_ocsp or self._template.ssl_validate_ocsp_stapled:
            wrapped: socket.socket = self._template._wrap_socket_with_ssl(sock)  # noqa: SLF001 no public name
            return wrapped
        return get_tls_context(self._template).wrap_socket(
            sock, server_hostname=remove_root_dot(host)
        )

    def _read_credentials(self) -> Credentials | None:
        provider = self._template.credential_provider
        if provider is None:
            return None
        try:
            return Credentials(tuple(provider.get_credentials()))
        except Exception as error:
            raise credentials_error(error, self._label) from error

    def _authenticate(
        self, connection: RedisConnection, credentials: Credentials | None, deadline: Deadline
    ) -> None:
        handshake = make_handshake(self._template, credentials)
        if handshake is None:
            connection.reusable = True
            return
        for reply in connection.send(handshake.message, handshake.replies, deadline):
            if isinstance(reply, ReplyError):
                connection.reusable = False
                raise handshake_error(reply, self._label)
