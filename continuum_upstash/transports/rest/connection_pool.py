"""Blocking sockets that carry one request at a time, and the pool that keeps them.

A deadline is a time of the monotonic clock and covers everything until the last byte: a server
that dribbles does not extend it. Nothing says goodbye on the wire, so a forked child may drop
what it inherited without harm to its parent's TLS sessions.
"""

from __future__ import annotations

import select
import socket
import threading
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Final

from continuum_upstash.config.resolve import Config
from continuum_upstash.errors import ConnectionFailed
from continuum_upstash.plans.command_table import is_retryable
from continuum_upstash.plans.effects import Batch
from continuum_upstash.transports import network_errors
from continuum_upstash.transports.rest.http11 import Answer, AnswerReader, Endpoint
from continuum_upstash.transports.rest.requests import Request
from continuum_upstash.transports.sockets import RECORD_BYTES, abandon, tls_context

RECEIVE_BYTES: Final = 64 * 1024

# A connection that was idle for longer may have been dropped without a word on its way.
MAX_IDLE_SECONDS: Final = 55.0


class Connection:
    """One connection to an endpoint.

    Attributes:
        reusable: whether it may carry another request; False while it carries one.
    """

    def __init__(self, sock: socket.socket, endpoint: Endpoint) -> None:
        self.reusable = False
        self._sock = sock
        self._label = endpoint.label
        self._reader = AnswerReader(endpoint.label)
        self._whole_write = RECORD_BYTES if endpoint.secure else None
        self._is_readable = readable(sock.fileno())
        self._used_at = 0.0

    def is_alive(self) -> bool:
        """Return whether the server has left it open: an idle one has nothing to say."""
        return monotonic() - self._used_at < MAX_IDLE_SECONDS and not self._is_readable()

    def exchange(self, data: bytes, deadline: float) -> Answer:
        """Send a request and return its answer.

        Raises:
            TimeoutError: the deadline passed.
            ConnectionFailed: the connection broke, or what came is not HTTP.
        """
        self.reusable = False
        written = self._write(data, deadline)
        answer = self._read(deadline)
        self._used_at = monotonic()
        self.reusable = written and answer.reusable
        return answer

    def close(self) -> None:
        if not self.reusable:
            abandon(self._sock)
        self._sock.close()

    def __del__(self) -> None:
        self._sock.close()  # a child that was forked drops it like this

    def _write(self, data: bytes, deadline: float) -> bool:
        """Return whether all was written.

        A server that refuses a large request answers and closes before it has read the rest:
        its answer is worth reading then.
        """
        sent = 0
        try:
            self._sock.settimeout(_left(deadline))
            sent = self._sock.send(data)
            while sent < len(data):
                self._sock.settimeout(_left(deadline))
                sent += self._sock.send(memoryview(data)[sent:])
        except TimeoutError:
            raise
        except OSError as error:
            if sent == 0 and (self._whole_write is None or len(data) <= self._whole_write):
                raise network_errors.broken(self._label, error, unsent=True) from error
            return False
        return True

    def _read(self, deadline: float) -> Answer:
        receive, feed = self._sock.recv, self._reader.feed
        while True:
            self._sock.settimeout(_left(deadline))
            try:
                data = receive(RECEIVE_BYTES)
            except TimeoutError:
                raise
            except OSError as error:
                raise network_errors.broken(self._label, error) from error
            answer = feed(data) if data else self._reader.end()
            if answer is not None:
                return answer
            if not data:
                raise network_errors.broken(self._label, None)


def _left(deadline: float) -> float:
    """Return the seconds until `deadline`, which a socket takes as its timeout."""
    left = deadline - monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def readable(fileno: int) -> Callable[[], bool]:
    """Return a function that tells, without waiting, whether a socket has something to read."""
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(fileno, select.POLLIN)
        return lambda: bool(poll.poll(0))
    return lambda: bool(select.select([fileno], [], [], 0)[0])  # Windows


