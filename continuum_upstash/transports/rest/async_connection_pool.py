"""Connections of one event loop that carry one request at a time, and the pool that keeps them.

A deadline is a time of the loop's clock. Each connection has one timer, which is set again only
when it rings: a timer per request would cost more than the request's head.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from typing import cast

from continuum_upstash.config.resolve import Config
from continuum_upstash.errors import ConnectionFailed, ContinuumError
from continuum_upstash.plans.command_table import is_retryable
from continuum_upstash.plans.effects import Batch
from continuum_upstash.transports import network_errors
from continuum_upstash.transports.rest.connection_pool import MAX_IDLE_SECONDS, readable
from continuum_upstash.transports.rest.http11 import Answer, AnswerReader, Endpoint
from continuum_upstash.transports.rest.requests import Request
from continuum_upstash.transports.sockets import abandon, tls_context


class Connection(asyncio.Protocol):
    """One connection to an endpoint.

    Attributes:
        reusable: whether it may carry another request; False while it carries one.
        lost: done when the transport is gone.
    """

    def __init__(self, endpoint: Endpoint, loop: asyncio.AbstractEventLoop, fileno: int) -> None:
        self.reusable = False
        self.lost = loop.create_future()
        self._label = endpoint.label
        self._loop = loop
        self._reader = AnswerReader(endpoint.label)
        self._pending: asyncio.Future[Answer] | None = None
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._used_at = 0.0
        self._is_readable = readable(fileno)

    def is_alive(self) -> bool:
        """Return whether the server has left it open: an idle one has nothing to say."""
        if not self.reusable or self._transport.is_closing():
            return False
        idle = self._loop.time() - self._used_at
        return idle < MAX_IDLE_SECONDS and not self._is_readable()

    async def exchange(self, data: bytes, deadline: float) -> Answer:
        """Send a request and return its answer; when cancelled, the connection is given up.

        Raises:
            TimeoutError: the deadline passed.
            ConnectionFailed: the connection broke, or what came is not HTTP.
        """
        self.reusable = False
        self._deadline = deadline
        if self._timer is None or self._timer.when() > deadline:
            self._set_timer()
        self._pending = self._loop.create_future()
        self._transport.write(data)
        try:
            answer = await self._pending
        finally:
            self._pending = None
        self._used_at = self._loop.time()
        # An answer that comes before the request has left is a refusal to read the rest.
        unwritten = self._transport.get_write_buffer_size()
        self.reusable = answer.reusable and not unwritten and not self._transport.is_closing()
        return answer

    def abort(self) -> None:
        if not self.reusable:
            abandon(self._transport.get_extra_info("socket"))
        self.reusable = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        pending = self._pending
        if pending is None or pending.done():
            self.abort()  # nobody has asked for anything
            return
        try:
            answer = self._reader.feed(data)
        except ContinuumError as error:
            pending.set_exception(error)
        else:
            if answer is not None:
                pending.set_result(answer)

    def eof_received(self) -> bool:
        answer = self._reader.end()
        if answer is not None and self._pending is not None and not self._pending.done():
            self._pending.set_result(answer)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.reusable = False
        if self._timer is not None:
            self._timer.cancel()
        if self._pending is not None and not self._pending.done():
            error = exc if isinstance(exc, OSError) else None
            self._pending.set_exception(network_errors.broken(self._label, error))
        if not self.lost.done():
            self.lost.set_result(None)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._deadline, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._pending is None or self._pending.done():
            return
        if self._loop.time() < self._deadline:
            self._set_timer()
        else:
            self._pending.set_exception(TimeoutError())


async def connect(endpoint: Endpoint, ca_file: str | None, seconds: float) -> Connection:
    """Open a connection within `seconds`, name resolution included.

    Raises:
        ConnectionFailed: it was refused, not in time, or not trusted; `unsent` is True.
    """
    loop = asyncio.get_running_loop()
    context = tls_context(ca_file) if endpoint.secure else None
    try:
        async with asyncio.timeout(seconds):
            sock = await _connected(endpoint.host, endpoint.port, loop.time() + seconds)
            _, connection = await loop.create_connection(
                lambda: Connection(endpoint, loop, sock.fileno()),
                sock=sock,
                ssl=context,
                server_hostname=endpoint.host if context else None,
            )
    except OSError as error:
        raise network_errors.cannot_connect(endpoint.label, error, seconds) from error
    return connection


async def _connected(host: str, port: int, deadline: float) -> socket.socket:
    """Try the addresses of a host in turn, none for so long that the next one gets no time."""
    loop = asyncio.get_running_loop()
    addresses = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for following in reversed(range(len(addresses))):
        family, kind, protocol, _, address = addresses[-1 - following]
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            left = deadline - loop.time()
            async with asyncio.timeout(left / 2 if following else left):
                await loop.sock_connect(sock, address)
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
    """

    def __init__(self, size: int) -> None:
        self._free_places = size
        self._idle: list[Connection] = []
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._closed = False

    async def take(self, deadline: float) -> Connection | None:
        """Take a place: with a kept connection, or None where a new one has to be opened.

        Raises:
            TimeoutError: none became free until the deadline.
        """
        if self._free_places:
            self._free_places -= 1
        else:
            await self._turn(deadline)
        while self._idle:
            connection = self._idle.pop()
            if connection.is_alive():
                return connection
            connection.abort()
        return None

    def give(self, connection: Connection | None) -> None:
        if connection is not None:
            if connection.reusable and not self._closed:
                self._idle.append(connection)
            else:
                connection.abort()
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free_places += 1

    async def aclose(self) -> None:
        """Close the idle connections, and each of the others when it comes back."""
        self._closed = True
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.abort()
        if idle:
            await asyncio.wait([connection.lost for connection in idle], timeout=1.0)

    async def _turn(self, deadline: float) -> None:
        """Wait in line for a place."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout_at(deadline):
                await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self.give(None)  # the place came too late: it is the next one's
            raise


class AsyncSockets:
    """Sends requests over a pool of kept connections of one event loop."""

    def __init__(self, config: Config, endpoint: Endpoint) -> None:
        self._config = config
        self._endpoint = endpoint
        self._pool = Pool(config.pool_size)

    async def exchange(self, request: Request, sync_token: bytes | None, batch: Batch) -> Answer:
        data = self._endpoint.render(request, sync_token)
        clock = asyncio.get_running_loop().time
        seconds = self._config.read_timeout
        deadline = clock() + seconds
        try:
            connection = await self._pool.take(deadline)
        except TimeoutError:
            label = self._endpoint.label
            raise network_errors.all_busy(label, self._config.pool_size, seconds) from None
        deadline = clock() + seconds  # what we waited for here is not the server's time
        try:
            if connection is not None:
                try:
                    return await connection.exchange(data, deadline)
                except ConnectionFailed:
                    # The server closes what is idle for long, perhaps just now.
                    if not is_retryable(batch):
                        raise
                    connection.abort()
            started = clock()
            connection = await connect(
                self._endpoint, self._config.ca_file, self._config.connect_timeout
            )
            return await connection.exchange(data, deadline + clock() - started)
        except TimeoutError:
            raise network_errors.too_late(self._endpoint.label, seconds) from None
        finally:
            self._pool.give(connection)

    async def aclose(self) -> None:
        await self._pool.aclose()
