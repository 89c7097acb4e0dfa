"""A subscription in async code: one connection of its own, read by one task at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Final, Self

from continuum_upstash.errors import ConnectionFailed, ContinuumError
from continuum_upstash.transports import network_errors
from continuum_upstash.transports.async_sockets import DeadlineScope
from continuum_upstash.transports.sockets import enable_keepalive, reset_on_close
from continuum_upstash.transports.subscriptions.messages import (
    Decoder,
    Message,
    subscription_closed,
    subscription_ended,
)

# Reading from the socket pauses above these, until half of the messages are taken.
_MAX_MESSAGES: Final = 1000
_MAX_BYTES: Final = 1024 * 1024


class AsyncSubscription(asyncio.Protocol):
    """The messages of some channels from now on; it belongs to one event loop.

    An async context manager, and an async iterator of messages that ends after `close`. Of a slow
    reader's messages some 1,000 or 1 MB are kept in memory; the server disconnects a slower one.
    Messages published while there is no connection are lost.
    """

    def __init__(self, decoder: Decoder, label: str) -> None:
        self._decoder = decoder
        self._label = label
        self._messages: deque[Message] = deque()
        self._bytes = 0
        self._waiter: asyncio.Future[None] | None = None
        self._error: Exception | None = None
        self._is_closed = self._is_paused = False
        self._transport: asyncio.Transport | None = None

    async def open(
        self, transport: asyncio.Transport, request: bytes | memoryview, seconds: float
    ) -> Self:
        """Take over a connection, send the request and await its confirmation.

        Closes the connection if that fails, see `Subscription.open`.
        """
        self._transport = transport
        self._transport.set_protocol(self)
        try:
            enable_keepalive(transport.get_extra_info("socket"))
            transport.write(request)
            async with DeadlineScope(asyncio.get_running_loop().time() + seconds):
                while not self._decoder.is_subscribed:
                    await self._wait()
        except BaseException as error:
            self.close()
            if isinstance(error, TimeoutError):
                raise network_errors.read_timed_out(self._label, seconds) from None
            raise
        return self

    async def receive(self, timeout: float | None = None) -> Message | None:
        """Return the next message, or None after `timeout` seconds; None: wait for ever.

        Raises:
            ConnectionFailed: the connection was lost, or the subscription was closed.
            RuntimeError: another task is waiting for a message.
        """
        try:
            async with asyncio.timeout(timeout):
                while not self._messages:
                    await self._wait()
        except TimeoutError:
            return None
        return self._take()

    def close(self) -> None:
        """Close the connection."""
        self._is_closed = True
        if self._transport is not None:
            reset_on_close(self._transport.get_extra_info("socket"))
            self._transport.abort()
        self._wake()

    def _take(self) -> Message:
        message = self._messages.popleft()
        self._bytes -= len(message.data)
        has_room = len(self._messages) <= _MAX_MESSAGES // 2 and self._bytes <= _MAX_BYTES // 2
        if self._is_paused and has_room and self._transport is not None:
            self._is_paused = False
            self._transport.resume_reading()
        return message

    async def _wait(self) -> None:
        if self._is_closed:
            raise subscription_closed(self._label)
        if self._error is not None:
            raise self._error
        if self._decoder.has_ended:
            raise subscription_ended(self._label)
        if self._waiter is not None:  # the other task would wait for ever
            raise RuntimeError("Another task is already reading from this subscription.")
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, error: Exception) -> None:
        if self._error is None:
            self._error = error
        if self._transport is not None:
            self._transport.abort()
        self._wake()

    # Called by asyncio

    def data_received(self, data: bytes) -> None:
        try:
            messages = self._decoder.feed(data)
        except ContinuumError as error:
            self._fail(error)
            return
        self._messages.extend(messages)
        self._bytes += sum(len(message.data) for message in messages)
        is_full = len(self._messages) > _MAX_MESSAGES or self._bytes > _MAX_BYTES
        if is_full and not self._is_paused and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        error = exc if isinstance(exc, OSError) else None
        self._fail(network_errors.connection_lost(self._label, error))

    async def __aiter__(self) -> AsyncIterator[Message]:
        while True:
            try:
                message = await self.receive()
            except ConnectionFailed:
                if self._is_closed:
                    return
                raise
            if message is not None:
                yield message

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *details: object) -> None:
        self.close()