def connect(endpoint: Endpoint, ca_file: str | None, seconds: float) -> Connection:
    """Open a connection within `seconds`, name resolution excepted: the system bounds that.

    Raises:
        ConnectionFailed: it was refused, not in time, or not trusted; `unsent` is True.
    """
    context = tls_context(ca_file) if endpoint.secure else None
    deadline = monotonic() + seconds
    try:
        sock = _connected(endpoint.host, endpoint.port, deadline)
        try:
            if context is not None:
                sock.settimeout(_left(deadline))
                sock = context.wrap_socket(sock, server_hostname=endpoint.host)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        except BaseException:
            sock.close()
            raise
    except OSError as error:
        raise network_errors.cannot_connect(endpoint.label, error, seconds) from error
    return Connection(sock, endpoint)


def _connected(host: str, port: int, deadline: float) -> socket.socket:
    """Try the addresses of a host in turn, none for so long that the next one gets no time."""
    addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for following in reversed(range(len(addresses))):
        family, kind, protocol, _, address = addresses[-1 - following]
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(_left(deadline) / 2 if following else _left(deadline))
            sock.connect(address)
        except BaseException as error:
            sock.close()
            if not (following and isinstance(error, OSError)):
                raise
        else:
            return sock
    raise OSError(f"{host} has no address")


class Pool:
    """At most `size` connections; the last one used is the first one to be used again.

    A place is taken for each exchange and given back with its connection, if that is still good.
    Who waits for one is served in turn: otherwise a busy thread could keep the others waiting.
    """

    def __init__(self, size: int) -> None:
        self._free_places = size
        self._idle: list[Connection] = []
        self._waiting: deque[threading.Lock] = deque()
        # Re-entrant: a signal handler that uses the cache may interrupt its own thread in here.
        self._lock = threading.RLock()

    def take(self, deadline: float) -> Connection | None:
        """Take a place: with a kept connection, or None where a new one has to be opened.

        Raises:
            TimeoutError: none became free until the deadline.
        """
        with self._lock:
            if self._free_places:
                self._free_places -= 1
                return self._kept()
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
        in_time = False
        try:
            in_time = turn.acquire(timeout=max(0.0, deadline - monotonic()))
        finally:
            if not in_time:
                self._leave(turn)
        if not in_time:
            raise TimeoutError
        with self._lock:
            return self._kept()

    def give(self, connection: Connection | None) -> None:
        if connection is not None and not connection.reusable:
            connection.close()
            connection = None
        with self._lock:
            if connection is not None:
                self._idle.append(connection)
            try:
                turn = self._waiting.popleft()
            except IndexError:
                self._free_places += 1
            else:
                turn.release()

    def close(self) -> None:
        """Close the idle connections; one that carries a request is left to end it."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _leave(self, turn: threading.Lock) -> None:
        with self._lock:
            waited_in_vain = turn in self._waiting
            if waited_in_vain:
                self._waiting.remove(turn)
        if not waited_in_vain:
            self.give(None)  # the place came too late: it is the next one's

    def _kept(self) -> Connection | None:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if connection.is_alive():
                return connection
            connection.close()


class Sockets:
    """Sends requests over a pool of kept connections; any number of threads may use it."""

    def __init__(self, config: Config, endpoint: Endpoint) -> None:
        self._config = config
        self._endpoint = endpoint
        self._pool = Pool(config.pool_size)

    def exchange(self, request: Request, sync_token: bytes | None, batch: Batch) -> Answer:
        data = self._endpoint.render(request, sync_token)
        seconds = batch.effective_timeout(self._config.read_timeout)
        deadline = monotonic() + seconds
        try:
            connection = self._pool.take(deadline)
        except TimeoutError:
            label = self._endpoint.label
            raise network_errors.all_busy(label, self._config.pool_size, seconds) from None
        if batch.deadline_s is None:  # what we waited for here is not the server's time
            deadline = monotonic() + seconds
        try:
            if connection is not None:
                try:
                    return connection.exchange(data, deadline)
                except ConnectionFailed as error:
                    # The server closes what is idle for long, perhaps just now.
                    if not (error.unsent or is_retryable(batch)):
                        raise
                    connection.close()
            started = monotonic()
            patience = batch.effective_timeout(self._config.connect_timeout)
            connection = connect(self._endpoint, self._config.ca_file, patience)
            if batch.deadline_s is None:  # else it covers the connection, too
                deadline += monotonic() - started
            return connection.exchange(data, deadline)
        except TimeoutError:
            raise network_errors.too_late(self._endpoint.label, seconds) from None
        finally:
            self._pool.give(connection)

    def close(self) -> None:
        self._pool.close()
