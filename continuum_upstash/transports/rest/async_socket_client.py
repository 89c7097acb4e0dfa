"""HTTP over asyncio: connections that carry one request at a time, and the client of a loop.

Deadlines are times of the loop's clock. Each connection has one timer, which is only set again when
it fires: a timer per request would cost more CPU than encoding the request.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from functools import partial
from typing import cast

from continuum_upstash.config.resolve import Config
from continuum_upstash.errors import ConnectionFailed, ContinuumError
from continuum_upstash.plans.command_table import is_retryable, list_written_keys
from continuum_upstash.plans.effects import Batch
from continuum_upstash.transports import network_errors
from continuum_upstash.transports.async_sockets import DeadlineScope, connect_socket
from continuum_upstash.transports.base import Deadline
from continuum_upstash.transports.pool import Slot
from continuum_upstash.transports.rest.async_pool import AsyncConnectionPool
from continuum_upstash.transports.rest.http11 import (
    MAX_IDLE_SECONDS,
    HttpResponse,
    RequestEncoder,
    ResponseParser,
)
from continuum_upstash.transports.rest.requests import Request
from continuum_upstash.transports.sockets import (
    LATE_READS,
    get_https_context,
    make_readable_check,
    reset_on_close,
)


class AsyncHttpConnection(asyncio.Protocol):
    """One connection to the server.

    Attributes:
        reusable: whether it may carry another request; False while it carries one.
        last_reply_at: seconds of the loop's clock.
        closed: done when the socket is closed.
    """

    def __init__(
        self, encoder: RequestEncoder, loop: asyncio.AbstractEventLoop, fileno: int
    ) -> None:
        self.reusable = False
        self.closed = loop.create_future()
        self._label = encoder.label
        self._loop = loop
        self._parser = ResponseParser(encoder.label)
        self._pending: asyncio.Future[HttpResponse] | None = None
        self._deadline = 0.0
        self._late_reads = LATE_READS
        self._timer: asyncio.TimerHandle | None = None
        self.last_reply_at = 0.0
        self._is_readable = make_readable_check(fileno)

    def is_alive(self) -> bool:
        """Return whether an idle connection can carry a request: it was used lately and is open."""
        if not self.reusable or self._transport.is_closing():
            return False
        idle = self._loop.time() - self.last_reply_at
        return idle < MAX_IDLE_SECONDS and not self._is_readable()

    async def exchange(self, data: memoryview, deadline: Deadline) -> HttpResponse:
        """Send a request and return its response.

        If cancelled, the connection is not reusable, unless `finish_later` follows.

        Raises:
            TimeoutError: the deadline passed.
            ConnectionFailed: the connection was lost, or the response is not HTTP.
        """
        self.reusable = False
        self._deadline = deadline.at
        self._late_reads = LATE_READS
        if self._timer is None or self._timer.when() > deadline.at:
            self._set_timer()
        self._pending = self._loop.create_future()
        self._transport.write(data)
        try:
            response = await self._pending
        finally:
            self._pending = None
        self._end_exchange(response)
        return response

    def finish_later(self, call: Callable[[AsyncHttpConnection], object]) -> bool:
        """Receive the response to an exchange that was cancelled: the connection is then reusable.

        Args:
            call: called with the connection when the response is complete, or is not in time.

        Returns:
            False if there will be no response, since the request was not written.
        """
        if self._transport.get_write_buffer_size() or self._transport.is_closing():
            return False
        self._pending = self._loop.create_future()
        self._pending.add_done_callback(partial(self._finish, call))
        return True

    def _finish(
        self,
        call: Callable[[AsyncHttpConnection], object],
        response: asyncio.Future[HttpResponse],
    ) -> None:
        self._pending = None
        if response.exception() is None:
            self._end_exchange(response.result())
        call(self)

    def _end_exchange(self, response: HttpResponse) -> None:
        self.last_reply_at = self._loop.time()
        # A response before the whole request was sent means that the server rejects the rest.
        unwritten = self._transport.get_write_buffer_size()
        self.reusable = response.reusable and not unwritten and not self._transport.is_closing()

    def close(self) -> None:
        if not self.reusable:
            reset_on_close(self._transport.get_extra_info("socket"))
        self.reusable = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._transport.abort()

    def hand_over(self) -> asyncio.Transport:
        """Return the transport of a new connection for another protocol; do not use this again."""
        return self._transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        pending = self._pending
        if pending is None or pending.done():
            self.close()  # a response without a request
            return
        try:
            response = self._parser.feed(data)
        except ContinuumError as error:
            pending.set_exception(error)
        else:
            if response is not None:
                pending.set_result(response)

    def eof_received(self) -> bool:
        response = self._parser.feed_eof()
        if response is not None and self._pending is not None and not self._pending.done():
            self._pending.set_result(response)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.reusable = False
        if self._timer is not None:
            self._timer.cancel()
        if self._pending is not None and not self._pending.done():
            error = exc if isinstance(exc, OSError) else None
            self._pending.set_exception(network_errors.connection_lost(self._label, error))
        if not self.closed.done():
            self.closed.set_result(None)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._deadline, self._on_timeout)

    def _on_timeout(self) -> None:
        self._timer = None
        if self._pending is None or self._pending.done():
            return
        if self._loop.time() < self._deadline:
            self._set_timer()
        elif self._late_reads and self._is_readable():
            # The loop was busy: what has arrived in time is read first.
            self._late_reads -= 1
            self._timer = self._loop.call_at(self._loop.time(), self._on_timeout)
        else:
            self._pending.set_exception(TimeoutError())


async def connect(
    encoder: RequestEncoder, ca_file: str | None, seconds: float
) -> AsyncHttpConnection:
    """Open a connection within `seconds`, including name resolution.

    Raises:
        ConnectionFailed: it was refused, not open in time, or not trusted; `unsent` is True.
    """
    loop = asyncio.get_running_loop()
    context = get_https_context(ca_file) if encoder.secure else None
    try:
        deadline = Deadline(seconds, clock=loop.time)
        async with DeadlineScope(deadline.at):
            sock = await connect_socket(encoder.host, encoder.port, deadline, _set_keepalive)
            _, connection = await loop.create_connection(
                lambda: AsyncHttpConnection(encoder, loop, sock.fileno()),
                sock=sock,
                ssl=context,
                server_hostname=encoder.server_name if context else None,
            )
    except OSError as error:
        raise network_errors.connect_failed(encoder.label, error, seconds) from error
    return connection


def _set_keepalive(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


class AsyncSocketHttpClient:
    """Exchanges requests over a pool of kept connections of one event loop.

    AsyncDeadlineTransport applies a batch's own deadline: it ends the wait, not the exchange.
    """

    def __init__(self, config: Config, encoder: RequestEncoder) -> None:
        self._config = config
        self._encoder = encoder
        self._pool = AsyncConnectionPool[AsyncHttpConnection](config.pool_size, encoder.label)
        self._finishing: set[AsyncHttpConnection] = set()

    async def exchange(
        self, request: Request, sync_token: bytes | None, batch: Batch
    ) -> HttpResponse:
        config = self._config
        # As a memoryview, since tracebacks show local variables, and it contains the token.
        data = memoryview(self._encoder.encode(request, sync_token))
        clock = asyncio.get_running_loop().time
        deadline = Deadline(config.read_timeout, clock=clock)
        slot: Slot[AsyncHttpConnection] = Slot()
        kept = None
        try:  # as in the sync client
            try:
                await self._pool.acquire(slot, deadline)
                kept = slot.connection
                if kept is not None:
                    return await kept.exchange(data, deadline)
                return await self._exchange_anew(slot, data, deadline)
            except ConnectionFailed:
                # The server may close an idle connection just when a request is sent.
                if kept is None or not is_retryable(batch):
                    raise
                kept.close()
                return await self._exchange_anew(slot, data, deadline)
            except TimeoutError:
                raise deadline.timeout_error(self._encoder.label) from None
            except asyncio.CancelledError:
                if list_written_keys(batch) == []:
                    self._finish_later(slot)
                raise
            finally:
                self._pool.release(slot)
        finally:
            slot.claim = None  # release may have been interrupted

    def _finish_later(self, slot: Slot[AsyncHttpConnection]) -> None:
        """Let the connection of a cancelled read receive its response, so that it can be kept.

        The slot is free meanwhile; therefore only as many connections as there are slots may do so.
        """
        connection = slot.connection
        has_room = len(self._finishing) < self._pool.size
        if connection is not None and has_room and connection.finish_later(self._keep):
            slot.connection = None
            self._finishing.add(connection)

    def _keep(self, connection: AsyncHttpConnection) -> None:
        self._finishing.discard(connection)
        slot: Slot[AsyncHttpConnection] = Slot()
        slot.connection = connection
        self._pool.release(slot)

    async def _exchange_anew(
        self, slot: Slot[AsyncHttpConnection], data: memoryview, deadline: Deadline
    ) -> HttpResponse:
        clock = asyncio.get_running_loop().time
        started = clock()
        try:
            slot.connection = await connect(
                self._encoder, self._config.ca_file, self._config.connect_timeout
            )
            deadline.extend(clock() - started)
            return await slot.connection.exchange(data, deadline)
        except TimeoutError:
            raise deadline.timeout_error(self._encoder.label) from None

    async def aclose(self) -> None:
        closing = [*self._pool.close(), *self._finishing]
        for connection in self._finishing:
            connection.close()
        if closing:
            await asyncio.wait([connection.closed for connection in closing], timeout=1.0)
