"""A subscription in sync code: one connection of its own, read by one thread at a time."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from ssl import SSLWantReadError
from threading import RLock
from time import monotonic
from typing import Final, Protocol, Self

from continuum_upstash.errors import ConnectionFailed
from continuum_upstash.transports import network_errors
from continuum_upstash.transports.base import Deadline
from continuum_upstash.transports.sockets import enable_keepalive
from continuum_upstash.transports.subscriptions.messages import (
    Decoder,
    Message,
    subscription_closed,
    subscription_ended,
)

_READ_SIZE: Final = 64 * 1024


class Connection(Protocol):
    """An open connection, on which a subscription was requested."""

    sock: socket.socket

    def close(self) -> None: ...


class Subscription:
    """The messages of some channels from now on.

    A context manager, and an iterator of messages that ends when another thread calls `close`. A
    message that is not read stays in the system's buffers: the server disconnects a slow reader.
    Messages published while there is no connection are lost.
    """

    def __init__(self, connection: Connection, decoder: Decoder, label: str) -> None:
        self._connection = connection
        self._decoder = decoder
        self._label = label
        self._messages: deque[Message] = deque()
        self._lock = RLock()
        self._is_closed = False
        enable_keepalive(connection.sock)

    def open(self, request: memoryview, deadline: Deadline) -> Self:
        """Send the request, and wait until the server has confirmed every channel.

        Closes the connection if that fails.

        Raises:
            ConnectionFailed: the connection was lost.
            DeadlineExceeded: the server did not confirm in time.
            ReplyError: the server rejected the subscription.
        """
        try:
            self._request(request, deadline)
        except BaseException as error:
            self.close()
            if isinstance(error, TimeoutError):
                raise deadline.timeout_error(self._label) from None
            raise
        return self

    def _request(self, request: memoryview, deadline: Deadline) -> None:
        self._connection.sock.settimeout(deadline.get_remaining())
        try:
            self._connection.sock.sendall(request)
        except TimeoutError:
            raise
        except OSError as error:
            raise network_errors.connection_lost(self._label, error) from error
        while not self._decoder.is_subscribed:
            self._connection.sock.settimeout(deadline.get_remaining())
            self._read()

    def receive(self, timeout: float | None = None) -> Message | None:
        """Return the next message, or None after `timeout` seconds; None: wait for ever.

        Raises:
            ConnectionFailed: the connection was lost, or the subscription was closed.
        """
        ends_at = None if timeout is None else monotonic() + timeout
        try:
            with self._lock:
                while not self._messages:
                    self._raise_if_closed()
                    left = None if ends_at is None else max(ends_at - monotonic(), 0.0)
                    self._connection.sock.settimeout(left)
                    try:
                        self._read()
                    except (TimeoutError, BlockingIOError, SSLWantReadError):
                        if left == 0 or (ends_at is not None and monotonic() >= ends_at):
                            return None
                return self._messages.popleft()
        finally:
            if self._is_closed:
                self._connection.close()

    def close(self) -> None:
        """Close the connection; may be called from another thread."""
        self._is_closed = True
        # The base class's method: SSLSocket's own would change what the reading thread uses.
        with suppress(OSError):
            socket.socket.shutdown(self._connection.sock, socket.SHUT_RDWR)
        # A descriptor that another thread reads from must not be closed: its number is used again.
        if self._lock.acquire(blocking=False):
            try:
                self._connection.close()
            finally:
                self._lock.release()

    def _read(self) -> None:
        if self._decoder.has_ended:
            raise subscription_ended(self._label)
        try:
            data = self._connection.sock.recv(_READ_SIZE)
        except (TimeoutError, BlockingIOError, SSLWantReadError):
            raise
        except OSError as error:
            self._raise_if_closed()
            raise network_errors.connection_lost(self._label, error) from error
        if not data:
            self._raise_if_closed()
            raise network_errors.connection_lost(self._label, None)
        self._messages.extend(self._decoder.feed(data))

    def _raise_if_closed(self) -> None:
        if self._is_closed:
            raise subscription_closed(self._label)

    def __iter__(self) -> Iterator[Message]:
        while True:
            try:
                message = self.receive()
            except ConnectionFailed:
                if self._is_closed:
                    return
                raise
            if message is not None:
                yield message

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()
