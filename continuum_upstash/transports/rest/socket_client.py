"""HTTP over blocking sockets: connections that carry one request at a time, and their client.

A deadline covers the exchange up to the last byte: slow partial responses do not extend it.
Closing sends no TLS close_notify, so that a forked child can drop the connections that it inherited
without ending its parent's TLS sessions.
"""

from __future__ import annotations

import socket
from functools import partial
from time import monotonic
from typing import Final

from continuum_upstash.config.resolve import Config
from continuum_upstash.errors import ConnectionFailed
from continuum_upstash.plans.command_table import is_retryable
from continuum_upstash.plans.effects import Batch
from continuum_upstash.transports import network_errors
from continuum_upstash.transports.base import Deadline
from continuum_upstash.transports.pool import ConnectionPool, Slot
from continuum_upstash.transports.rest.http11 import (
    MAX_IDLE_SECONDS,
    HttpResponse,
    RequestEncoder,
    ResponseParser,
)
from continuum_upstash.transports.rest.requests import Request
from continuum_upstash.transports.sockets import (
    LATE_READS,
    RECORD_BYTES,
    TIMEOUT_TOLERANCE,
    connect_to_any,
    get_https_context,
    make_readable_check,
    receive_late,
    reset_on_close,
)

RECEIVE_BYTES: Final = 64 * 1024


class HttpConnection:
    """One connection to the server.

    Attributes:
        sock: its socket.
        reusable: whether it may carry another request; False while it carries one.
        last_reply_at: monotonic seconds.
    """

    def __init__(self, sock: socket.socket, encoder: RequestEncoder) -> None:
        self.sock = sock
        self.reusable = False
        self._label = encoder.label
        self._parser = ResponseParser(encoder.label)
        self._atomic_write = RECORD_BYTES if encoder.secure else None
        self._is_readable = make_readable_check(sock.fileno())
        self.last_reply_at = 0.0

    def is_alive(self) -> bool:
        """Return whether an idle connection can carry a request: it was used lately and is open."""
        return monotonic() - self.last_reply_at < MAX_IDLE_SECONDS and not self._is_readable()

    def exchange(self, data: memoryview, deadline: Deadline) -> HttpResponse:
        """Send a request and return its response.

        Raises:
            TimeoutError: the deadline passed.
            ConnectionFailed: the connection was lost, or the response is not HTTP.
        """
        self.reusable = False
        is_written = self._write(data, deadline)
        response = self._read(deadline)
        self.last_reply_at = monotonic()
        self.reusable = is_written and response.reusable
        return response

    def close(self) -> None:
        if not self.reusable:
            reset_on_close(self.sock)
        self.sock.close()

    def __del__(self) -> None:
        self.sock.close()  # a forked child drops the connections of its parent like this

    def _write(self, data: memoryview, deadline: Deadline) -> bool:
        """Return whether all of it was written.

        A server that rejects a large request responds and closes before it has read the rest:
        that response still can be read.
        """
        sent = 0
        try:
            self._limit_wait(deadline)
            sent = self.sock.send(data)
            while sent < len(data):
                self._limit_wait(deadline)
                sent += self.sock.send(memoryview(data)[sent:])
        except TimeoutError:
            raise
        except OSError as error:
            if sent == 0 and (self._atomic_write is None or len(data) <= self._atomic_write):
                raise network_errors.connection_lost(self._label, error, unsent=True) from error
            return False
        return True

    def _read(self, deadline: Deadline) -> HttpResponse:
        receive, feed, late_reads = self.sock.recv, self._parser.feed, LATE_READS
        while True:
            try:
                try:
                    self._limit_wait(deadline)
                    data = receive(RECEIVE_BYTES)
                except TimeoutError:
                    late_reads -= 1
                    if not late_reads:
                        raise
                    data = receive_late(self.sock, partial(receive, RECEIVE_BYTES))
            except TimeoutError:
                raise
            except OSError as error:
                raise network_errors.connection_lost(self._label, error) from error
            response = feed(data) if data else self._parser.feed_eof()
            if response is not None:
                return response
            if not data:
                raise network_errors.connection_lost(self._label, None)

    def _limit_wait(self, deadline: Deadline) -> None:
        """Set the socket's timeout to what is left, unless it differs by little: a system call."""
        left = deadline.get_remaining()
        if abs((self.sock.gettimeout() or 0.0) - left) > TIMEOUT_TOLERANCE:
            self.sock.settimeout(left)


def connect(encoder: RequestEncoder, ca_file: str | None, seconds: float) -> HttpConnection:
    """Open a connection within `seconds`; the system limits how long name resolution takes.

    Raises:
        ConnectionFailed: it was refused, not open in time, or not trusted; `unsent` is True.
    """
    context = get_https_context(ca_file) if encoder.secure else None
    deadline = Deadline(seconds)
    try:
        addresses = socket.getaddrinfo(encoder.host, encoder.port, type=socket.SOCK_STREAM)
        sock = connect_to_any(addresses, deadline.get_remaining)
        try:
            if context is not None:
                sock.settimeout(deadline.get_remaining())
                sock = context.wrap_socket(sock, server_hostname=encoder.server_name)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        except BaseException:
            sock.close()
            raise
    except OSError as error:
        raise network_errors.connect_failed(encoder.label, error, seconds) from error
    return HttpConnection(sock, encoder)


class SocketHttpClient:
    """Exchanges requests over a pool of kept connections; any number of threads may use it."""

    def __init__(self, config: Config, encoder: RequestEncoder) -> None:
        self._config = config
        self._encoder = encoder
        self._pool = ConnectionPool[HttpConnection](config.pool_size, encoder.label)

    def exchange(self, request: Request, sync_token: bytes | None, batch: Batch) -> HttpResponse:
        config = self._config
        # As a memoryview, since tracebacks show local variables, and it contains the token.
        data = memoryview(self._encoder.encode(request, sync_token))
        deadline = Deadline(config.read_timeout, batch.deadline_s)
        slot: Slot[HttpConnection] = Slot()
        kept = None
        # Nest no `try` in these two: CPython does not protect the first instruction of a `try`.
        try:
            try:
                self._pool.acquire(slot, deadline)
                kept = slot.connection
                if kept is not None:
                    return kept.exchange(data, deadline)
                return self._exchange_anew(slot, data, deadline)
            except ConnectionFailed as error:
                # The server may close an idle connection just when a request is sent.
                if kept is None or not (error.unsent or is_retryable(batch)):
                    raise
                kept.close()
                return self._exchange_anew(slot, data, deadline)
            except TimeoutError:
                raise deadline.timeout_error(self._encoder.label) from None
            finally:
                self._pool.release(slot)
        finally:
            slot.claim = None  # release may have been interrupted

    def _exchange_anew(
        self, slot: Slot[HttpConnection], data: memoryview, deadline: Deadline
    ) -> HttpResponse:
        """Exchange over a new connection, for which only a batch's own deadline counts."""
        started = monotonic()
        timeout = deadline.limit(self._config.connect_timeout)
        try:
            slot.connection = connect(self._encoder, self._config.ca_file, timeout)
            deadline.extend(monotonic() - started)
            return slot.connection.exchange(data, deadline)
        except TimeoutError:
            raise deadline.timeout_error(self._encoder.label) from None

    def close(self) -> None:
        self._pool.close()
